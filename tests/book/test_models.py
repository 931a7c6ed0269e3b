"""Model cards: what they show, and that an incomplete one is refused."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from tiny_book import build, html

ROOT = Path(__file__).parents[2]

CARD = """# Models

:::{model-card} tiny
---
use: For *nothing*.
limits: Many.
data: None.
licence: MIT.
recipe: mmcourse/recipes/tiny.py
average: seed
---
It does nothing.
:::
"""


def small_checkpoint(folder: Path, **changes: object) -> None:
    """A checkpoint and its card; None leaves a field out."""
    place = folder / "mmcourse" / "checkpoints"
    place.mkdir(parents=True)
    (folder / "mmcourse" / "recipes").mkdir()
    (folder / "mmcourse" / "recipes" / "tiny.py").touch()
    (place / "tiny.safetensors").write_bytes(b"weights")
    rows = [{"pairs": "seen", "seed": seed, "right": 0.5 + seed / 10} for seed in (1, 2)]
    card = {
        "seed": 0, "steps": {"all": 1200}, "parameters": 1234567, "torch": "2.14.1",
        "device": "cpu", "processes": 1, "cpu_s": 300, "wall_s": 90, "evaluation": rows,
        "sha256": hashlib.sha256(b"weights").hexdigest(), **changes,
    }  # fmt: skip
    card = {k: v for k, v in card.items() if v is not None}
    (place / "tiny.json").write_text(json.dumps(card), encoding="utf-8")


def test_a_model_card_holds_what_was_measured(tmp_path: Path) -> None:
    small_checkpoint(tmp_path)
    assert build(tmp_path, models=CARD) == ""
    page = re.sub(r"</?span[^>]*>", "", html(tmp_path, "models"))
    for text in ("1,234,567", "300 s (5 minutes) of CPU, 90 s by the clock", "65.0%",
                 "<em>nothing</em>", "mmcourse train tiny", "It does nothing.",
                 hashlib.sha256(b"weights").hexdigest()):  # fmt: skip
        assert text in page, text
    assert page.count("65.0%") == 1


@pytest.mark.parametrize(
    ("changes", "page", "said"),
    [
        ({"sha256": "0"}, CARD, "the weights of tiny are not those of its card"),
        (
            {},
            CARD.replace("tiny.py", "t.py"),
            "the recipe of tiny is not there: mmcourse",
        ),
        ({"cpu_s": None}, CARD, "the card of tiny lacks cpu_s"),
        ({}, CARD.replace("limits: Many.\n", ""), "the card of tiny lacks limits"),
        ({}, CARD.replace("card} tiny", "card} other"), "no checkpoint 'other' with its card"),
        (
            {},
            CARD.replace("card} tiny", "card} other"),
            "checkpoint tiny.safetensors: no page says {model-card} tiny",
        ),
    ],
)
def test_incomplete_model_cards_are_refused(
    tmp_path: Path, changes: dict, page: str, said: str
) -> None:
    small_checkpoint(tmp_path, **changes)
    assert said in build(tmp_path, models=page)


def test_every_checkpoint_has_its_card(book: Path) -> None:
    page = (book / "book" / "models.html").read_text(encoding="utf-8")
    cards = sorted((ROOT / "mmcourse" / "checkpoints").glob("*.json"))
    assert cards
    for card in cards:
        about = json.loads(card.read_text(encoding="utf-8"))
        assert about["sha256"] in page, card.name
        assert f"{about['parameters']:,}" in page, card.name
