"""The parts around the networks: words, seeds, batches, files."""

import json
import unicodedata
from pathlib import Path

import pytest
import torch
from helpers import randomise, rejects, unchecked

from mmcourse.data.captions import _ENGLISH_ALIASES, _KOREAN_ALIASES, KOREAN
from mmcourse.diffusion import TextToImage
from mmcourse.diffusion.text_to_image import EMPTY, PAD, CaptionReader, PlacedUNet, Vocabulary
from mmcourse.recipes.text_to_image import ALIASES, PARTS
from mmcourse.recipes.workshop import vocabulary_of
from mmcourse.training import save_checkpoint
from mmcourse.weights import sha256

plain = unchecked("mmcourse.diffusion.text_to_image")
CONFIG = {
    "words": ["red", "circle", "above", "blue", "square", "빨간", "원"],
    "length": 6,
    "size": 4,
    "T": 50,
    "autoencoder": {
        "channels": [8, 8],
        "latent_channels": 2,
        "blocks_per_level": 1,
        "groups": 4,
        "stem": 2,
    },
    "unet": {
        "places": 2,
        "channels": [8, 8],
        "attention": [True, False],
        "blocks_per_level": 1,
        "groups": 4,
        "num_heads": 2,
    },
    "reader": {"width": 8, "depth": 1, "num_heads": 2},
}


@pytest.fixture(scope="module")
def model() -> TextToImage:
    built = TextToImage.build(CONFIG)
    randomise(built.model, scale=0.35)
    return built


def saved(folder: Path, model: TextToImage) -> Path:
    file = folder / "tiny.safetensors"
    save_checkpoint(file, model.model, {"config": model.config})
    return file


def test_pictures_of_prompts_in_both_languages(model: TextToImage) -> None:
    pictures = model.generate(["red circle", "빨간 원"], steps=3)
    assert pictures.shape == (2, 3, 16, 16)
    assert pictures.abs().max() <= 1
    torch.testing.assert_close(model.generate("red circle", steps=3), pictures[:1])


def test_the_seed_decides(model: TextToImage) -> None:
    a, b, c = (model.generate("red circle", steps=2, seed=seed) for seed in (1, 1, 2))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert (a - c).abs().max() > 1e-3


def test_words_and_their_order_reach_the_picture(model: TextToImage) -> None:
    prompts = ["red circle above blue square", "blue square above red circle", "red circle"]
    a, b, c = (model.generate(prompt, steps=2) for prompt in prompts)
    assert (a - b).abs().max() > 1e-4
    assert (a - c).abs().max() > 1e-4


def test_a_negative_prompt_changes_the_picture_and_scale_one_ignores_it(
    model: TextToImage,
) -> None:
    plainly = model.generate("red circle", steps=2)
    assert (model.generate("red circle", steps=2, negative="blue") - plainly).abs().max() > 1e-4
    once = model.generate("red circle", steps=2, scale=1.0)
    never = model.generate("red circle", steps=2, scale=1.0, negative="blue")
    torch.testing.assert_close(once, never, rtol=0, atol=0)


def test_many_prompts_are_drawn_in_batches(model: TextToImage) -> None:
    sizes = []
    many = model.generate(
        ["red circle"] * 130, steps=1, scale=1.0, on_step=lambda step, z, z0: sizes.append(len(z))
    )
    assert sizes == [64, 64, 2]
    assert len(many) == 130
    few = model.generate(["red circle"] * 64, steps=1, scale=1.0)
    torch.testing.assert_close(many[:64], few, rtol=1e-5, atol=1e-5)


def test_numbers_of_words() -> None:
    words = Vocabulary(["a", "b"], 3)
    assert len(words) == 4
    assert words.encode(["B a", "a"]).tolist() == [[3, 2, PAD], [2, PAD, PAD]]
    assert words.empty(1).tolist() == [[EMPTY, PAD, PAD]]


def test_capitals_marks_and_other_words_do_not_matter() -> None:
    known = ["red", "circle", "u.s.", "(blood", "빨간", "원", "azul", "#"]
    words = Vocabulary(known, 6, {"disc": "circle", "빨강": "빨간", "red": "azul"})
    row = words.encode(["red circle"])
    for same in ("Red circle!", "“red”, circle.", "(RED disc)", "- red … circle ?"):
        torch.testing.assert_close(words.encode([same]), row)
    korean = words.encode(["빨간 원"])
    torch.testing.assert_close(words.encode([unicodedata.normalize("NFD", "빨강 원!")]), korean)
    # a known word is never taken apart, nor read as another
    assert words.encode(["u.s. (blood # red"]).tolist() == [[4, 5, 9, 2, PAD, PAD]]


@pytest.mark.parametrize("other", ALIASES)
def test_every_alias_is_another_word_for_a_known_one(other: str) -> None:
    assert ALIASES[other] in PARTS["words"]
    assert other not in PARTS["words"]


@pytest.mark.parametrize(("other", "known"), [*_ENGLISH_ALIASES.items(), *_KOREAN_ALIASES.items()])
def test_words_that_the_grammar_understands_are_understood(other: str, known: str) -> None:
    words = vocabulary_of(PARTS)
    told = KOREAN[known] if other in _KOREAN_ALIASES else known
    torch.testing.assert_close(words.encode([other]), words.encode([told]))


def test_turquoise_is_cyan_in_both_languages() -> None:
    words = vocabulary_of(PARTS)
    torch.testing.assert_close(
        words.encode(["a turquoise disc", "청록 동그라미"]),
        words.encode(["a cyan circle", "청록색 원"]),
    )


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("red cirkle", "unknown word 'cirkle'; the nearest known: circle"),
        ("빨강 원", "unknown word '빨강'; the nearest known: 빨간"),
        ("dog", "unknown word 'dog'; among the 7 known words are .*square"),
        ("강아지", "unknown word '강아지'; among the 7 known words are 빨간, 원"),
        ("강아지 cirkle", r"unknown words '강아지', 'cirkle' \(near: circle\)$"),
        (["red dog", "blu dog circle!"], r"unknown words 'dog', 'blu' \(near: blue\)$"),
        ("!?", "empty"),
        ("", "empty"),
        ("   ", "empty"),
        ([], "at least one caption"),
        ("red red red red red red red", "at most 6 words"),
    ],
)
def test_prompts_that_cannot_be_drawn(model: TextToImage, prompts, message: str) -> None:
    with rejects(message):
        model.generate(prompts)


def test_steps_and_scale_out_of_range(model: TextToImage) -> None:
    for steps in (0, 51):
        with rejects("steps must be"):
            model.generate("red circle", steps=steps)
    with rejects("finite"):
        model.generate("red circle", scale=float("nan"))
    with rejects("scale must be at least 0, got -2: .* negative prompt"):
        model.generate("red circle", scale=-2.0)
    model.generate("red circle", steps=1, scale=0.0)


def test_a_saved_model_draws_the_same(model: TextToImage, tmp_path: Path) -> None:
    file = saved(tmp_path, model)
    loaded = TextToImage.load(file, device="cpu")
    torch.testing.assert_close(
        loaded.generate("red circle", steps=2), model.generate("red circle", steps=2)
    )


def test_checkpoints_that_are_not_what_they_say(model: TextToImage, tmp_path: Path) -> None:
    file = saved(tmp_path, model)
    card = json.loads(file.with_suffix(".json").read_text())
    with rejects("no checkpoint 'nothing-here'"):
        TextToImage.load("nothing-here")
    other = TextToImage.build(CONFIG)
    swapped = tmp_path / "swapped.safetensors"
    save_checkpoint(swapped, other.model, {"config": CONFIG})
    file.with_suffix(".json").write_text(swapped.with_suffix(".json").read_text())
    with rejects("damaged, or of another card: copy both again .* expects sha256"):
        TextToImage.load(file)
    wider = {**CONFIG, "reader": {"width": 16, "depth": 1, "num_heads": 2}}
    file.with_suffix(".json").write_text(json.dumps({**card, "config": wider}))
    with rejects("must have shape"):
        TextToImage.load(file)
    for other in ({}, {"config": None}, {"config": {"pieces": ["a"], "words": ["a"]}}):
        card = {"sha256": sha256(file), **other}
        file.with_suffix(".json").write_text(json.dumps(card))
        with rejects("expected a text-to-image checkpoint, got tiny.safetensors of another"):
            TextToImage.load(file)
    file.with_suffix(".json").unlink()
    with rejects("needs its card"):
        TextToImage.load(file)


def test_positions_are_as_strong_as_words() -> None:
    torch.manual_seed(0)
    reader = CaptionReader(50, length=20, width=64, depth=1, num_heads=2)
    ratio = reader.positions.std() / reader.tokens.weight.std()
    assert 0.5 < ratio < 1.0


def test_the_table_tells_places_apart() -> None:
    torch.manual_seed(0)
    options = {"channels": (8,), "attention": (False,), "groups": 4, "middle_attention": False}
    unet = randomise(PlacedUNet(in_channels=1, size=8, places=2, **options))
    flat = torch.ones(1, 1, 8, 8)
    inner = unet(flat, 5)[0, 0, 3:5, 3:5]
    assert inner.std() > 1e-3
    with torch.no_grad():
        unet.get_parameter("places").zero_()
    inner = unet(flat.expand(1, 1, 8, 8), 5)[0, 0, 3:5, 3:5]
    spread = (inner - inner.mean()).abs().max()
    assert spread < unet(flat, 5).std()
