"""What is installed, which device, how fast, what is missing and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DISK_GB = 5.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLAYWRIGHT = (".cache/ms-playwright", "Library/Caches/ms-playwright")
GPU_ONLY = re.compile(r"nvidia-|cuda-|triton$")  # what `make TORCH=cpu` leaves out


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `mend` is empty when it is well."""

    name: str
    value: str
    mend: str = ""


def examine(root: Path) -> list[Finding]:
    """Looks at everything; takes a few seconds, most of them importing torch."""
    found = [python(), *packages(root), disk(root), korean_font(), browser(), sandbox()]
    found += generated(root)
    if importlib.util.find_spec("torch") is not None:
        found += [device(), *cuda(), speed()]
    return found


def as_json(found: list[Finding]) -> dict[str, Any]:
    """The findings for machines."""
    return {"ok": not any(f.mend for f in found), "findings": [asdict(f) for f in found]}


def python() -> Finding:
    """The interpreter's version."""
    good = sys.version_info >= (3, 11)
    value = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    mend = "install Python 3.11 or newer, then: rm -rf .venv && make PYTHON=python3.12 book"
    return Finding("Python", value, "" if good else mend)


def packages(root: Path) -> Iterator[Finding]:
    """Installed versions against the lock."""
    lock = root / "requirements.txt"
    if not lock.is_file():
        yield Finding("Packages", "no requirements.txt beside the package: nothing to compare")
        return
    pins = dict(locked(lock.read_text(encoding="utf-8")))
    if _version("torch").endswith("+cpu"):
        pins = {name: pin for name, pin in pins.items() if not GPU_ONLY.match(name)}
    wrong = [line for name, pin in pins.items() if (line := _differs(name, pin))]
    for line in wrong:
        yield Finding("Package", line, _install(root))
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


def _version(name: str) -> str:
    """The installed version, or an empty string."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _differs(name: str, pin: str) -> str:
    version = _version(name)
    if not version:
        return f"{name} is missing (wanted {pin})"
    # torch's CPU build calls itself 2.0.0+cpu, which is the same release.
    same = version.split("+")[0] == pin.split("+")[0]
    return "" if same else f"{name} is {version}, wanted {pin}"


def _install(root: Path) -> str:
    """How to get what the lock says: by the course's own Python, if another one runs here."""
    own = root / ".venv" / "bin" / "python"
    if own.is_file() and Path(sys.prefix).resolve() != (root / ".venv").resolve():
        return f"this is {sys.executable}, not the course's own Python: .venv/bin/mmcourse doctor"
    return f"{sys.executable} -m pip install -r requirements.txt"


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


def chromium() -> str | None:
    """The path of a browser that the system knows by name."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def browser() -> Finding:
    """The browser that prints the book and that its tests drive."""
    if path := chromium():
        return Finding("Browser", path)
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    for cache in [Path(named)] if named else [Path.home() / place for place in PLAYWRIGHT]:
        if any(cache.glob("chromium-*")):
            return Finding("Browser", f"Playwright's, in {cache}")
    mend = "apt-get install chromium, or: playwright install chromium (for `make test` and `dist`)"
    return Finding("Browser", "no Chromium", mend)


def sandbox() -> Finding:
    """The level at which submissions are graded."""
    from mmcourse.grading.sandbox import best_isolation

    level = best_isolation().level
    if sys.platform == "linux" and not shutil.which("bwrap"):
        mend = "to grade other people's work: apt-get install bubblewrap"
        return Finding("Grading sandbox", f"{level}, as bubblewrap is missing", mend)
    mend = "" if level != "process" else "to grade other people's work, use Linux (see Dockerfile)"
    if level == "process" and sys.platform == "linux":
        mend = "let bubblewrap work: sysctl -w kernel.unprivileged_userns_clone=1 (as root)"
    return Finding("Grading sandbox", level, mend)


def generated(root: Path) -> Iterator[Finding]:
    """Notebooks that are not what their sources say; outputs and own answers are no difference."""
    from mmcourse.grading import release
    from mmcourse.grading.sheet import SheetError

    wanted, stale = release.targets(root, []), 0
    for made, source in wanted.items():
        kind = "Exercise" if made.parent.name == "exercises" else "Notebook"
        name = made.relative_to(root)
        mend = f"mmcourse release {source.stem}"
        try:
            if not made.is_file():
                yield Finding(kind, f"{name} is missing", mend)
            elif _stale(made, release.generated(source)):
                mend += " (it writes the file anew: keep a copy of what you wrote into it)"
                yield Finding(kind, f"{name} is not what {source.relative_to(root)} says", mend)
            else:
                continue
        except SheetError as error:
            yield Finding(kind, str(error), f"put {source.relative_to(root)} right")
        stale += 1
    if not wanted:
        yield Finding("Notebooks", "no lessons or sheets here: nothing to compare")
    elif not stale:
        yield Finding("Notebooks", f"all {len(wanted)} agree with their sources")


def _stale(made: Path, text: str) -> bool:
    """Does a file lack a cell of the text that it should have, an answer's apart?"""
    import nbformat

    kept = made.read_text(encoding="utf-8")
    if kept == text:
        return False
    try:
        cells = {(cell.cell_type, cell.source) for cell in nbformat.reads(kept, 4).cells}
    except Exception:  # anything may be written in such a file
        return True
    return not all(
        (cell.cell_type, cell.source) in cells
        for cell in nbformat.reads(text, 4).cells
        if cell.metadata.get("mmcourse", {}).get("role") != "answer" and cell.id != "launch"
    )


def device() -> Finding:
    """What torch will train on."""
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Finding("Device", f"cuda: {torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
    if torch.backends.mps.is_available():
        return Finding("Device", "mps (Apple GPU)")
    return Finding("Device", f"cpu: {os.cpu_count()} processors, {torch.get_num_threads()} threads")


def driver() -> str | None:
    """What nvidia-smi says: empty where it fails, None on a machine without it."""
    if not shutil.which("nvidia-smi"):
        return None
    try:
        said = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout if said.returncode == 0 else ""


def cuda() -> Iterator[Finding]:
    """PyTorch's CUDA against the NVIDIA driver and the GPU; nothing on machines without them."""
    import torch

    said = driver()
    if said is None:
        return
    newest = re.search(r"CUDA[^|\n]*Version\s*:\s*(\d+)\.(\d+)", said)
    if not newest:
        mend = "install NVIDIA's driver anew and restart, or use the processor: make TORCH=cpu book"
        yield Finding("CUDA", "nvidia-smi does not reach the driver", mend)
        return
    built, upto = torch.version.cuda, f"the driver reaches up to CUDA {'.'.join(newest.groups())}"
    if not built:
        yield Finding("CUDA", f"the CPU build, though {upto}: make anew without TORCH=cpu")
    elif int(newest[1]) < int(built.split(".")[0]):
        mend = f"update the driver for CUDA {built}, or use the processor: make TORCH=cpu book"
        yield Finding("CUDA", f"PyTorch wants {built}, {upto}", mend)
    elif not torch.cuda.is_available():
        mend = 'restart; the reason: python -c "import torch; torch.zeros(1).cuda()"'
        yield Finding("CUDA", f"PyTorch {built} finds no GPU, though {upto}", mend)
    else:
        yield _capable(built, upto)


def _capable(built: str, upto: str) -> Finding:
    """Whether PyTorch has code for this GPU."""
    import torch

    major, minor = torch.cuda.get_device_capability()
    known = [int(name[3:].rstrip("af")) for name in torch.cuda.get_arch_list() if name[:3] == "sm_"]
    mine = 10 * major + minor
    if known and mine < min(known):
        mend = "use the processor: CUDA_VISIBLE_DEVICES= before the command, or make TORCH=cpu book"
        return Finding("CUDA", f"PyTorch has no code for this GPU (sm_{mine})", mend)
    return Finding("CUDA", f"PyTorch {built}, {upto}")


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
