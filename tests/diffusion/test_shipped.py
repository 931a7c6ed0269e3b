"""The checkpoints that come with the package: small, whole, and as good as their cards say."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import mmcourse
from mmcourse import studio
from mmcourse.data import Shapes, parse
from mmcourse.diffusion import TextToImage
from mmcourse.visionlanguage import TrainedCLIP

FOLDER = Path(mmcourse.__file__).parent / "checkpoints"
FILES = sorted(FOLDER.glob("*.safetensors"))


def card_of(file: Path) -> dict[str, Any]:
    return json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model() -> TextToImage:
    torch.set_num_threads(1)
    return TextToImage.load("text-to-image", device="cpu")


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return card_of(FOLDER / "text-to-image.safetensors")


def test_nothing_else_lies_there() -> None:
    assert FILES
    assert {file.stem for file in FILES} == {file.stem for file in FOLDER.glob("*.json")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_small_and_whole(file: Path) -> None:
    assert file.stat().st_size <= 20e6
    kind = TrainedCLIP if file.stem.startswith("clip-") else TextToImage
    found = kind.load(file, device="cpu")
    weights = sum(weight.numel() for weight in found.model.parameters())
    assert weights == card_of(file)["parameters"]
    assert all(weight.isfinite().all() for weight in found.model.state_dict().values())


def test_it_has_less_than_six_million_weights_and_took_two_core_hours(card: dict) -> None:
    assert card["parameters"] <= 6_000_000
    assert card["cpu_s"] <= 2 * 3600
    assert card["device"] == "cpu"


@pytest.mark.parametrize(
    ("objects", "pairs", "language"), [(1, "held-out", "ko"), (2, "seen", "en"), (3, "seen", "ko")]
)
def test_it_draws_as_its_card_says(
    model: TextToImage, card: dict, objects: int, pairs: str, language: str
) -> None:
    count, kind = 48, (card["seed"], objects, pairs, language)
    rows = [
        row
        for row in card["evaluation"]
        if (row["trained"], row["objects"], row["pairs"], row["language"]) == kind
    ]
    assert len({row["seed"] for row in rows}) == len(rows) == 3, "three seeds of captions and noise"
    split = "train" if pairs == "seen" else "held_out"
    data = Shapes(64, count, 5_000_000, objects=objects, split=split)
    pictures = model.generate([data.caption(i, language) for i in range(count)], steps=10, seed=5)
    found = studio.agreement(pictures, data.scenes(range(count)))
    for name in ("both", "relation", "all"):
        told = sum(row[name] for row in rows) / len(rows)
        error = (max(told * (1 - told), 0.01) / count) ** 0.5
        assert abs(found[name] - told) <= 4 * error


def test_every_relation_is_drawn_from_both_ends_in_both_languages(model: TextToImage) -> None:
    told = {
        "en": "a red circle {} a blue square",
        "ko": "파란 사각형 {} 빨간 원",
    }
    words = {"en": ["above", "below", "left of", "right of"]}
    words["ko"] = ["위의", "아래의", "왼쪽의", "오른쪽의"]
    prompts = [told[language].format(word) for language in told for word in words[language]]
    scenes = [parse(prompt) for prompt in prompts]
    assert scenes[:4] == scenes[4:], "the same four scenes"
    found = [
        studio.agreement(model.generate(prompts, steps=10, seed=seed), scenes)["relation"]
        for seed in range(3)
    ]
    assert sum(found) / 3 >= 0.9


def test_the_colour_is_the_one_asked_for_in_pairs_never_trained(model: TextToImage) -> None:
    data = Shapes(64, 40, 77, objects=1, split="held_out")
    pictures = model.generate([data.caption(i, "en") for i in range(40)], steps=10, seed=2)
    scenes = data.scenes(range(40))
    right = studio.agreement(pictures, scenes)
    wrong = studio.agreement(pictures, scenes[1:] + scenes[:1])
    assert right["color"] >= 0.9
    assert right["color"] - wrong["color"] >= 0.5


@torch.no_grad()
def test_latents_are_standard_and_what_is_rebuilt_is_read_right(model: TextToImage) -> None:
    """An encoder that moved away from the U-Net it was trained for would be seen here."""
    data = Shapes(64, 64, 8_000_000, split="all")
    pictures, autoencoder = data.images(), model.model.autoencoder
    z = autoencoder.encode(pictures)[0]
    assert abs(z.mean()) < 0.1
    assert 0.8 < z.std() < 1.2
    rebuilt = studio.agreement(autoencoder.decode(z).clamp(-1, 1), data.scenes(range(64)))
    assert rebuilt["all"] >= 0.95
