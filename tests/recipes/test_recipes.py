"""Recipes: a killed run ends as if it had not been, two processes as one."""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import randomise, rejects
from ranks import launch

from mmcourse import recipes
from mmcourse.data import Shapes, parse, sample_scene
from mmcourse.diffusion import TextToImage
from mmcourse.diffusion.autoencoder import KLAutoencoder
from mmcourse.recipes import text_to_emoji
from mmcourse.recipes.autoencoder import (
    decoder_loss,
    moved,
    slightly_wrong,
    some_moves,
    standardise,
)
from mmcourse.recipes.resume import Plan
from mmcourse.recipes.syllabus import SYLLABUS, late, stage_at, tellings, told_both_ways
from mmcourse.recipes.text_to_image import PARTS, TEXT_TO_IMAGE, Scenes
from mmcourse.recipes.workshop import Workshop, vocabulary_of
from mmcourse.weights import read_tensors, sha256

SCRIPT = Path(__file__).parent / "tiny_recipe.py"
TINY = runpy.run_path(str(SCRIPT))["TINY"]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = run(sys.executable, SCRIPT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def losses(folder: Path, rank: int = 0) -> list:
    return json.loads((folder / f"losses-{rank}.json").read_text())


def test_a_run_ends_with_a_model_that_draws(whole: Path) -> None:
    model = TextToImage.load(whole / "text-to-image.safetensors", device="cpu")
    assert model.generate(["a big red circle", "빨간 동그라미"], steps=2).shape == (
        2,
        3,
        16,
        16,
    )
    card = json.loads((whole / "text-to-image.json").read_text())
    assert card["seed"] == 3
    assert card["parameters"] == sum(p.numel() for p in model.model.parameters())


def test_a_killed_run_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    for stage, step in (("autoencoder", 5), ("decoder", 3), ("diffusion", 4)):
        killed = run(sys.executable, SCRIPT, tmp_path, stage, str(step))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run(sys.executable, SCRIPT, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("autoencoder", "decoder", "text-to-image"):
        assert sha256(tmp_path / f"{name}.safetensors") == sha256(whole / f"{name}.safetensors")
    assert losses(tmp_path) == losses(whole)[-len(losses(tmp_path)) :]


def test_two_processes_give_the_losses_of_one(whole: Path, tmp_path: Path) -> None:
    done = launch(SCRIPT, tmp_path, processes=2)
    assert done.returncode == 0, done.stderr
    wanted = [loss for stage, _, loss in losses(whole) if stage != "latents"]
    assert len(wanted) == 7 + 5 + 9
    for rank in range(2):
        found = [loss for stage, _, loss in losses(tmp_path, rank) if stage != "latents"]
        torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=2e-3, atol=1e-4)


def test_standard_latents_decode_to_the_same_pictures() -> None:
    torch.manual_seed(0)
    model = randomise(KLAutoencoder(**TINY.parts["autoencoder"])).eval()
    pictures = Shapes(16, 64, split="all").images()
    before = model.encode(pictures)[0]
    again = model.decode(before)
    assert before.var() < 0.5  # far from 1
    standardise(model, pictures)
    z, log_variance = model.encode(pictures)
    torch.testing.assert_close(z.square().mean(), torch.tensor(1.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(model.decode(z), again, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        torch.corrcoef(z.movedim(1, 0).flatten(1)),
        torch.corrcoef(before.movedim(1, 0).flatten(1)),
        atol=1e-4,
        rtol=1e-4,
    )
    assert log_variance.max() == -30


def test_half_of_the_latents_move_with_their_pictures() -> None:
    moves = some_moves(6, torch.Generator().manual_seed(0))
    x = torch.rand(6, 3, 8, 8)
    torch.testing.assert_close(moved(x, moves)[1::2], x[1::2])
    assert (moved(x, moves)[::2] - x[::2]).abs().flatten(1).amax(1).min() > 0.01
    # by one pixel of eight to the left
    shift = torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(moved(x[:1], shift)[..., :-1], x[:1, ..., 1:])


def test_the_second_training_leaves_the_latents_as_they_are(whole: Path) -> None:
    before, after = (read_tensors(whole / f"{n}.safetensors") for n in ("autoencoder", "decoder"))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}


def test_latents_are_a_little_wrong_each_by_its_own_strength() -> None:
    wrong = slightly_wrong((4000, 2, 5, 5), torch.Generator().manual_seed(0))
    strength = wrong.flatten(1).std(dim=1)
    assert 0 <= strength.min() < 0.02
    assert strength.mean() == pytest.approx(0.15, abs=0.01)
    assert strength.max() == pytest.approx(0.3, abs=0.1)
    torch.testing.assert_close(wrong.mean(), torch.tensor(0.0), atol=3e-3, rtol=0)


def test_the_decoders_loss_is_that_of_spoilt_latents() -> None:
    torch.manual_seed(0)
    model = randomise(KLAutoencoder(**TINY.parts["autoencoder"])).eval()
    pictures = Shapes(16, 4, split="all").images()
    standardise(model, pictures)
    wrong = torch.randn(4, 2, 2, 2)
    again = model.decode(model.encode(pictures)[0] + wrong)
    expected = (again - pictures).abs().mean() + (again - pictures).square().mean()
    torch.testing.assert_close(decoder_loss(model, (pictures, wrong)), expected)


def test_times_are_late() -> None:
    times = late(torch.linspace(0, 1, 10_001))
    assert times.min() == 0
    assert times.max() == 1
    assert times.median() == pytest.approx(0.72, abs=0.005)


def test_a_folder_keeps_to_its_run(whole: Path) -> None:
    with rejects("tells of another run"):
        recipes.run("text-to-image", whole, steps=1, device="cpu")
    with rejects("no recipe 'emoji'; there are clip-openmoji, clip-shapes, text-to-emoji"):
        recipes.run("emoji", whole)


def test_the_learning_rate_rises_then_falls() -> None:
    plan = Plan(1000, 1e-3, warm=100)
    paces = [plan.pace(step) for step in range(1000)]
    assert paces[0] == pytest.approx(0.01, rel=1e-3)
    assert max(paces) == pytest.approx(0.98, abs=0.01)
    assert paces.index(max(paces)) == 99
    assert paces[-1] == pytest.approx(0.01, abs=1e-3)


def test_every_telling_asks_for_the_scene_and_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    words = vocabulary_of(PARTS)
    for _ in range(200):
        scene = sample_scene(generator=generator)
        told = tellings(scene, "en") + tellings(scene, "ko")
        assert all(parse(text) == scene for text in told)
        assert words.encode(told).shape == (6, 18)


def test_a_scene_is_told_from_both_ends() -> None:
    scene = parse("a red circle below a small blue square")
    there, back = scene.reversed(), scene
    told = told_both_ways(scene)
    assert told == told_both_ways(scene.reversed())
    assert told[0].startswith("a small blue square above a large red circle")
    assert [parse(text) for text in told] == [there] * 3 + [back] * 6 + [there] * 3
    alone = parse("a red circle")
    assert [parse(text) for text in told_both_ways(alone)] == [alone] * 12


@pytest.mark.parametrize(("row", "first"), [(1, "small blue"), (4, "작은 파란"), (7, "large red")])
def test_what_is_named_first_does_not_depend_on_the_language(row: int, first: str) -> None:
    told = told_both_ways(parse("a small blue square above a large red circle"))
    assert told[row].removeprefix("a ").startswith(first)


def test_the_syllabus_begins_with_pairs_told_from_the_top(tmp_path: Path) -> None:
    """Which scenes, captions and times a batch holds, at the beginning and later."""
    shop = Workshop(TEXT_TO_IMAGE, Scenes(), tmp_path, seed=0, device="cpu", tell=lambda *_: None)
    count = 300
    data = {
        "z": torch.arange(count).reshape(-1, 1, 1, 1).expand(-1, 8, 8, 8),
        "objects": torch.arange(count) % 3 + 1,
        "ids": 2 + torch.arange(12).reshape(1, 12, 1).expand(count, 12, 18),
    }

    def seen(steps: range) -> list[torch.Tensor]:
        """Objects of the scenes, captions and times of some steps."""
        batches = [shop._latents(step, data) for step in steps]
        rows, ids, times = (torch.cat([batch[i] for batch in batches]) for i in range(3))
        return [rows[:, 0, 0, 0].long() % 3 + 1, ids[:, 0], times]

    objects, captions, times = seen(range(1, 60))
    assert set(objects.tolist()) == {2}
    assert set(captions.tolist()) == {1, *range(2, 8)}, "no caption, or one of the first six"
    assert times.min() >= 750
    objects, captions, times = seen(range(19_940, 20_001))
    assert set(objects.tolist()) == {1, 2, 3}
    assert set(captions.tolist()) == {1, *range(2, 14)}
    assert times.min() < 300


def test_every_moment_has_its_stage() -> None:
    assert [stage_at(progress) for progress in (0.0, 0.27, 1.0)] == list(SYLLABUS)


def test_other_words_are_read_as_known_ones() -> None:
    words = vocabulary_of(PARTS)
    for text, same in (
        ("The big red plus", "a large red cross"),
        ("커다란 빨간색 네모", "큰 빨간 사각형"),
    ):
        assert torch.equal(words.encode([text]), words.encode([same]))
        assert parse(text) == parse(same)


def test_emoji_held_out_are_new_combinations_of_known_words() -> None:
    found, trained, out = text_to_emoji.emoji()
    assert 100 < len(out) < 250
    assert not {found.entries[i].code for i in trained} & {found.entries[i].code for i in out}
    words = set(text_to_emoji.word_list())
    skins = {f"1F3F{digit}" for digit in "BCDEF"}
    tones = {skin for i in trained for skin in skins & set(found.entries[i].code.split("-"))}
    bases = {found.entries[i].base for i in trained}
    for i in out:
        entry = found.entries[i]
        assert {word for name in text_to_emoji.names(entry) for word in name.split()} <= words
        assert entry.base in bases
        assert skins & set(entry.code.split("-")) <= tones == skins


def test_every_emoji_comes_before_one_comes_again_and_is_moved_a_little() -> None:
    found, trained, _ = text_to_emoji.emoji()
    moved_ones = text_to_emoji.MovedEmoji(2 * len(trained), seed=1)
    assert sorted(moved_ones.rows[: len(trained)].tolist()) == trained
    again = moved_ones.images([5, 6])
    for picture, place in zip(again, (5, 6), strict=True):
        original = found.images([int(moved_ones.rows[place])])[0]
        y, x = (moved_ones.moves[place] - text_to_emoji.SHIFT).tolist()
        inside = slice(4, 60)
        shifted = original.roll((-y, -x), (1, 2))
        torch.testing.assert_close(picture[:, inside, inside], shifted[:, inside, inside])


def test_emoji_are_asked_for_in_both_languages(tmp_path: Path) -> None:
    _, recipe, world = recipes.RECIPES["text-to-emoji"]()
    shop = Workshop(recipe, world, tmp_path, seed=0, device="cpu", tell=lambda *_: None)
    collection = world.collection(300, 4)
    data = {"z": torch.zeros(300, 8, 8, 8), **world.captions(collection)}
    words = vocabulary_of(recipe.parts)
    _, ids, times, _ = shop._latents(1, data)
    known = {tuple(row) for both in data["ids"].tolist() for row in both}
    known.add(tuple(words.empty(1)[0].tolist()))
    assert {tuple(row) for row in ids.tolist()} <= known
    assert 0 <= times.min() <= times.max() < 1000
    assert shop._pictures(3)[0].shape == (32, 3, 64, 64)
