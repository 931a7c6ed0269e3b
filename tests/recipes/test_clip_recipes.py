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
    done = run(whole)
    assert done.returncode == 0, done.stderr
    assert run(broken, "5").returncode == -signal.SIGKILL
    done = run(broken)
    assert done.returncode == 0, done.stderr
    file = whole / "clip-tiny.safetensors"
    assert sha256(file) == sha256(broken / "clip-tiny.safetensors")
    clip, card = TrainedCLIP.load(file), read_card(file)
    assert clip.encode_text(["a red circle", "빨간 원"]).shape == (2, 8)
    assert {"sha256", "seed", "steps", "parameters", "cpu_s", "wall_s", "config"} <= set(card)
    again = clip_shapes.ShapePairs().examine(clip)  # the model was examined as it is read back
    for row, told in zip(again, card["evaluation"], strict=True):
        assert row["accuracy"] == pytest.approx(told["accuracy"], abs=0.01)


def test_the_loss_is_that_of_clip_in_full_precision() -> None:
    parts = {**clip_shapes.PARTS, "text": {**clip_shapes.PARTS["text"], "depth": 1}}
    trained = TrainedCLIP.build(parts)
    randomise(trained.model, scale=0.1)
    pictures, ids = torch.randn(3, 3, 32, 32), trained.tokenize(["red", "a circle", "원"])
    model = trained.model
    wanted = clip_loss(model.encode_image(pictures), model.encode_text(ids), model.logit_scale)
    torch.testing.assert_close(pair_loss(BothTowers(model), (pictures, ids)), wanted)
    model.logit_scale.data.fill_(9.0)
    scale = BothTowers(model)(pictures, ids)[2].item()
    assert scale == pytest.approx(4.60517)  # the trainer's limit


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
    entries = OpenMoji(32, split="train").entries
    known = {word for entry in entries for word in entry.name_en.lower().split()}
    around = {word for frame in clip_openmoji.FRAMES["en"] for word in frame.split()}
    for text in texts:
        said = text.split(", a kind of ")[0]
        assert set(said.split()) <= known | around
    assert any(", a kind of " in text for text in texts)
    assert world.pairs(60, 2, seed=1)[1] != texts


def test_moved_emoji_stay_emoji() -> None:
    pictures = OpenMoji(32, split="train").images(range(16))
    changed = clip_openmoji.changed(pictures, torch.Generator().manual_seed(0))
    assert changed.shape == pictures.shape
    assert 0.02 < (changed - pictures).abs().mean() < 0.6
    assert changed[:, :, :2, :2].mean() > 0.7  # corners stay white


def test_the_shipped_model_is_that_of_the_recipe() -> None:
    file = checkpoint_file("clip-shapes")
    assert file.stat().st_size <= 4_000_000
    card = read_card(file)
    _, recipe, world = recipes.RECIPES["clip-shapes"]()
    assert card["config"] == recipe.parts
    assert card["steps"] == recipe.steps
    assert card["cpu_s"] <= 800
    rows = world.examine(TrainedCLIP.load("clip-shapes"))
    for row, told in zip(rows, card["evaluation"], strict=True):
        assert row["accuracy"] == pytest.approx(told["accuracy"], abs=0.005)
        assert row["accuracy"] >= 0.995


def test_names_of_trained_words() -> None:
    test = clip_openmoji.emoji("test").entries
    by_name = {entry.name_en: entry for entry in test}
    assert clip_openmoji.composed(by_name["purple circle"], "en")
    assert not clip_openmoji.composed(by_name["crocodile"], "en")
    assert clip_openmoji.words_of("nine o’clock: 9") == {"nine", "o", "clock", "9"}
