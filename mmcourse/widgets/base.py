"""The common part of the course's widgets: code, data, state, checks and the still picture."""

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets

HERE = Path(__file__).parent
BUDGET = 100_000  # bytes of data in one widget: pages stay light
COMMENT = re.compile(r"//.*|/\*.*\*/")  # a line that is nothing else
SHARED = {"js": ("kit.js", "pictures.js"), "css": ("widgets.css",)}


def tenth(value: float) -> str:
    """3.14159 → "3.1"; halves go up, as in the page's `tenth`."""
    return f"{math.floor(10 * value + 0.5) / 10:.1f}"


def fixed(value: float) -> str:
    """-0.123 → "−0.12", with a minus sign, as the page's `fixed`."""
    return f"{value:.2f}".replace("-", "−")


def compose(name: str, ending: str, also: Sequence[str] = ()) -> str:
    """The text a widget sends: what all share, then its own (`kit.js` … `<name>.js`).

    Between them stand the files in `also`, which only some widgets need.

    The text is joined here, so that nothing has to be imported where the widget is shown.
    Indentation and lines that hold only a comment stay behind, to keep pages light.
    """
    stems = [f"{stem}.{ending}" for stem in (*also, name)]
    files = [HERE / part for part in (*SHARED[ending], *stems)]
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    lines = (line.strip() for text in texts for line in text.splitlines())
    return "\n".join(line for line in lines if line and not COMMENT.fullmatch(line)) + "\n"


class CourseWidget(anywidget.AnyWidget):
    """A widget of the course.

    A subclass names its files and its state, checks its data, and describes itself:

    * ``_files``: the stem of its ``.js`` file and, if any, its ``.css`` file in this folder;
    * ``_also``: stems of further files that it needs, such as ``player``;
    * ``_controls``: the names of the traits that the reader moves (a preset may set these);
    * ``_limits(state)``: the lowest and highest value of each whole-number control in a state;
    * ``_describe()``: the sentence that stands for the picture;
    * ``_draw()``: a matplotlib figure of the current state.
    """

    _files: ClassVar[str] = ""
    _also: ClassVar[tuple[str, ...]] = ()
    _controls: ClassVar[tuple[str, ...]] = ()

    data = traitlets.Bytes().tag(sync=True)
    presets = traitlets.List(traitlets.Dict()).tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Only where a widget is written: traits added to an instance make a nameless subclass.
        if "_files" in cls.__dict__:
            cls._esm = compose(cls._files, "js", cls._also)
            cls._css = compose(cls._files, "css", cls._also)

    def __init__(self, *, presets: Sequence[Mapping[str, Any]] = (), **state: Any) -> None:
        size = len(state.get("data", b""))
        if size > BUDGET:
            raise ValueError(
                f"a widget carries at most {BUDGET:,} bytes of data, got {size:,}: "
                "show fewer or smaller pictures, frames, layers or heads"
            )
        super().__init__(**state)
        self._check({name: getattr(self, name) for name in self._controls})
        self.presets = [self._preset(preset) for preset in presets]
        self.alt = self._describe()
        self.observe(self._guard, list(self._controls))

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {}

    def _describe(self) -> str:
        return self.caption

    def _draw(self) -> Any:
        raise NotImplementedError

    def _check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state (or a part of one) that the data does not have."""
        for name, (low, high) in self._limits(state).items():
            value = state.get(name, low)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole and low <= value <= high):
                raise ValueError(
                    f"{name} must be a whole number from {low} to {high}, got {value!r}"
                )

    def _guard(self, change: Any) -> None:
        """Refuse a change to what the data does not have, and put the old state back."""
        try:
            self._check({change.name: change.new})
        except ValueError:
            setattr(self, change.name, change.old)
            raise

    def _preset(self, preset: Mapping[str, Any]) -> dict[str, Any]:
        allowed = {"name", "note", *self._controls}
        unknown = sorted(set(preset) - allowed)
        if unknown or not preset.get("name"):
            raise ValueError(
                f"a preset has a name and some of {sorted(allowed - {'name'})}, got {dict(preset)}"
            )
        self._check(preset)
        return dict(preset)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The live view, a still picture for readers without JavaScript, and a sentence."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        data, metadata = bundle
        sentence = self._describe()
        picture = base64.b64encode(self.png()).decode()
        data = {**data, "text/plain": sentence, "image/png": picture}
        return data, {**metadata, "image/png": {"alt": sentence}}

    def png(self) -> bytes:
        """The current state as a still picture (PNG)."""
        buffer = io.BytesIO()
        self._draw().savefig(buffer, format="png", dpi=80, facecolor="white")
        return buffer.getvalue()


def numbers(values: Any, name: str, axes: str) -> np.ndarray:
    """An array of finite float64 with the named axes, from a tensor, array or nested list.

    Raises:
        ValueError: wrong number of axes, an empty axis, or a value that is no finite number.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != len(axes.split(", ")) or 0 in array.shape:
        raise ValueError(f"{name} must have the axes ({axes}), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, got NaN or infinity")
    return array


def pixels(values: Any, name: str, axes: str) -> np.ndarray:
    """Pictures as uint8: uint8 as it is, floats from [-1, 1] to 0 … 255.

    Raises:
        ValueError: wrong axes, neither 1 nor 3 channels, or floats clearly outside [-1, 1].
    """
    kind = str(getattr(values, "dtype", ""))
    array = numbers(values, name, axes)
    if array.shape[-3] not in (1, 3):
        raise ValueError(f"{name} must have 1 or 3 channels, got shape {array.shape}")
    if kind.endswith("uint8"):
        return array.astype(np.uint8)
    low, high = array.min(), array.max()
    if low < -1.05 or high > 1.05:
        raise ValueError(f"{name} must lie in [-1, 1], got values from {low:.3g} to {high:.3g}")
    return np.round((array.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def halves(values: np.ndarray) -> bytes:
    """Numbers as little-endian float16; a value that is not zero never becomes zero."""
    small = values.astype("<f2")
    tiny = np.float16(6e-8)
    lost = (small == 0) & (values != 0)
    return np.where(lost, np.copysign(tiny, values), small).astype("<f2").tobytes()


def short(text: str, limit: int = 60) -> str:
    """The text on one line, cut at `limit` characters."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
