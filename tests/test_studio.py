"""Drawing, laying out and judging, on a model that draws by heart."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import randomise, rejects
from lessons import ROOT
from PIL import Image

from mmcourse import cli, studio
from mmcourse.data import Shapes, parse, place, render
from mmcourse.diffusion import TextToImage, attention_maps
from mmcourse.recipes.text_to_image import PARTS
from mmcourse.training import save_checkpoint


class Illustrator:
    """Draws what is asked for with the renderer, or always the same."""

    def __init__(self, stubborn: bool = False) -> None:
        self.stubborn = stubborn

    def generate(self, prompts: list[str], *, seed: int, **options: object) -> torch.Tensor:
        if self.stubborn:
            prompts = ["a large red circle on black"] * len(prompts)
        generator = torch.Generator().manual_seed(seed)
        return render([place(parse(text), generator=generator) for text in prompts], 64)


def test_the_examination_praises_the_perfect_and_sees_through_the_stubborn() -> None:
    rows = list(studio.examination(Illustrator(), count=12))
    assert len(rows) == 3 * 2 * 2
    # the oracle itself misreads a crowded picture now and then
    assert min(row["exact"] for row in rows) >= 0.9
    assert {(row["pairs"], row["language"]) for row in rows} == {
        (pairs, language) for pairs in ("seen", "held-out") for language in ("en", "ko")
    }
    stubborn = list(studio.examination(Illustrator(stubborn=True), count=12))
    assert max(row["all"] for row in stubborn) <= 0.2


def test_agreement_is_the_mean_of_the_scores() -> None:
    data = Shapes(64, 6, objects=2)
    scenes, pictures = data.scenes(range(6)), data.images()
    assert studio.agreement(pictures, scenes)["all"] == 1
    swapped = studio.agreement(pictures, scenes[1:] + scenes[:1])
    assert swapped["exact"] == 0
    with rejects("one scene for each picture"):
        studio.agreement(pictures, scenes[1:])


def test_layout_puts_pictures_in_rows() -> None:
    pictures = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 3, 4, 4) / 10
    whole = studio.layout(pictures, 2, gap=1)
    assert whole.shape == (3, 9, 9)
    assert whole[0, 0, 0] == 0
    torch.testing.assert_close(whole[0, 0, 8], torch.tensor(0.1))
    torch.testing.assert_close(whole[0, 8, 0], torch.tensor(0.2))
    assert whole[0, 8, 8] == 1  # nothing there: white
    assert whole[0, 4, 0] == 1
    with rejects("columns must be at least 1"):
        studio.layout(pictures, 0)


def test_a_saved_picture_has_its_colours(tmp_path: Path) -> None:
    picture = torch.tensor([1.0, -1.0, 0.0]).reshape(3, 1, 1).expand(3, 2, 2)
    studio.save_picture(picture, tmp_path / "a.png", enlarge=3)
    found = Image.open(tmp_path / "a.png")
    assert found.size == (6, 6)
    assert found.getpixel((5, 5)) == (255, 0, 128)
    with rejects("end the file's name in .png"):
        studio.save_picture(picture, tmp_path / "a.paint")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = {**PARTS, "T": 20, "reader": {"width": 8, "depth": 1, "num_heads": 2}}
    parts["autoencoder"] = {**PARTS["autoencoder"], "channels": [8, 8]}
    parts["unet"] = {**PARTS["unet"], "channels": [8, 8], "num_heads": 2}
    model = TextToImage.build(parts)
    randomise(model.model, scale=0.3)
    file = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_checkpoint(file, model.model, {"config": parts})
    return file


def mmcourse(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmcourse", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_the_command_draws_a_grid(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    words = ["a red circle", "검은 배경에 파란 별"]
    options = ["--grid", "3", "--steps", "2", "--enlarge", "1", "--json"]
    done = mmcourse("generate", *words, "--out", out, "--model", tiny, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pictures"] == 6
    assert Image.open(out).size == (3 * 66 - 2, 2 * 66 - 2)


def test_a_strip_goes_from_noise_to_the_picture(tiny: Path) -> None:
    model = TextToImage.load(tiny, device="cpu")
    frames = studio.strip(model, "a red circle", frames=4, steps=6, seed=2)
    assert frames.shape == (4, 3, 64, 64)
    torch.testing.assert_close(frames[-1:], model.generate("a red circle", steps=6, seed=2))
    whole = studio.strip(model, "a red circle", frames=6, steps=6, seed=2)
    torch.testing.assert_close(whole[[0, 1, 3, 5]], frames)
    for wrong in (1, 7):
        with rejects(f"frames must be in 2 … steps = 6, got {wrong}"):
            studio.strip(model, "a red circle", frames=wrong, steps=6)


def test_a_sketcher_shows_the_way_there(tiny: Path) -> None:
    model = TextToImage.load(tiny, device="cpu")
    told: list[torch.Tensor] = []
    draw = studio.sketcher(model, count=3, steps=6)
    pictures = draw("a red circle", 2, told.append)
    torch.testing.assert_close(pictures, model.generate(["a red circle"] * 3, steps=6, seed=2))
    assert [one.shape for one in told] == [(3, 3, 64, 64)] * 3
    torch.testing.assert_close(told[-1], pictures)
    with rejects("unknown word 'cirkle'"):
        draw("a cirkle", 0, told.append)


def test_a_story_is_the_picture_s_own(tiny: Path) -> None:
    model = TextToImage.load(tiny, device="cpu")
    story = studio.storyteller(model)("a red circle", 2, steps=6, negative="a star")
    wanted = model.generate("a red circle", steps=6, seed=2, negative="a star")
    torch.testing.assert_close(story.pictures[-1:], wanted)
    whole = studio.strip(model, "a red circle", frames=6, steps=6, seed=2, negative="a star")
    torch.testing.assert_close(story.pictures, whole)
    assert story.words == ["a", "red", "circle"]
    assert story.maps.shape == (6, model.size, model.size, model.vocabulary.length)
    torch.testing.assert_close(story.maps.sum(-1), torch.ones(6, model.size, model.size))
    context = model.model.reader(model.vocabulary.encode(["a red circle"]))
    start = torch.randn(1, model.model.autoencoder.latent_channels, model.size, model.size,
                        generator=torch.Generator().manual_seed(2))  # fmt: skip
    layers = attention_maps(model.model.unet, start, model.model.walk(6)[0], context).values()
    fine = [m.mean(dim=1) for m in layers if m.shape[2:4] == start.shape[2:]]
    torch.testing.assert_close(story.maps[:1], torch.stack(fine).mean(dim=0))
    with rejects("unknown word 'cirkle'"):
        studio.storyteller(model)("a cirkle", 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a red cirkle"], "unknown word 'cirkle'; the nearest known: circle"),
        (["   "], "at least one word"),
        (["a red circle", "--steps", "0"], "--steps"),
        (["a red circle", "--steps", "2000"], "steps must be"),
        (["a red circle", "--scale", "nan"], "finite"),
        (["a red circle", "--scale", "-2"], "scale must be at least 0, got -2"),
        (["a red dog above a blu cirkle"], "'dog', 'blu' (near: blue), 'cirkle' (near: circle)"),
        (["a red circle", "--negative", "a dog"], "unknown word 'dog'"),
        (["a red circle", "--model", "nothing"], "no checkpoint 'nothing'"),
        (["a red circle", "--device", "abacus"], "device must be"),
        (["a red circle", "--out", "FOLDER/gone/a.png"], "No such file or directory"),
        (["a red circle", "--out", "FOLDER/a.paint"], "end the file's name in .png"),
        (["a red circle", "a blue star", "--strip", "3"], "one prompt"),
        (["a red circle", "--strip", "1"], "--strip"),
        (["a red circle", "--strip", "50", "--steps", "5"], "--strip 50 needs as many --steps"),
        (["a red circle", "--model", "FOLDER/alone.safetensors"], "needs its card alone.json"),
        (["a red circle", "--model", "FOLDER/damaged.safetensors"], "copy both again"),
        (["a red circle", "--model", "FOLDER/short.safetensors"], "damaged or cut short"),
        (["a red circle", "--model", "FOLDER/short.json"], "expected a .safetensors file"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    tiny: Path,
    tmp_path: Path,
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(tiny, tmp_path)
    words = [word.replace("FOLDER", str(tmp_path)) for word in arguments]
    if "--model" not in words:
        words += ["--model", str(tiny)]
    if "--out" not in words:
        words += ["--out", str(tmp_path / "a.png")]
    if "--steps" not in words:
        words += ["--steps", "2"]
    refuse(["generate", *words], says, monkeypatch, capsys)
    assert not (tmp_path / "a.png").exists()


def spoil(tiny: Path, folder: Path) -> None:
    """A checkpoint without its card, one that lost its end, and one whose card agrees to that."""
    whole, card = tiny.read_bytes(), json.loads(tiny.with_suffix(".json").read_text("utf-8"))
    (folder / "alone.safetensors").write_bytes(whole)
    short = {**card, "sha256": hashlib.sha256(whole[:-9]).hexdigest()}
    for name, told in (("damaged", card), ("short", short)):
        (folder / f"{name}.safetensors").write_bytes(whole[:-9])
        (folder / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")


def test_several_models_are_judged_and_the_card_keeps_it(tiny: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.safetensors" for name in ("a", "b")]
    for seed, file in enumerate(files):
        loaded = TextToImage.load(tiny, device="cpu")
        save_checkpoint(file, loaded.model, {"config": loaded.config, "seed": seed})
    options = ["--count", "2", "--steps", "1", "--seeds", "2", "--json", "--keep"]
    done = mmcourse("evaluate", *files, *options)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(row["trained"], row["seed"]) for row in rows[::12]] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert len(rows) == 48
    assert rows[0] != {**rows[12], "seed": 1} or rows[1] != {**rows[13], "seed": 1}
    card = json.loads(files[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert card["evaluation"] == rows
    assert card["evaluated"] == {"steps": 1, "scale": 3.0}
    TextToImage.load(files[0], device="cpu")
    assert "evaluation" not in json.loads(files[1].with_suffix(".json").read_text("utf-8"))


def test_training_and_judging_ask_for_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "emoji-to-text", "--out", str(tmp_path)]
    refuse(
        train,
        "no recipe 'emoji-to-text'; there are clip-openmoji, clip-shapes, text-to-emoji, "
        "text-to-image",
        monkeypatch,
        capsys,
    )
    refuse(["evaluate", "nothing"], "no checkpoint 'nothing'", monkeypatch, capsys)


def refuse(
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command ends with status 2 and one line that says why."""
    monkeypatch.setattr(sys, "argv", ["mmcourse", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    told = capsys.readouterr()
    assert stopped.value.code == 2
    assert says in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
