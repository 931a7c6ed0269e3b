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

import pytest
from browser import open_page
from nbformat import v4, write
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TESTS = Path(__file__).parents[1]
SETUP = f"""
import json, sys
sys.path.insert(0, {str(TESTS)!r})
from widgets_page import attention, noise, scrubber

def follow(widget, *names):
    def note(change):
        with open("seen.jsonl", "a") as file:
            file.write(json.dumps([type(widget).__name__, change.name, change.new]) + "\\n")
    widget.observe(note, list(names))
    return widget

answer = scrubber()
answer.observe(lambda change: setattr(answer, "frame", 9) if change.new == 1 else None, "frame")
"""
CELLS = [
    SETUP,
    'follow(attention(), "layer", "pinned")',
    'follow(noise(), "step", "slip")',
    'follow(answer, "frame")',
]


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
    with open_page(browser, where, height=1400, allow=(address,), clean=False) as page:
        page.wait_for_function("window.jupyterapp?.started", timeout=90_000)
        page.evaluate("window.jupyterapp.started")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
        page.wait_for_function(
            "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus"
            " === 'connected'",
            timeout=90_000,
        )
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        expect(page.locator(".mm-widget")).to_have_count(3, timeout=90_000)
        yield page


@pytest.fixture
def seen(lab: tuple[str, Path]) -> Callable[[str, str, object], None]:
    """Wait until the kernel has seen a trait of a widget take a value."""
    path = lab[1] / "seen.jsonl"

    def wait(widget: str, trait: str, value: object) -> None:
        line = json.dumps([widget, trait, value])
        until(lambda: line in path.read_text().splitlines(), f"the kernel knows {line}")

    return wait


def test_moving_a_control_moves_the_kernel(notebook: Page, seen) -> None:
    attention = notebook.locator(".mm-widget").nth(0)
    attention.get_by_label("Layer", exact=True).press("End")
    seen("AttentionExplorer", "layer", 1)
    attention.get_by_role("toolbar").get_by_role("button").nth(3).click()
    seen("AttentionExplorer", "pinned", 3)


def test_presets_reach_the_kernel_whole(notebook: Page, seen) -> None:
    noise = notebook.locator(".mm-widget").nth(1)
    noise.get_by_role("button", name="The slip").click()
    seen("NoiseScheduleExplorer", "step", 900)
    seen("NoiseScheduleExplorer", "slip", True)


def test_the_kernel_answers(notebook: Page, seen) -> None:
    scrubber = notebook.locator(".mm-widget").nth(2)
    scrubber.get_by_label("Frame", exact=True).press("ArrowRight")
    seen("DenoisingScrubber", "frame", 1)
    expect(scrubber.locator(".mm-summary")).to_contain_text("Frame 10 of 11", timeout=30_000)


def test_the_widgets_fill_their_place(notebook: Page) -> None:
    for index in range(3):
        box = notebook.locator(".mm-widget").nth(index).bounding_box()
        assert box is not None
        assert box["width"] > 500
