"""`{timings}`: what each lesson took. `{environment}`: on which software and what machine.

The seconds are those that the lessons print at their end. Of the machine only its kind is told:
no name of it, and no path on it.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from docutils import nodes
from mmcourse_kept import MAKERS, Kept, Later
from mmcourse_pages import table
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

LONGEST = 120  # CPU seconds of a lesson at the usual pace
PACKAGES = (
    "torch", "torchvision", "numpy", "matplotlib", "safetensors", "einops", "ipywidgets",
    "anywidget", "jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme",
)  # fmt: skip
HEADER = ("Lesson", "wall s", "memory, GB", "CPU s", "pace", "CPU s at usual pace")


def seconds(timing: dict[str, str]) -> tuple[float, float, float, float, float]:
    """Wall seconds, memory, CPU seconds, pace, CPU seconds at the usual pace."""
    cpu, pace = float(timing["cpu"]), float(timing["pace"])
    return float(timing["wall"]), float(timing["memory"]), cpu, pace, cpu * pace


def told(values: tuple[float, ...]) -> list[nodes.Node]:
    """The cells of a row."""
    forms = ("{:,.0f}", "{:.1f}", "{:,.0f}", "{:.2f}", "{:,.0f}")
    return [nodes.Text(form.format(v)) for form, v in zip(forms, values, strict=True)]


def verdict(rows: list[tuple[float, ...]]) -> nodes.paragraph:
    """How the lessons keep to their budget, said in words."""
    usual = [row[4] for row in rows]
    within = sum(value <= LONGEST for value in usual)
    return nodes.paragraph(
        "",
        f"{within} of {len(rows)} lessons keep to {LONGEST} CPU seconds at the usual pace, the "
        f"longest takes {max(usual):.0f}, and the mean is {sum(usual) / len(usual):.0f}. One after "
        f"the other, all lessons take {sum(usual) / 60:.0f} minutes of one core; a build runs as "
        "many at once as there are cores, up to four.",
    )


def timings(page: SphinxPostTransform, kept: Kept, which: str) -> list[nodes.Node]:
    """The table of all lessons, with sum and mean."""
    rows: list[list[nodes.Node]] = []
    values: list[tuple[float, ...]] = []
    for docname in sorted(kept.lessons):
        if not (timing := kept.lessons[docname].timing):
            continue
        values.append(seconds(timing))
        uri = page.app.builder.get_relative_uri(page.env.docname, docname)
        title = page.env.titles[docname].astext()
        rows.append([nodes.reference("", title, internal=True, refuri=uri), *told(values[-1])])
    if not rows:
        return [nodes.paragraph("", "No lesson has been run.")]
    columns = list(zip(*values, strict=True))
    means = tuple(sum(column) / len(column) for column in columns)
    wall, _, cpu, _, usual = (f"{sum(column):,.0f}" for column in columns)
    total = (wall, f"at most {max(columns[1]):.1f}", cpu, "–", usual)
    rows.append([nodes.strong("", "All together"), *[nodes.strong("", one) for one in total]])
    rows.append([nodes.strong("", "Mean"), *[nodes.strong("", "", one) for one in told(means)]])
    header: list[nodes.Node] = [nodes.Text(text) for text in HEADER]
    return [verdict(values), table(header, rows, ["mm-timings"])]


def processor() -> str:
    """The processor's model, as the system calls it."""
    about = Path("/proc/cpuinfo")
    if about.is_file():
        model = re.search(r"^model name\s*:\s*(.+)$", about.read_text("utf-8"), re.MULTILINE)
        return model[1].strip() if model else platform.machine()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return run.stdout.strip() or platform.machine()
    return platform.machine()


def memory() -> str:
    """The machine's memory."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{size / 2**30:.0f} GB"


def facts(kept: Kept) -> list[tuple[str, str]]:
    """What the page says of software and machine."""
    found = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # a small part of the project may be built without it
            continue
    found += [
        ("processor", processor()),
        ("cores", str(os.cpu_count() or 1)),
        ("memory", memory()),
        ("system", f"{platform.system()}, {platform.machine()}"),
    ]
    ran = {(t["device"], t["threads"], t["torch"]) for t in all_timings(kept)}
    for device, threads, torch in sorted(ran):
        found.append(("lessons ran on", f"{device}, threads of each: {threads}, torch {torch}"))
    return found


def all_timings(kept: Kept) -> list[dict[str, str]]:
    """What the timers printed."""
    return [lesson.timing for lesson in kept.lessons.values() if lesson.timing]


def environment(page: SphinxPostTransform, kept: Kept, which: str) -> list[nodes.Node]:
    """A table of facts."""
    rows: list[list[nodes.Node]] = [[nodes.Text(a), nodes.Text(b)] for a, b in facts(kept)]
    return [table([nodes.Text("What"), nodes.Text("Which")], rows, ["mm-environment"])]


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    MAKERS.update({"timings": timings, "environment": environment})
    app.add_directive("timings", Later)
    app.add_directive("environment", Later)
