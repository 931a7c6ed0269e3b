"""Latent editor: what it accepts and says, and a decoder behind it, in a kernel and in a page."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect
from widgets.conftest import node
from widgets_page import latents, small_decoder

from mmcourse.inpage import PageModel, Part
from mmcourse.widgets import LatentEditor
from mmcourse.widgets.base import compose

GOOD: dict[str, Any] = {"names": ["a", "b"], "edits": ["as encoded", "other"]}
Z = np.zeros((2, 2, 2, 4, 4))
PICTURES = np.zeros((2, 2, 3, 16, 16))


def decoder() -> PageModel:
    return PageModel(
        "small-decoder", {"decoder": Part(small_decoder(), {"z": torch.zeros(1, 2, 4, 4)})}
    )


# ---- in Python ----


def test_the_sentence_counts() -> None:
    made = latents(scene=1, edit=1, place=5)
    first, now = made._pictures[1].astype(int)
    apart = np.abs(first - now).max(axis=0)
    assert made.alt == (
        f"“a hole”, channel 1 at 0: channel 1, row 2, column 2 holds 0.00, before "
        f"{made._latents[1, 0, 0, 1, 1]:.2f}. ".replace("-", "−")
        + f"{(apart > 8).mean():.0%} of the pixels changed by "
        f"more than 8 grey levels, at most by {apart.max()}."
    )
    assert "before" not in latents(scene=1, edit=0, place=5).alt


@pytest.mark.parametrize(
    ("z", "pictures", "options", "message"),
    [
        (Z[0], PICTURES, {}, "scenes, edits, channels, rows, columns"),
        (Z * np.nan, PICTURES, {}, "finite"),
        (Z, PICTURES[:1], {}, r"2 scenes and 2 edits, got \(2, 2\) and \(1, 2\)"),
        (Z, PICTURES, {"names": ["a"]}, "1 scenes and 2 edits"),
        (Z, PICTURES, {"edit": 2}, "edit must be a whole number from 0 to 1, got 2"),
        (Z, PICTURES, {"place": 16}, "place must be a whole number from 0 to 15"),
    ],
)
def test_what_does_not_fit_is_refused(
    z: Any, pictures: Any, options: dict[str, Any], message: str
) -> None:
    with rejects(message):
        LatentEditor(z, pictures, **(GOOD | options))


def test_the_kernel_decodes() -> None:
    made = latents(live=decoder())
    z = torch.randn(1, 2, 4, 4)
    message = {"part": "decoder", "inputs": [["z", [1, 2, 4, 4], "float32"]]}
    assert made.run({}, []) == ({"ready": True}, [])
    said, buffers = made.run(message, [memoryview(z.numpy().tobytes())])
    assert said == {"outputs": [["out", [1, 3, 16, 16]]]}
    found = torch.from_numpy(np.frombuffer(buffers[0], dtype=np.float32).copy())
    torch.testing.assert_close(found, small_decoder()(z).detach().flatten())


@pytest.mark.parametrize(
    ("part", "name", "shape", "kind", "problem"),
    [
        ("painter", "z", [1, 2, 4, 4], "float32", "the model has the parts decoder"),
        ("decoder", "x", [1, 2, 4, 4], "float32", "z must be (1, 2, 4, 4), got nothing"),
        ("decoder", "z", [2, 1, 4, 4], "float32", "z must be (1, 2, 4, 4), got (2, 1, 4, 4)"),
        ("decoder", "z", [1, 2, 4, 5], "float32", "cannot reshape"),
        ("decoder", "z", [1, 2, 4, 4], "float99", "numbers are float32 or int32"),
    ],
)
def test_a_wrong_question_gets_a_sentence(
    part: str, name: str, shape: list[int], kind: str, problem: str
) -> None:
    made = latents(live=decoder())
    data = np.zeros(32, dtype=np.float32).tobytes()
    said, buffers = made.run({"part": part, "inputs": [[name, shape, kind]]}, [data])
    assert problem in said["problem"]
    assert buffers == []
    assert latents().run({}, []) == ({"ready": False}, [])


def test_graphs_are_made_only_for_a_book(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmcourse.inpage.page_model import BUILDING, MIME

    monkeypatch.delenv(BUILDING, raising=False)
    made = latents(live=decoder())
    assert MIME not in made._repr_mimebundle_()[0]
    monkeypatch.setenv(BUILDING, "1")
    kept = made._repr_mimebundle_()[0][MIME]
    assert kept["name"] == "small-decoder" == made.model
    assert list(kept["parts"]) == ["decoder"]
    with rejects("small letters"):
        PageModel("Small", {"decoder": Part(small_decoder(), {})})
    with rejects("at least one part"):
        PageModel("small", {})


# ---- its maths under node ----


def js(expression: str) -> Any:
    code = compose("latent_editor", "js", ("model_host",)).replace("export ", "// ")
    code += f"\nprocess.stdout.write(JSON.stringify({expression}));"
    done = subprocess.run([node(), "-e", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_shifting_and_gaps() -> None:
    z = np.arange(24.0).reshape(2, 3, 4)
    wanted = np.concatenate([z[..., :1], z[..., :-1]], axis=-1)
    assert js(f"[...shifted({z.ravel().tolist()}, 6, 4)]") == wanted.ravel().tolist()
    one, two = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 5))
    apart = np.abs(one - two).max(axis=0).ravel().tolist()
    assert js(f"[...gaps({one.ravel().tolist()}, {two.ravel().tolist()})]") == apart


# ---- in a page ----


@pytest.fixture(scope="module")
def found(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locator]:
    address = live_page(tmp_path_factory.mktemp("live"), [latents(live=decoder())])
    with open_page(browser, address) as page:
        yield page.locator(".mm-widget")


PICTURE = """(root, index) => {
  const canvas = root.querySelectorAll(".mm-latent canvas")[index];
  const copy = Object.assign(document.createElement("canvas"), { width: 16, height: 16 });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, 16, 16);
  return [0, 1, 2].map((c) => Array.from({ length: 256 }, (_, i) => data[4 * i + c]));
}"""


def decoded(z: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return ((small_decoder()(z) + 1) * 127.5)[0]


def painted(found: Locator, z: torch.Tensor) -> None:
    """The page shows what the decoder paints from z, within one grey level, before long."""
    wanted, apart = decoded(z), float("inf")
    for _ in range(100):
        picture = torch.tensor(found.evaluate(PICTURE, 2)).reshape(3, 16, 16)
        apart = float((picture - wanted).abs().max())
        if apart <= 1:
            return
        found.page.wait_for_timeout(100)
    raise AssertionError(f"the picture is {apart} grey levels from what the decoder paints")


def test_the_page_decodes_what_is_set(found: Locator) -> None:
    expect(found.get_by_label("Number at this place")).to_be_hidden()
    found.get_by_role("button", name="Load the model").click()
    expect(found.locator(".mm-hint")).to_contain_text("runs in this page", timeout=60_000)
    grid = found.get_by_role("group", name="Places of the latent")
    grid.press("ArrowDown")
    grid.press("ArrowRight")
    found.get_by_label("Number at this place").fill("-4")
    expect(found.locator(".mm-summary")).to_contain_text("row 2, column 2 holds −4.00, before")
    z = torch.from_numpy(latents()._latents[:1, 0]).float()
    z[0, 0, 1, 1] = -4
    painted(found, z)
    found.get_by_role("button", name="Set this channel to 0").click()
    found.get_by_role("button", name="Shift everything right by one").click()
    z[0, 0] = 0
    z = torch.cat([z[..., :1], z[..., :-1]], dim=-1)
    painted(found, z)
    assert violations(found.page, "main") == []
    change = found.get_by_label("Change", exact=True)
    expect(change.locator("option:checked")).to_have_text("Your changes")
    found.get_by_role("button", name="Undo my changes").click()
    expect(found.locator(".mm-summary")).to_contain_text("The picture is as it was.")
    expect(change.locator("option:checked")).to_have_text("as encoded")
    expect(change.locator("option")).to_have_count(2)
    found.get_by_role("button", name="Set this channel to 0").click()
    expect(change.locator("option:checked")).to_have_text("Your changes")
    change.select_option("as encoded")  # what the widget had before, so that its state is the same
    expect(found.locator(".mm-summary")).to_contain_text("The picture is as it was.")


def test_a_storm_of_changes_ends_with_the_last(found: Locator) -> None:
    slider = found.get_by_label("Number at this place")
    slider.evaluate(
        """(node) => { for (let i = -50; i <= 40; i++) {
             node.value = i / 10; node.dispatchEvent(new Event("input")); } }"""
    )
    expect(found.locator(".mm-summary")).to_contain_text("row 2, column 2 holds 4.00")
    z = torch.from_numpy(latents()._latents[:1, 0]).float()
    z[0, 0, 1, 1] = 4
    painted(found, z)


def test_without_files_the_stored_edits_stay(browser: Browser, tmp_path: Path) -> None:
    address = live_page(tmp_path, [latents(live=decoder())])
    for path in (tmp_path / "_static" / "mm" / "models").glob("small-decoder-*.js"):
        path.unlink()
    with open_page(browser, address, clean=False) as page:
        widget = page.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.locator(".mm-hint")).to_contain_text("the model's files are missing here")
        widget.get_by_label("Change", exact=True).select_option("channel 1 at 0")
        expect(widget.locator(".mm-summary")).to_contain_text("channel 1 at 0: channel 1")
