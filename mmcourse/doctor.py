"""What is installed, which device, how fast, what is missing and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DISK_GB = 5.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `mend` is empty when it is well."""

    name: str
    value: str
    mend: str = ""


def examine(root: Path) -> list[Finding]:
    """Looks at everything; takes a few seconds, most of them importing torch."""
    found = [python(), *packages(root), disk(root), korean_font(), browser(), sandbox()]
    if importlib.util.find_spec("torch") is not None:
        found += [device(), speed()]
    return found


def as_json(found: list[Finding]) -> dict[str, Any]:
    """The findings for machines."""
    return {"ok": not any(f.mend for f in found), "findings": [asdict(f) for f in found]}


def python() -> Finding:
    """The interpreter's version."""
    good = sys.version_info >= (3, 11)
    value = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("Python", value, "" if good else "install Python 3.11 or newer")


def packages(root: Path) -> Iterator[Finding]:
    """Installed versions against the lock."""
    lock = root / "requirements.txt"
    if not lock.is_file():
        yield Finding("Packages", "no requirements.txt beside the package: nothing to compare")
        return
    pins = dict(locked(lock.read_text(encoding="utf-8")))
    wrong = [line for name, pin in pins.items() if (line := _differs(name, pin))]
    for line in wrong:
        yield Finding("Package", line, f"{sys.executable} -m pip install -r requirements.txt")
    if not wrong:
        yield Finding("Packages", f"all {len(pins)} as in requirements.txt")


def locked(text: str) -> Iterator[tuple[str, str]]:
    """(name, version) of every pin whose marker holds on this machine."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in text.splitlines():
        try:
            wanted = Requirement(line.split("#")[0].split("--hash")[0].strip(" \\"))
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate():
            for pin in wanted.specifier:
                yield wanted.name, pin.version


def _differs(name: str, pin: str) -> str:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing (wanted {pin})"
    # torch's CPU build calls itself 2.0.0+cpu, which is the same release.
    same = version.split("+")[0] == pin.split("+")[0]
    return "" if same else f"{name} is {version}, wanted {pin}"


def disk(root: Path) -> Finding:
    """Free space where the course lies."""
    free = shutil.disk_usage(root).free / 1e9
    mend = "" if free >= DISK_GB else f"free at least {DISK_GB:.0f} GB: the book and torch need it"
    return Finding("Disk", f"{free:.0f} GB free", mend)


def korean_font() -> Finding:
    """The font that figures with Korean labels use."""
    spec = importlib.util.find_spec("pylopdf_fonts_ko")
    places = list(spec.submodule_search_locations or []) if spec else []
    files = [f for place in places for f in Path(place).rglob("*") if f.suffix in (".ttf", ".otf")]
    if files:
        return Finding("Korean font", files[0].name)
    return Finding("Korean font", "missing", f"{sys.executable} -m pip install pylopdf-fonts-ko")


def browser() -> Finding:
    """The browser that the book's tests drive."""
    for name in BROWSERS:
        path = shutil.which(name)
        if path:
            return Finding("Browser", path)
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    if any(cache.glob("chromium-*")):
        return Finding("Browser", f"Playwright's, in {cache}")
    mend = "apt-get install chromium, or: playwright install chromium (the book's tests need it)"
    return Finding("Browser", "no Chromium", mend)


def sandbox() -> Finding:
    """The level at which submissions are graded."""
    from mmcourse.grading.sandbox import best_isolation

    level = best_isolation().level
    mend = "" if level != "process" else "to grade other people's work: apt-get install bubblewrap"
    return Finding("Grading sandbox", level, mend)


def device() -> Finding:
    """What torch will train on."""
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Finding("Device", f"cuda: {torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
    if torch.backends.mps.is_available():
        return Finding("Device", "mps (Apple GPU)")
    return Finding("Device", f"cpu: {os.cpu_count()} processors, {torch.get_num_threads()} threads")


def speed(size: int = 1024) -> Finding:
    """Best of five float32 matrix products on the processor."""
    import torch

    a = torch.ones(size, size)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - start)
    return Finding("Processor speed", f"{2 * size**3 / best / 1e9:.0f} GFLOP/s (float32 product)")
