"""One grammar for the captions of scenes, in English and in Korean.

English tells the scene from its first object on, Korean from its last: "a large red circle
above a small blue square on black" is "검은 배경에 작은 파란 사각형 위의 큰 빨간 원".
"""

import difflib
import re
import unicodedata

from mmcourse.data.scenes import (
    BACKGROUNDS,
    COLORS,
    HORIZONTAL,
    RELATIONS,
    SHAPES,
    SIZES,
    Object_,
    Scene,
    one_of,
)

LANGUAGES = ("en", "ko")

KOREAN = {
    "circle": "원", "square": "사각형", "triangle": "삼각형", "cross": "십자가",
    "ring": "고리", "star": "별", "heart": "하트", "crescent": "초승달",
    "red": "빨간", "green": "초록색", "blue": "파란", "yellow": "노란",
    "purple": "보라색", "orange": "주황색", "cyan": "청록색", "pink": "분홍색",
    "small": "작은", "large": "큰",
    "left of": "왼쪽의", "right of": "오른쪽의", "above": "위의", "below": "아래의",
    "white": "흰", "black": "검은", "grey": "회색", "beige": "베이지색",
}  # fmt: skip
"""The Korean word of every English name."""

# other words for the same thing, understood by `parse` and never written by `caption`
_ENGLISH_ALIASES = {
    "big": "large", "little": "small", "gray": "grey", "under": "below", "moon": "crescent",
    "plus": "cross", "violet": "purple", "over": "above",
}  # fmt: skip
_KOREAN_ALIASES = {
    "동그라미": "circle", "네모": "square", "정사각형": "square", "세모": "triangle",
    "십자": "cross", "반지": "ring", "빨간색": "red", "초록": "green", "파란색": "blue",
    "노란색": "yellow", "보라": "purple", "주황": "orange", "청록": "cyan", "분홍": "pink",
    "커다란": "large", "조그만": "small", "하얀": "white", "흰색": "white", "검은색": "black",
    "검정": "black", "베이지": "beige",
}  # fmt: skip
_PHRASES = {
    "to the left of": "left of",
    "to the right of": "right of",
    "위에 있는": "위의",
    "아래에 있는": "아래의",
    "왼쪽에 있는": "왼쪽의",
    "오른쪽에 있는": "오른쪽의",
}
# a letter for the kind of a word; a caption is then a string that a regular expression checks
_KINDS = {
    **dict.fromkeys(SHAPES, "s"),
    **dict.fromkeys(COLORS, "c"),
    **dict.fromkeys(SIZES, "z"),
    **dict.fromkeys(RELATIONS, "r"),
    **dict.fromkeys(BACKGROUNDS, "b"),
}
_PATTERNS = {
    "en": re.compile(r"a?z?cs(ra?z?cs){0,2}(ob)?"),
    "ko": re.compile(r"(bo)?z?cs(rz?cs){0,2}"),
}
_EXAMPLES = {
    "en": "a large red circle above a small blue square on black",
    "ko": "검은 배경에 작은 파란 사각형 위의 큰 빨간 원",
}


def _english_words() -> dict[str, str]:
    words = {name: name for name in _KINDS} | _ENGLISH_ALIASES
    return words | {"a": "a", "an": "a", "the": "a", "on": "on"}


def _korean_words() -> dict[str, str]:
    return {word: name for name, word in KOREAN.items()} | _KOREAN_ALIASES | {"배경에": "on"}


_WORDS = {"en": _english_words(), "ko": _korean_words()}


def vocabulary(language: str = "en") -> list[str]:
    """Every word that `caption` writes in a language ("en", "ko") or in "both", sorted."""
    one_of("language", language, (*LANGUAGES, "both"))
    english = {word for name in _KINDS for word in name.split()} | {"a", "on"}
    korean = set(KOREAN.values()) | {"배경에"}
    chosen = {"en": english, "ko": korean, "both": english | korean}
    return sorted(chosen[language])


def _phrase(thing: Object_, language: str) -> str:
    names = (thing.size, thing.color, thing.shape)
    if language == "en":
        return "a " + " ".join(names)
    return " ".join(KOREAN[name] for name in names)


def caption(scene: Scene, language: str = "en", *, background: bool = True) -> str:
    """Tell a scene of one to three objects in words.

    Args:
        scene: the scene; positions are not told, only relations.
        language: "en" or "ko".
        background: whether the background is named.

    Returns:
        the caption, e.g. "a large red circle above a small blue square on black".

    Raises:
        ValueError: for an unknown language or a scene without objects or with more than three.
    """
    one_of("language", language, LANGUAGES)
    if not 1 <= len(scene.objects) <= 3:
        raise ValueError(f"a caption tells 1 to 3 objects, got {len(scene.objects)}")
    phrases = [_phrase(thing, language) for thing in scene.objects]
    if language == "en":
        links = [*scene.relations, f"on {scene.background}" if background else ""]
        return " ".join(part for pair in zip(phrases, links, strict=True) for part in pair).strip()
    # Korean puts what is modified last: "[square] above-of [circle]"
    links = [f"{KOREAN[scene.background]} 배경에" if background else ""]
    links += [KOREAN[relation] for relation in reversed(scene.relations)]
    pairs = zip(links, reversed(phrases), strict=True)
    return " ".join(part for pair in pairs for part in pair).strip()


def language_of(text: str) -> str:
    """ "ko" if the text has a Korean letter, else "en"."""
    return "ko" if re.search(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]", text) else "en"


def nearest_words(word: str, known: list[str], count: int = 3) -> list[str]:
    """The known words that look most like `word` (Korean compared letter by letter)."""
    letters = {unicodedata.normalize("NFD", candidate): candidate for candidate in known}
    wanted = unicodedata.normalize("NFD", word.lower())
    return [letters[m] for m in difflib.get_close_matches(wanted, letters, n=count, cutoff=0.5)]


def unknown_word(word: str, known: list[str]) -> ValueError:
    """The error for a word outside a vocabulary: it names the word and the nearest known ones."""
    near = nearest_words(word, known)
    if near:
        return ValueError(f"unknown word {word!r}; nearest known: {', '.join(near)}")
    return ValueError(f"unknown word {word!r}; known: {', '.join(sorted(known))}")


def _tokens(text: str, language: str) -> list[str]:
    """Split into the words of the grammar, "left of" being one of them."""
    text = unicodedata.normalize("NFC", text).lower()
    text = " ".join(re.sub(r"[.,!?;:\"'“”]", " ", text).split())
    for phrase, short in _PHRASES.items():
        text = re.sub(rf"(?<!\S){phrase}(?!\S)", short, text)
    return re.findall(r"(?:left|right) of(?!\S)|\S+", text) if language == "en" else text.split()


def _names(text: str, language: str) -> list[str]:
    words = _WORDS[language]
    known = sorted({*words, *vocabulary(language)})
    names = []
    for token in _tokens(text, language):
        if token not in words and token in ("left", "right", "of", "to"):
            raise ValueError(f"{token!r} is known only inside 'left of' and 'right of': {text!r}")
        if token not in words:
            raise unknown_word(token, known)
        names.append(words[token])
    return names


def _objects(names: list[str]) -> tuple[Object_, ...]:
    """Group sizes, colours and shapes into objects; an object without a size is large."""
    found, size, color = [], "large", ""
    for name in names:
        if name in SIZES:
            size = name
        elif name in COLORS:
            color = name
        elif name in SHAPES:
            found.append(Object_(name, color, size))
            size = "large"
    return tuple(found)


def parse(text: str) -> Scene:
    """Read a caption in English or Korean back into the attributes of its scene.

    `parse(caption(scene, language)) == scene` for every scene and language. A missing size
    means large, a missing background white. Positions are None: see `place`.

    Args:
        text: a caption; capitals and punctuation do not matter.

    Returns:
        the scene without positions.

    Raises:
        ValueError: for an unknown word (with the nearest known ones), for known words in an
            order that is no caption, for three objects in one row.
    """
    language = language_of(text)
    names = _names(text, language)
    kinds = "".join({"a": "a", "on": "o"}.get(name) or _KINDS[name] for name in names)
    if not _PATTERNS[language].fullmatch(kinds):
        raise ValueError(f"a caption looks like {_EXAMPLES[language]!r}, got {text!r}")
    objects = _objects(names)
    relations = tuple(name for name in names if name in RELATIONS)
    background = next((name for name in names if name in BACKGROUNDS), "white")
    if language == "ko":
        objects, relations = objects[::-1], relations[::-1]
    if len(relations) == 2 and sum(relation in HORIZONTAL for relation in relations) != 1:
        raise ValueError(
            "three objects need one relation of left of / right of and one of above / below, "
            f"got {relations[0]!r} and {relations[1]!r}"
        )
    return Scene(objects, relations, background)
