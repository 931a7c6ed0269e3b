"""Zero-shot classifiers against open_clip's, ranks and hard negatives against plain loops."""

import math
import re

import hypothesis.strategies as st
import open_clip
import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given
from open_clip.zero_shot_classifier import build_zero_shot_classifier

from mmcourse.visionlanguage import (
    CLIP,
    ImageTower,
    TextTower,
    clip_loss,
    hard_negative_loss,
    retrieval_ranks,
    swap_accuracy,
    zero_shot_weights,
)

plain = unchecked("mmcourse.visionlanguage.zero_shot")
hard = unchecked("mmcourse.visionlanguage.hard_negatives")
NAMES = ["crane", "boxer", "tree frog"]
TEMPLATES = ["a photo of a {}.", "{}", "art of the {}, at night"]


def tokens(texts: list[str]) -> torch.Tensor:
    """Letters as numbers; 39 is the largest and ends a text."""
    rows = [[38, *(ord(letter) % 37 for letter in text), 39] for text in texts]
    return torch.tensor([row + [0] * (40 - len(row)) for row in rows])


def open_clip_model() -> open_clip.CLIP:
    text = {"context_length": 40, "vocab_size": 40, "width": 16, "heads": 2, "layers": 2}
    image = {"image_size": 8, "layers": 2, "width": 24, "head_width": 8, "patch_size": 4}
    return randomise(open_clip.CLIP(12, image, text), scale=0.3).eval()


def vectors(texts: list[str]) -> torch.Tensor:
    """Texts as vectors of very different lengths."""
    generator = torch.Generator().manual_seed(sum(len(text) for text in texts))
    return (
        torch.randn(len(texts), 6, generator=generator) * torch.arange(1.0, len(texts) + 1)[:, None]
    )


@pytest.mark.parametrize("templates", [TEMPLATES, [lambda name: f"a {name}!", str.upper]])
def test_it_is_open_clips_classifier(templates) -> None:
    model = open_clip_model()
    theirs = build_zero_shot_classifier(model, tokens, NAMES, templates, num_classes_per_batch=2)
    ours = zero_shot_weights(lambda texts: model.encode_text(tokens(texts)), NAMES, templates)
    assert ours.shape == (12, 3)
    torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-5)


def test_our_clip_with_their_weights_builds_the_same_classifier(tmp_path) -> None:
    reference = open_clip_model()
    ours = CLIP.from_open_clip(reference.state_dict(), num_heads=(3, 2))
    theirs = build_zero_shot_classifier(reference, tokens, NAMES, TEMPLATES)
    with torch.no_grad():
        weights = zero_shot_weights(lambda t: ours.encode_text(tokens(t)), NAMES, TEMPLATES)
    torch.testing.assert_close(weights, theirs, rtol=2e-5, atol=2e-5)


def test_other_orders_of_averaging_would_be_seen() -> None:
    wanted = zero_shot_weights(vectors, NAMES, TEMPLATES)
    raw = vectors([t.format(n) for n in NAMES for t in TEMPLATES]).reshape(3, 3, 6)
    by_hand = F.normalize(F.normalize(raw, dim=-1).mean(1), dim=-1).T
    torch.testing.assert_close(wanted, by_hand)
    lengths_kept = F.normalize(raw.mean(1), dim=-1).T
    not_again = F.normalize(raw, dim=-1).mean(1).T
    templates_first = F.normalize(F.normalize(raw, dim=-1).mean(0), dim=-1).T
    for wrong in (lengths_kept, not_again, templates_first):
        assert (wrong - wanted).abs().max() > 0.01


@given(st.integers(1, 5), st.integers(1, 4), st.floats(1e-3, 1e3))
def test_weights_are_unit_vectors_and_forget_the_scale(classes, count, scale) -> None:
    names = [f"name {i}" for i in range(classes)]
    templates = [f"{{}} in place {i}" for i in range(count)]
    weights = zero_shot_weights(vectors, names, templates)
    torch.testing.assert_close(weights.norm(dim=0), torch.ones(classes))
    scaled = zero_shot_weights(lambda texts: scale * vectors(texts), names, templates)
    torch.testing.assert_close(weights, scaled, rtol=1e-4, atol=1e-5)


def test_what_is_refused() -> None:
    for names, templates, message in (
        ([], TEMPLATES, "need at least one of class_names, got none"),
        (NAMES, [], "need at least one of templates, got none"),
        (["crane", " "], TEMPLATES, "a class needs a name, got ' ' at place 1"),
        ("crane", TEMPLATES, "class_names must be a list of strings, got the one string 'crane'"),
        (NAMES, "a {}", "templates must be a list of strings, got the one string 'a {}'"),
        (NAMES, ["a photo"], "a template needs a place {} for the name, got 'a photo'"),
        (NAMES, ["{} and {}"], "a template needs a place {}"),
        (NAMES, ["{name}"], "a template needs a place {}"),
    ):
        with rejects(re.escape(message)):
            plain.zero_shot_weights(vectors, names, templates)
    with rejects(r"encode_text must give 9 vectors, \(texts, d\), got \(8, 6\)"):
        plain.zero_shot_weights(lambda texts: vectors(texts)[1:], NAMES, TEMPLATES)


@given(st.integers(1, 9), st.integers(0, 99))
def test_ranks_are_those_of_a_loop(rows, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, items = torch.randint(-1, 2, (2, rows, 2), generator=generator).float()
    scores = queries @ items.T
    for i, rank in enumerate(retrieval_ranks(queries, items).tolist()):
        order = sorted(range(rows), key=lambda j: (-scores[i, j].item(), j))
        assert rank == order.index(i)


def test_a_blind_model_finds_only_the_first() -> None:
    same = torch.ones(5, 3)
    assert retrieval_ranks(same, same).tolist() == [0, 1, 2, 3, 4]
    with rejects("queries and items must be pairs"):
        plain.retrieval_ranks(same, same[:3])


def unit(rows: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_hard_negatives_are_columns_of_the_pictures_choice_alone() -> None:
    image, text, wrong = unit(4, 0), unit(4, 1), unit(3, 2)
    scale = torch.tensor(1.2)
    total = 0.0
    for i in range(4):
        own = math.exp(1.2)
        captions = [float(image[i] @ t) * own for t in [*text, *wrong]]
        pictures = [float(text[i] @ x) * own for x in image]
        for scores in (captions, pictures):
            total += math.log(sum(map(math.exp, scores))) - scores[i]
    ours = hard_negative_loss(image, text, wrong, scale)
    torch.testing.assert_close(ours, torch.tensor(total / 8))
    torch.testing.assert_close(
        hard_negative_loss(image, text, wrong[:0], scale), clip_loss(image, text, scale)
    )
    assert ours > clip_loss(image, text, scale)
    with rejects("every picture needs its caption"):
        hard.hard_negative_loss(image, text[:3], wrong, scale)


def test_swap_accuracy_counts_a_tie_half() -> None:
    image = torch.eye(4)
    right = torch.stack([image[0], image[1], image[0], image[3]])
    swapped = torch.stack([image[1], image[1], image[2], image[3]])
    assert swap_accuracy(image, right, swapped) == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    with rejects("need three times"):
        hard.swap_accuracy(image, right, swapped[:2])


def test_hard_negatives_teach_order_to_one_batch() -> None:
    """Captions of the same words in two orders: only the added negatives keep them apart."""
    torch.manual_seed(0)
    image = ImageTower(image_size=4, patch_size=2, width=16, depth=1, num_heads=2)
    text = TextTower(vocab_size=7, max_positions=4, width=16, depth=1, num_heads=2, init_std=0.2)
    clip = CLIP(image, text, embed_dim=8)
    ids = torch.tensor([[a, b, 6] for a in range(4) for b in range(4) if a < b])
    swapped, pictures = ids[:, [1, 0, 2]], torch.randn(len(ids), 3, 4, 4)
    optimizer = torch.optim.Adam(clip.parameters(), 5e-3)
    for _ in range(60):
        vectors = clip.encode_image(pictures), clip.encode_text(ids), clip.encode_text(swapped)
        loss = hard_negative_loss(*vectors, clip.logit_scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert swap_accuracy(*vectors) == 1.0
