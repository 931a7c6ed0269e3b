"""A page whose widgets have their models beside them, as in the built book: for browser tests."""

import base64
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import config
from widgets_page import HOST, page

from mmcourse.inpage.page_model import BUILDING, MIME

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book" / "_ext"))

import mmcourse_inpage  # noqa: E402

# The bytes of the picture that a prompt box has drawn, channel by channel.
BYTES = """(root) => {
  const canvas = root.querySelector(".mm-drawn canvas");
  const copy = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, 64, 64);
  return [0, 1, 2].map((c) => Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + c]));
}"""
CACHE = ROOT / "_build" / ".models"


def models_of(widgets: Sequence[Any]) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    """The networks of the widgets, as the book finds them in the outputs of a lesson."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BUILDING, "1")
        patch.setattr(config, "jaxtyping_disable", True)  # traced sizes are no plain numbers
        for widget in widgets:
            data, _ = widget._repr_mimebundle_()
            if kept := data.get(MIME):
                parts = {name: base64.b64decode(g) for name, g in kept["parts"].items()}
                found.append(({"name": kept["name"], "parts": list(parts)}, parts))
    return found


def live_page(
    folder: Path, widgets: Sequence[Any], *, checkpoints: bool = False, **options: Any
) -> str:
    """Write the page, the host and the models into a folder; the page's address."""
    mm = folder / "_static" / "mm"
    mm.mkdir(parents=True, exist_ok=True)
    shutil.copy2(HOST, mm / HOST.name)
    made = models_of(widgets)
    if checkpoints:
        made += mmcourse_inpage.from_checkpoints(ROOT, CACHE)
    mmcourse_inpage.fill(mm / "models", ROOT, CACHE, made)
    return page(folder / "page.html", widgets, host="_static/mm/static_host.js", **options)
