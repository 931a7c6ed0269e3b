"""Figures with alternative text, source listings and small tables for the lessons.

One look for the whole course: Okabe–Ito colours (safe for colour-blind readers), and a second
cue beside colour on every line (dash and marker).
"""

import base64
import html
import inspect
import io
import logging
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from mmcourse.pace import lesson_timer as lesson_timer

COLORS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "yellow": "#E69F00",
    "sky": "#56B4E9",
    "grey": "#6B7280",
    "black": "#1F2933",
}
CYCLE = [COLORS[name] for name in ("blue", "orange", "green", "pink", "yellow", "sky")]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1))]
MARKERS = ["o", "s", "^", "D", "v", "P"]
STYLE = {
    "figure.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9AA5B1",
    "axes.labelcolor": COLORS["black"],
    "text.color": COLORS["black"],
    "xtick.color": "#52606D",
    "ytick.color": "#52606D",
    "axes.grid": True,
    "grid.color": "#E4E7EB",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "image.cmap": "cividis",
    "image.interpolation": "nearest",
    "axes.prop_cycle": cycler(color=CYCLE),
}


def _style() -> dict[str, Any]:
    """The style, with a Korean font behind the Latin one when its package is installed."""
    # The Korean font has no bold cut; looking for one is not worth a warning in a lesson.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    try:
        from pylopdf_fonts_ko import __file__ as package
    except ImportError:
        return STYLE
    from pathlib import Path

    font = Path(package).with_name("NotoSansKR-Regular.otf")
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    if str(font) not in known:
        font_manager.fontManager.addfont(str(font))
    name = font_manager.FontProperties(fname=str(font)).get_name()
    return {**STYLE, "font.family": ["DejaVu Sans", name]}


def new_figure(
    width: float = 7.0, height: float = 3.4, rows: int = 1, columns: int = 1, **subplots: Any
) -> tuple[Figure, Any]:
    """A figure in the course's style, in inches; axes as ``plt.subplots`` returns them."""
    mpl.rcParams.update(_style())  # pyright: ignore[reportCallIssue, reportArgumentType]
    # Not through pyplot: such figures are never kept alive, nor shown twice.
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **subplots)


def line(axes: Axes, x: Any, y: Any, label: str, style: int = 0, **options: Any) -> None:
    """Draw one labelled line; `style` picks colour and dash together (marker on ≤ 25 points)."""
    few = len(np.atleast_1d(_array(y))) <= 25
    look = {
        "color": CYCLE[style % len(CYCLE)],
        "linestyle": DASHES[style % len(DASHES)],
        "marker": MARKERS[style % len(MARKERS)] if few else "",
        "markersize": 5,
    }
    axes.plot(_array(x), _array(y), label=label, **{**look, **options})


def heat_map(
    axes: Axes,
    matrix: Any,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    numbers: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """Draw a matrix as coloured squares, with names on both sides and, if asked, the numbers."""
    values = _array(matrix)
    picture = axes.imshow(values, vmin=low, vmax=high, aspect="equal")
    axes.grid(False)
    if rows is not None:
        axes.set_yticks(range(len(rows)), rows)
    if columns is not None:
        slant = max(map(len, columns), default=0) > 3
        axes.set_xticks(
            range(len(columns)),
            columns,
            rotation=60 if slant else 0,
            ha="right" if slant else "center",
        )
    if numbers:
        middle = (picture.norm.vmin + picture.norm.vmax) / 2  # type: ignore[operator]
        for (i, j), value in np.ndenumerate(values):
            ink = "black" if value > middle else "white"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=9)
    return picture


def image_grid(
    images: Any,
    *,
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    scale: float = 1.2,
) -> Figure:
    """Draw images side by side.

    Args:
        images: (count, channels, height, width) in [-1, 1]; one or three channels.
        columns: pictures in a row; by default all in one row up to 8.
        titles: one per picture. row_titles: one per row.
        scale: inches per picture.
    """
    pictures = _array(images)
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise ValueError(f"images must be (count, 1 or 3, height, width), got {pictures.shape}")
    count = len(pictures)
    columns = columns or min(count, 8)
    rows = math.ceil(count / columns)
    room = 0.25 if titles is not None else 0.0
    size = (columns * scale, rows * (scale + room))
    figure, grid = new_figure(*size, rows, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if index >= count:
            continue
        picture = (pictures[index].transpose(1, 2, 0).clip(-1, 1) + 1) / 2
        axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=1)
        axes.add_patch(_frame(axes))
        if titles is not None:
            axes.set_title(titles[index], fontsize=9, fontweight="normal")
        if row_titles is not None and index % columns == 0:
            axes.text(
                -0.08,
                0.5,
                row_titles[index // columns],
                transform=axes.transAxes,
                ha="right",
                va="center",
                fontsize=10,
            )
    return figure


def _frame(axes: Axes) -> Rectangle:
    """A thin grey line around a picture: white pictures end somewhere, too."""
    line = {"fill": False, "edgecolor": "0.75", "linewidth": 0.6}
    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, clip_on=False, **line)


class _Picture:
    """A PNG with alternative text, as HTML and as a plain picture."""

    def __init__(self, png: bytes, alt: str, width: int) -> None:
        self.png, self.alt, self.width = base64.b64encode(png).decode(), alt, width

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        alt = html.escape(self.alt, quote=True)
        source = f"data:image/png;base64,{self.png}"
        tag = f'<img src="{source}" alt="{alt}" width="{self.width}" style="max-width:100%">'
        page = f'<figure class="mm-figure" style="margin:0">{tag}</figure>'
        data = {"text/html": page, "image/png": self.png, "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt, "width": self.width}}


def show(figure: Figure, alt: str) -> None:
    """Display a figure with alternative text that says what it shows.

    Raises:
        ValueError: if `alt` is not at least a short sentence.
    """
    if len(alt.split()) < 4:
        raise ValueError(f"alt must say in a sentence what the figure shows, got {alt!r}")
    from IPython.display import display

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white")
    width = int(figure.get_figwidth() * 100)
    display(_Picture(_smaller(buffer.getvalue()), " ".join(alt.split()), width))


def _smaller(png: bytes) -> bytes:
    """The same picture with 256 colours: a third of the size, and no visible difference."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return min(buffer.getvalue(), png, key=len)


def show_source(*objects: Any, docstring: bool = False) -> None:
    """Display the source of functions or classes, as the package runs it.

    Args:
        docstring: keep the docstrings; by default the page's own words stand for them.
    """
    from IPython.display import Markdown, display

    for thing in objects:
        source = textwrap.dedent(inspect.getsource(thing))
        text = source if docstring else _without_docstrings(source)
        where = f"`{thing.__module__.replace('.', '/')}.py`"
        display(Markdown(f"{where}\n\n```python\n{text.rstrip()}\n```"))


def _without_docstrings(source: str) -> str:
    import ast

    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or len(node.body) < 2:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
            for number in range(first.lineno - 1, first.end_lineno or first.lineno):
                lines[number] = "\0"
    kept = "\n".join(text for text in lines if text != "\0")
    while "\n\n\n" in kept:
        kept = kept.replace("\n\n\n", "\n\n")
    return kept.replace(":\n\n", ":\n")


def show_table(rows: Sequence[Sequence[Any]], header: Sequence[str], caption: str = "") -> None:
    """Display a small table as HTML with real header cells (and as text where HTML is not)."""
    from IPython.display import HTML, display

    def cell(tag: str, value: Any) -> str:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", name) for name in header)
    body = "".join("<tr>" + "".join(cell("td", v) for v in row) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    # A wide table scrolls in its own box, which the keyboard can reach; no two on a page may
    # have the same name.
    columns = "Table: " + ", ".join(name for name in header if name)
    name = html.escape(caption or columns, quote=True)
    display(
        HTML(
            f'<div class="mm-table" role="region" tabindex="0" aria-label="{name}" '
            f'style="overflow-x:auto"><table class="table">{title}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
    )


def _array(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=float)
