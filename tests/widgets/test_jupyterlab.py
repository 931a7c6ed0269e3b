"""The widgets alive in JupyterLab: a control moved on the page moves the kernel's variable."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import open_page
from live_models import NOUNS, numbered, pronouns
from nbformat import v4, write
from playwright.sync_api import Browser, Locator, Page, expect
from widgets_page import MAKERS, PICTURES, attention, changes, masked, patches, sampling, scrubber

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TESTS = Path(__file__).parents[1]
SETUP = f"""
import json, sys
sys.path.insert(0, {str(TESTS)!r})
from live_models import guessing, reading, telling
from widgets_page import MAKERS, box

def follow(widget):
    def note(change):
        with open("seen.jsonl", "a") as file:
            file.write(json.dumps([type(widget).__name__, change.name, change.new]) + "\\n")
    widget.observe(note, list(widget._controls))
    return widget

made = {{make.__name__: follow(make()) for make in MAKERS}}
answer = made["scrubber"]
answer.observe(lambda change: setattr(answer, "frame", 9) if change.new == 1 else None, "frame")
"""
CELLS = [
    SETUP,
    *(f"made[{make.__name__!r}]" for make in MAKERS),
    "box()",
    "reading()",
    "guessing()",
    "telling()",
]
every = pytest.mark.parametrize("make", MAKERS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.2)
    raise AssertionError(f"after {seconds} s still not: {what}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own, with one notebook: its address and its folder."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    write(v4.new_notebook(cells=cells, metadata=kernel), folder / "widgets.ipynb")
    port = free_port()
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(tmp_path_factory.mktemp(name)) for name in homes}
    own |= {"JUPYTERLAB_SETTINGS_DIR": own[homes[0]], "JUPYTERLAB_WORKSPACES_DIR": own[homes[1]]}
    # No news, no look for updates, no question about either.
    quiet = {"news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"}
    quiet["expose_app_in_browser"] = True
    settings = Path(own[homes[0]]) / "jupyter_lab_config.json"
    settings.write_text(json.dumps({"LabApp": quiet}))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"]
    command += ["--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"]
    command += ["--IdentityProvider.token="]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(
        command, stdout=log, stderr=log, env={**os.environ, **own}, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: urllib.request.urlopen(f"{address}/api").status == 200, "a server answers")
        yield address, folder
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: tuple[str, Path]) -> Iterator[Page]:
    """The notebook, opened and run."""
    address, _ = lab
    where = f"{address}/lab/tree/widgets.ipynb?reset"
    # JupyterLab itself writes to the console; what counts here is that nothing goes outside.
    # The window is so high that every cell stands in sight: those out of it are not drawn.
    high = 1000 * len(CELLS)
    with open_page(browser, where, height=high, allow=(address,), clean=False) as page:
        page.wait_for_function("window.jupyterapp?.started", timeout=90_000)
        page.evaluate("window.jupyterapp.started")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
        page.wait_for_function(
            "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus"
            " === 'connected'",
            timeout=90_000,
        )
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        expect(page.locator(".mm-widget")).to_have_count(len(MAKERS) + 4, timeout=90_000)
        yield page


@pytest.fixture
def seen(lab: tuple[str, Path]) -> Callable[[str, str, object], None]:
    """Wait until the kernel has seen a trait of a widget take a value."""
    path = lab[1] / "seen.jsonl"

    def wait(widget: str, trait: str, value: object) -> None:
        line = json.dumps([widget, trait, value])
        until(lambda: line in path.read_text().splitlines(), f"the kernel knows {line}")

    return wait


@pytest.fixture
def widget(notebook: Page) -> Callable[[Callable[..., Any]], Locator]:
    """A widget of the notebook, by its maker."""
    return lambda make: notebook.locator(".mm-widget").nth(MAKERS.index(make))


# ---- every widget ----


@every
def test_it_draws_and_fills_its_place(widget, make: Any) -> None:
    expect(widget(make).locator(".mm-summary")).not_to_be_empty()
    drawn = widget(make).evaluate(PICTURES)
    assert drawn
    assert all(drawn)
    box = widget(make).bounding_box()
    assert box is not None
    assert box["width"] > 500


@every
def test_a_preset_reaches_the_kernel_whole(widget, seen, make: Any) -> None:
    made = make()
    state = {name: made.presets[-1].get(name) for name in made._controls}
    moved = {n: v for n, v in state.items() if v is not None and v != getattr(made, n)}
    assert moved
    group = widget(make).get_by_role("group", name="Try this")
    changes(widget(make), group.get_by_role("button").last.click)
    for name, value in moved.items():
        seen(type(made).__name__, name, value)


# ---- each its own controls ----


def test_attention(widget, seen) -> None:
    explorer = widget(attention)
    explorer.get_by_label("Layer", exact=True).press("End")
    seen("AttentionExplorer", "layer", 1)
    explorer.get_by_role("toolbar").get_by_role("button").nth(3).click()
    seen("AttentionExplorer", "pinned", 3)


def test_masked_words(widget, seen) -> None:
    explorer = widget(masked)
    for index in (1, 0):  # wherever an earlier test has left it, the last one is a change
        explorer.get_by_label("Sentence", exact=True).select_option(index=index)
    seen("MaskedWords", "sentence", 0)
    words = explorer.get_by_role("toolbar").get_by_role("button")
    changes(explorer, words.nth(2).click)
    seen("MaskedWords", "position", 3)
    words.nth(2).press("ArrowLeft")  # the arrow keys are the widget's, not the notebook's
    words.nth(1).press("Enter")
    seen("MaskedWords", "position", 2)


def test_patch_attention(widget, seen) -> None:
    explorer = widget(patches)
    explorer.get_by_label("Layer", exact=True).select_option(index=1)
    seen("PatchAttention", "layer", 1)
    explorer.get_by_label("Head", exact=True).select_option(index=1)
    seen("PatchAttention", "head", 1)
    board = explorer.get_by_role("group", name="Patches")
    for key in ("Home", "ArrowRight", "ArrowDown", "Enter"):
        board.press(key)
    seen("PatchAttention", "pinned", 5)


def test_sampling(widget, seen) -> None:
    explorer = widget(sampling)
    explorer.get_by_label("Temperature", exact=True).press("ArrowRight")
    seen("SamplingExplorer", "temperature", 1.1)
    explorer.get_by_role("button", name="Clear", exact=True).click()
    explorer.get_by_role("button", name="Draw", exact=True).click()
    seen("SamplingExplorer", "draws", 1)
    explorer.get_by_role("button", name="Append “old”").click()
    seen("SamplingExplorer", "prefix", 2)


def test_the_kernel_answers(widget, seen) -> None:
    film = widget(scrubber)
    film.get_by_label("Frame", exact=True).press("Home")
    film.get_by_label("Frame", exact=True).press("ArrowRight")
    seen("DenoisingScrubber", "frame", 1)
    expect(film.locator(".mm-summary")).to_contain_text("Frame 10 of 11", timeout=30_000)


def test_a_prompt_is_drawn(notebook: Page) -> None:
    drawer = notebook.locator(".mm-widget").nth(len(MAKERS))
    said, line = drawer.locator(".mm-summary"), drawer.get_by_label("Prompt, in English")
    expect(drawer.get_by_role("button", name="Draw")).to_be_enabled(timeout=30_000)
    before = drawer.evaluate(PICTURES)
    line.fill("hole")
    drawer.get_by_label("Seed").fill("3")
    line.press("Enter")
    expect(said).to_have_text("“hole”: 2 pictures from seed 3.", timeout=30_000)
    after = drawer.evaluate(PICTURES)
    assert len(after) == 2
    assert set(after).isdisjoint(before)
    line.fill("dragon")
    drawer.get_by_role("button", name="Draw").click()
    expect(drawer.locator(".mm-problem")).to_contain_text(
        "Unknown word 'dragon'; the nearest known"
    )
    expect(said).to_have_text("“hole”: 2 pictures from seed 3.")
    line.fill("disc")
    line.press("Enter")
    expect(said).to_have_text("“disc”: 2 pictures from seed 3.", timeout=30_000)
    expect(drawer.locator(".mm-problem")).to_have_count(0)


def test_a_sentence_is_read(notebook: Page) -> None:
    explorer = notebook.locator(".mm-widget").nth(len(MAKERS) + 1)
    line = explorer.get_by_label("Your own sentence")
    expect(line).to_be_enabled(timeout=30_000)
    line.fill("it was wide")
    line.press("Enter")
    expect(explorer.locator(".mm-answers li")).to_have_count(4, timeout=30_000)
    shares = pronouns().run("reader", {"ids": numbered("it was wide")})["logits"].softmax(-1)[0]
    best = f"stands for “{NOUNS[int(shares.argmax())]}”, {shares.max():.2f}"
    expect(explorer.locator(".mm-summary")).to_contain_text(best)


def test_a_hidden_word_is_guessed(notebook: Page) -> None:
    explorer = notebook.locator(".mm-widget").nth(len(MAKERS) + 2)
    line = explorer.get_by_label("Your own sentence")
    expect(line).to_be_enabled(timeout=30_000)
    line.fill("my dog is hairy")
    line.press("Enter")
    explorer.get_by_role("toolbar", name="Piece to").get_by_role("button").nth(1).click()
    expect(explorer.locator(".mm-told")).to_contain_text("at place 3", timeout=30_000)
    expect(explorer.locator(".mm-own .mm-guesses li").first).to_be_visible()


def test_a_picture_s_story_is_told(notebook: Page) -> None:
    drawer = notebook.locator(".mm-widget").nth(len(MAKERS) + 3)
    line = drawer.get_by_label("Prompt, in English")
    expect(drawer.get_by_role("button", name="Draw")).to_be_enabled(timeout=30_000)
    line.fill("hole")
    drawer.get_by_label("Steps", exact=True).fill("4")
    line.press("Enter")
    told = "“hole”: seed 0, step 4 of 4, guidance 3."
    expect(drawer.locator(".mm-summary")).to_have_text(told, timeout=30_000)
    expect(drawer.locator(".mm-strip-of-steps canvas")).to_have_count(4)
    drawer.get_by_role("button", name="there", exact=True).click()
    picture = drawer.locator(".mm-drawn canvas")
    expect(picture).to_have_attribute(
        "aria-label", "“hole” after step 4 of 4, lit where “there” is read"
    )
    line.fill("dragon")
    drawer.get_by_role("button", name="Draw").click()
    expect(drawer.locator(".mm-problem")).to_contain_text("Unknown word 'dragon'")
