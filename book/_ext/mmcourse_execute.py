"""Lessons are run before they are read: several at once, each in a kernel of its own.

Sphinx reads one page after the other and runs each lesson as it comes to it. A lesson keeps one
core busy, so that the others would idle. Here the lessons of a build are run beforehand, as many
as there are cores, into the cache in which Sphinx then finds them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache
from myst_nb.core.execute import create_client
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
MOST = 4  # lessons at once: each may take up to 2 GB


class Quiet:
    """Says nothing: a lesson that fails here fails again, and is told, when Sphinx reads it."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None


def run_lesson(app: Sphinx, name: str) -> bool:
    """Run a page of the book if it is a notebook and the cache does not hold its outputs yet.

    Returns:
        Whether it is a notebook whose outputs are now in the cache.
    """
    path = Path(app.env.doc2path(name))
    settings = app.env.mystnb_config
    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), app.env.myst_config, settings, text)
    if reader is None:
        return False
    notebook = reader.read(text)
    try:
        with create_client(notebook, path, settings, Quiet(), reader.read_fmt):
            return True
    except Exception as error:  # Sphinx runs it once more and tells what is wrong, see `Quiet`
        logger.info("%s runs again: %s", name, f"{type(error).__name__}: {error}"[:300])
        return False


def run_lessons(app: Sphinx, env: Any, names: list[str]) -> None:
    """Run the lessons among the pages that are about to be read."""
    several = min(os.cpu_count() or 1, MOST)
    if app.env.mystnb_config.execution_mode != "cache" or several < 2 or len(names) < 2:
        return
    logger.info("running lessons, %d at once …", several)
    get_cache(app.env.mystnb_config.execution_cache_path).list_cache_records()  # made by one alone
    with ThreadPoolExecutor(several) as pool:
        done = sum(pool.map(lambda name: run_lesson(app, name), sorted(names)))
    logger.info("%d lessons are in the cache", done)


def setup(app: Sphinx) -> None:
    """Listen before pages are read."""
    app.connect("env-before-read-docs", run_lessons)
