"""The built book, for all tests of this folder."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built pages; built first where there is none."""
    if not (HTML / "index.html").is_file():
        command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--toc"]
        command += ["book/_toc.yml", "-W", "--keep-going"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
        assert run.returncode == 0, f"the book does not build:\n{run.stdout}\n{run.stderr}"
    return HTML


@pytest.fixture(scope="session")
def pages(book: Path) -> list[Path]:
    """Every page of the book, the search page and the front door included."""
    found = [p for p in sorted(book.rglob("*.html")) if "_static" not in p.parts]
    assert len(found) > 10
    return found


@pytest.fixture(scope="session")
def server(book: Path) -> Iterator[str]:
    """The book behind a server on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(book)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
