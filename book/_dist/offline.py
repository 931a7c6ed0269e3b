"""The book in one zip: pages, notebooks, exercises, the package. Same files, same zip."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from contents import Trouble

START = Path(__file__).with_name("start.html")
ALONE = ("requirements.txt", "jupytext.toml", "LICENSE", "CITATION.cff")
CACHES = {"__pycache__", "reports"}
FIRST = 315_532_800  # 1 January 1980, the oldest time that a zip can hold


def write_zip(root: Path, html: Path, wheel: Path | None, target: Path, version: str) -> Path:
    """Write `target` anew; it unpacks to one folder of the same name.

    Args:
        root: the course's folder.
        html: the built pages.
        wheel: the package as a wheel, to be installed where there is no network; None: left out.
        target: the zip.
        version: of the course.

    Raises:
        Trouble: there is no built book.
    """
    if not (html / "index.html").is_file():
        raise Trouble(f"no book in {html}: build it first (make book)")
    start = START.read_text(encoding="utf-8").replace("VERSION", version)
    start = start.replace("WHEEL", wheel.name if wheel else "mmcourse")
    texts: dict[str, bytes | Path] = {"START_HERE.html": start.encode()}
    texts |= dict(_files(root, html))
    if wheel:
        texts[wheel.name] = wheel
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for name, content in sorted(texts.items()):
            data = content if isinstance(content, bytes) else content.read_bytes()
            made.writestr(_entry(f"{target.stem}/{name}"), data)
    part.replace(target)
    return target


def _files(root: Path, html: Path) -> Iterator[tuple[str, Path]]:
    """(name in the zip, file); nothing hidden, no cache."""
    for path in html.rglob("*"):
        inside = path.relative_to(html)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden and not CACHES & set(inside.parts):
            yield f"book/{inside.as_posix()}", path
    for folder, pattern in (
        ("notebooks", "*.ipynb"),
        ("notebooks", "*.md"),
        ("exercises", "*.ipynb"),
    ):
        for path in (root / folder).glob(pattern):
            yield f"{folder}/{path.name}", path
    for name in ALONE:
        if (root / name).is_file():
            yield name, root / name


def _entry(name: str) -> zipfile.ZipInfo:
    """A file of the zip whose time does not depend on when it was made, nor its rights on where."""
    moment = max(int(os.environ.get("SOURCE_DATE_EPOCH", FIRST)), FIRST)
    entry = zipfile.ZipInfo(name, time.gmtime(moment)[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = 0o100644 << 16
    return entry
