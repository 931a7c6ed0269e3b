"""Small pictures of the figures, for the page that lists them all."""

from __future__ import annotations

import base64
import re
from io import BytesIO

from PIL import Image, UnidentifiedImageError

SOURCE = re.compile(r'src="data:image/\w+;base64,([^"]+)"')
BOX = (360, 200)  # pixels; shown at half of it, for dense screens


def thumbnail(html: str) -> str:
    """A data URI of the picture in an `<img>`, made small; "" where there is none to read.

    What is wide and low stays so: nothing is cut off, and nothing is made larger.
    """
    found = SOURCE.search(html)
    if not found:
        return ""
    try:
        picture = Image.open(BytesIO(base64.b64decode(found[1])))
        picture = picture.convert("RGBA")
    except (UnidentifiedImageError, ValueError, OSError):
        return ""
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    small = paper.convert("RGB")
    small.thumbnail(BOX, Image.Resampling.LANCZOS)
    written = BytesIO()
    small.save(written, "WEBP", quality=60, method=6)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode("ascii")
