"""CoOp and CoCoOp by what must be equal: words as context, no network, one class at a time."""

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmcourse.data import WordTokenizer
from mmcourse.visionlanguage import (
    CLIP,
    ConditionalPromptLearner,
    ImageTower,
    PromptLearner,
    TextTower,
)

NAMES = ["cat", "small dog", "bird"]
WORDS = WordTokenizer(
    ["a", "photo", "of", "an", "the", "cat", "small", "dog", "bird", "owl", "red"]
)


class Reader:
    """A random CLIP of two small towers and a tokenizer of words."""

    def __init__(self, seed: int = 0, length: int = 12) -> None:
        text = TextTower(
            vocab_size=len(WORDS), max_positions=length, width=16, depth=2, num_heads=2,
            end_id=WORDS.eos,
        )  # fmt: skip
        image = ImageTower(image_size=8, patch_size=4, width=16, depth=1, num_heads=2)
        self.model = randomise(CLIP(image, text, embed_dim=32), seed, scale=0.6).eval()
        torch.nn.init.constant_(self.model.logit_scale, 3.0)

    def tokenize(self, texts) -> Tensor:
        return WORDS.batch(list(texts))[0]

    def encode_text(self, texts) -> Tensor:
        with torch.no_grad():
            return self.model.encode_text(self.tokenize(texts))


@pytest.fixture
def clip() -> Reader:
    return Reader()


def pictures(count: int = 5, width: int = 32) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return F.normalize(torch.randn(count, width, generator=random), dim=-1)


def network(learner: ConditionalPromptLearner) -> list[Tensor]:
    return list(learner.meta_net.parameters())


@pytest.mark.parametrize("specific", [False, True])
def test_words_as_context_are_the_hand_made_prompt(clip: Reader, specific: bool) -> None:
    learner = PromptLearner(clip, NAMES, init="a photo of a", class_specific=specific)
    wanted = clip.encode_text([f"a photo of a {name}" for name in NAMES])
    torch.testing.assert_close(learner.text_features(), wanted)
    scale = clip.model.logit_scale.exp()
    torch.testing.assert_close(learner(pictures()), scale * pictures() @ wanted.T)
    assert learner.context.shape == ((3, 4, 16) if specific else (4, 16))


def test_words_behind_the_name_or_another_place_of_the_end_would_be_seen(clip: Reader) -> None:
    ours = PromptLearner(clip, NAMES, init="a photo of a").text_features()
    behind = clip.encode_text([f"{name} a photo of a" for name in NAMES])
    assert (ours - behind).abs().max() > 0.05
    ids = clip.tokenize([f"a photo of a {name}" for name in NAMES])
    tower = clip.model.text
    early = tower(ids)[torch.arange(3), tower.ends(clip.tokenize(NAMES))]  # without + M
    early = F.normalize(clip.model.text_projection(early), dim=-1)
    assert (ours - early).abs().max() > 0.05


def test_a_network_of_zeros_is_coop(clip: Reader) -> None:
    start = torch.randn(3, 16, generator=torch.Generator().manual_seed(2))
    coop = PromptLearner(clip, NAMES, init=start)
    cocoop = ConditionalPromptLearner(clip, NAMES, init=start)
    assert (cocoop(pictures()) - coop(pictures())).abs().max() > 1e-4
    with torch.no_grad():
        for weight in network(cocoop):
            weight.zero_()
    torch.testing.assert_close(cocoop(pictures()), coop(pictures()))


def test_each_picture_moves_every_context_vector_alike(clip: Reader) -> None:
    cocoop = randomise(ConditionalPromptLearner(clip, NAMES, num_context=3))
    for row, one in enumerate(pictures()):
        moved = cocoop.context + cocoop.meta_net(one)
        alone = PromptLearner(clip, NAMES, init=moved.detach())
        torch.testing.assert_close(alone(one[None])[0], cocoop(pictures())[row])


def test_classes_do_not_see_each_other(clip: Reader) -> None:
    specific = randomise(PromptLearner(clip, NAMES, num_context=3, class_specific=True))
    for place, name in enumerate(NAMES):
        alone = PromptLearner(clip, [name], init=specific.context[place].detach())
        torch.testing.assert_close(alone.text_features()[0], specific.text_features()[place])


@pytest.mark.parametrize("kind", [PromptLearner, ConditionalPromptLearner])
def test_only_the_context_learns(clip: Reader, kind) -> None:
    before = {name: weight.clone() for name, weight in clip.model.state_dict().items()}
    learner = kind(clip, NAMES, num_context=2, generator=torch.Generator().manual_seed(0))
    names = {name.split(".")[0] for name, _ in learner.named_parameters()}
    assert names == ({"context"} if kind is PromptLearner else {"context", "meta_net"})
    optimizer = torch.optim.SGD(learner.parameters(), 0.1)
    F.cross_entropy(learner(pictures()), torch.tensor([0, 1, 2, 0, 1])).backward()
    assert all(weight.grad.abs().max() > 0 for weight in learner.parameters())
    assert all(weight.grad is None for weight in clip.model.parameters())
    optimizer.step()
    for name, weight in clip.model.state_dict().items():
        assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize("kind", [PromptLearner, ConditionalPromptLearner])
def test_one_batch_is_learned_by_heart(clip: Reader, kind) -> None:
    learner = kind(clip, NAMES, num_context=4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2])
    x = pictures(3)
    optimizer = torch.optim.Adam(learner.parameters(), 0.05)
    for _ in range(150):
        loss = F.cross_entropy(learner(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert learner(x).argmax(dim=1).tolist() == [0, 1, 2]


def test_the_context_goes_with_other_classes(clip: Reader) -> None:
    learner = randomise(PromptLearner(clip, NAMES, num_context=3))
    other = learner.for_classes(["owl", "bird"])
    torch.testing.assert_close(other.text_features()[1], learner.text_features()[2])
    cocoop = randomise(ConditionalPromptLearner(clip, NAMES, num_context=3, reduction=5))
    again = cocoop.for_classes(["owl", "bird"])
    torch.testing.assert_close(again(pictures())[:, 1], cocoop(pictures())[:, 2])
    with torch.no_grad():
        learner.context.zero_()
    assert other.context.abs().max() > 0, "a copy"
    with rejects("class-specific context says nothing"):
        PromptLearner(clip, NAMES, num_context=2, class_specific=True).for_classes(["owl"])


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_seed_decides(count: int, seed: int) -> None:
    reader = Reader()
    first, second, third = (
        ConditionalPromptLearner(
            reader, NAMES, num_context=count, generator=torch.Generator().manual_seed(number)
        )
        for number in (seed, seed, seed + 1)
    )
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.context, third.context)
    assert first.meta_net[0].out_features == 32 // 16
    assert first(pictures(1)).shape == (1, 3)


def test_the_first_vectors_are_small() -> None:
    learner = PromptLearner(
        Reader(length=150), NAMES, num_context=100, generator=torch.Generator().manual_seed(0)
    )
    assert learner.context.std().item() == pytest.approx(0.02, rel=0.05)


def test_bad_input_is_named(clip: Reader) -> None:
    for names in ([], "cat"):
        with rejects("class_names must be a list"):
            PromptLearner(clip, names)
    with rejects("num_context must be at least 1, got 0"):
        PromptLearner(clip, NAMES, num_context=0)
    with rejects(r"init must be vectors \(M ≥ 1, 16\), got \(2, 5\)"):
        PromptLearner(clip, NAMES, init=torch.zeros(2, 5))
    with rejects("9 context vectors and 4 tokens are more than the 12"):
        PromptLearner(clip, NAMES, num_context=9)
    with rejects("9 context vectors and 4 tokens are more than the 12"):
        ConditionalPromptLearner(clip, NAMES, num_context=9)
    with rejects("reduction must be at least 1"):
        ConditionalPromptLearner(clip, NAMES, reduction=0)
    with rejects("unknown word 'fish'"):
        PromptLearner(clip, ["fish"])
