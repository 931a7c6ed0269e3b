"""The recipes of the two small CLIPs: batches, a killed run, what is kept from training."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import randomise

from mmcourse import recipes
from mmcourse.data import HELD_OUT, OpenMoji, parse, sample_scene
from mmcourse.recipes import clip_openmoji, clip_shapes
from mmcourse.recipes.clip import BothTowers, pair_loss
from mmcourse.visionlanguage import TrainedCLIP, clip_loss
from mmcourse.weights import checkpoint_file, read_card, sha256

SCRIPT = Path(__file__).parent / "tiny_clip.py"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, SCRIPT, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=200, env=environment
    )


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole).returncode == 0
    assert run(broken, "5").returncode == -signal.SIGKILL
    done = run(broken)
    assert done.returncode == 0, done.stderr
    file = whole / "clip-tiny.safetensors"
    assert sha256(file) == sha256(broken / "clip-tiny.safetensors")
    clip, card = TrainedCLIP.load(file), read_card(file)
    assert clip.encode_text(["a red circle", "빨간 원"]).shape == (2, 8)
    assert {"sha256", "seed", "steps", "parameters", "cpu_s", "wall_s", "config"} <= set(card)
    assert {row["language"] for row in card["evaluation"]} == {"en", "ko"}


def test_the_loss_is_that_of_clip_in_full_precision() -> None:
    parts = {**clip_shapes.PARTS, "text": {**clip_shapes.PARTS["text"], "depth": 1}}
    trained = TrainedCLIP.build(parts)
    randomise(trained.model, scale=0.1)
    pictures, ids = torch.randn(3, 3, 32, 32), trained.tokenize(["red", "a circle", "원"])
    model = trained.model
    wanted = clip_loss(model.encode_image(pictures), model.encode_text(ids), model.logit_scale)
    torch.testing.assert_close(pair_loss(BothTowers(model), (pictures, ids)), wanted)
    model.logit_scale.data.fill_(9.0)
    assert BothTowers(model)(pictures, ids)[2] == pytest.approx(4.60517)  # the trainer's limit


def test_scenes_are_told_in_ways_that_are_true_and_known() -> None:
    generator = torch.Generator().manual_seed(0)
    words = TrainedCLIP.build(clip_shapes.PARTS).words
    for language, frames in clip_shapes.FRAMES.items():
        edges = {part for frame in frames for part in frame.split("{}") if part}
        for _ in range(100):
            scene = sample_scene(generator, objects=(1, 2))
            text = clip_shapes.told(scene, language, generator)
            assert words.unk_id not in words.encode(text)
            for edge in edges:
                text = text.removeprefix(edge).removesuffix(edge)
            seen = parse(text)
            things = [(thing.color, thing.shape) for thing in scene.objects]
            assert [(thing.color, thing.shape) for thing in seen.objects] == things
            assert seen.relations == scene.relations


def test_batches_have_one_language_and_no_held_out_pair() -> None:
    world = clip_shapes.ShapePairs()
    for step, korean in ((1, False), (2, True)):
        pictures, texts = world.pairs(40, step, seed=step)
        assert pictures.shape == (40, 3, 32, 32)
        assert all(any("가" <= letter <= "힣" for letter in text) == korean for text in texts)
    english = " | ".join(text for step in (1, 3) for text in world.pairs(300, step, step)[1])
    assert not any(f"{color} {shape}" in english for color, shape in HELD_OUT)


def test_emoji_are_of_the_training_split_and_told_as_they_are() -> None:
    world = clip_openmoji.EmojiPairs()
    pictures, texts = world.pairs(60, 1, seed=1)
    again = world.pairs(60, 1, seed=1)
    assert torch.equal(pictures, again[0])
    assert texts == again[1]
    assert pictures.shape == (60, 3, 32, 32)
    known = {entry.name_en.lower() for entry in OpenMoji(32, split="train").entries}
    for text in texts:
        assert any(name in text for name in known)
    assert world.pairs(60, 2, seed=1)[1] != texts


def test_moved_emoji_stay_emoji() -> None:
    pictures = OpenMoji(32, split="train").images(range(16))
    changed = clip_openmoji.changed(pictures, torch.Generator().manual_seed(0))
    assert changed.shape == pictures.shape
    assert 0.02 < (changed - pictures).abs().mean() < 0.6
    assert changed[:, :, :2, :2].mean() > 0.7  # corners stay white


@pytest.mark.parametrize("name", ["clip-shapes", "clip-openmoji"])
def test_the_shipped_models_are_those_of_the_recipes(name: str) -> None:
    file = checkpoint_file(name)
    assert file.stat().st_size <= 4_000_000
    card = read_card(file)
    recipe, _ = recipes.RECIPES[name]()
    assert card["config"] == recipe.parts
    assert card["steps"] == recipe.steps
    assert card["cpu_s"] <= 800
    clip = TrainedCLIP.load(name)
    pictures = torch.zeros(2, 3, recipe.pixels, recipe.pixels)
    assert clip.encode_image(pictures).isfinite().all()
    languages = {row["language"] for row in card["evaluation"]}
    assert languages == {"en", "ko"}


def test_what_the_shipped_models_reach() -> None:
    rows = clip_shapes.ShapePairs().examine(TrainedCLIP.load("clip-shapes"))
    assert min(row["accuracy"] for row in rows if row["subset"] == "plain") >= 0.995
    rows = clip_openmoji.EmojiPairs().examine(TrainedCLIP.load("clip-openmoji"))
    first = {(row["pool"], row["language"]): row["first"] for row in rows}
    assert first["100 of these", "en"] >= 0.20
    assert first["100 of these", "ko"] >= 0.15
