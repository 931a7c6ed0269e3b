"""Captions in two languages and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.data import (
    BACKGROUNDS,
    COLORS,
    SHAPES,
    SIZES,
    Object_,
    Scene,
    caption,
    parse,
    sample_scene,
    vocabulary,
)
from mmcourse.data.captions import KOREAN
from mmcourse.data.scenes import HORIZONTAL, RELATIONS

LANGUAGES = ("en", "ko")
names = st.tuples(
    st.sampled_from(SHAPES), st.sampled_from(sorted(COLORS)), st.sampled_from(sorted(SIZES))
)
sideways = st.sampled_from(HORIZONTAL)
upright = st.sampled_from([name for name in RELATIONS if name not in HORIZONTAL])
relations = st.one_of(
    st.just(()),
    st.tuples(st.sampled_from(RELATIONS)),
    st.tuples(sideways, upright),
    st.tuples(upright, sideways),
)
parts = st.tuples(st.tuples(names, names, names), relations, st.sampled_from(sorted(BACKGROUNDS)))


def build(told) -> Scene:
    things, links, background = told
    objects = tuple(Object_(*words) for words in things[: len(links) + 1])
    return Scene(objects, links, background)


@given(parts, st.sampled_from(LANGUAGES))
def test_caption_and_parse_are_inverse(told, language):
    scene = build(told)
    text = caption(scene, language)
    assert parse(text) == scene
    assert caption(parse(text), language) == text


@given(parts, st.sampled_from(LANGUAGES))
def test_without_a_background_the_scene_is_on_white(told, language):
    scene = build(told)
    text = caption(scene, language, background=False)
    assert parse(text) == Scene(scene.objects, scene.relations, "white")


@given(parts)
def test_one_language_translates_into_the_other(told):
    scene = build(told)
    assert caption(parse(caption(scene, "ko")), "en") == caption(scene, "en")


@given(parts, st.sampled_from(LANGUAGES))
def test_captions_use_the_vocabulary(told, language):
    words = set(caption(build(told), language).split())
    assert words <= set(vocabulary(language))
    assert words <= set(vocabulary("both"))


def test_known_captions():
    circle = Object_("circle", "red", "large")
    square = Object_("square", "blue", "small")
    star = Object_("star", "green", "small")
    two = Scene((circle, square), ("above",), "black")
    assert caption(two) == "a large red circle above a small blue square on black"
    assert caption(two, "ko") == "검은 배경에 작은 파란 사각형 위의 큰 빨간 원"
    three = Scene((circle, square, star), ("above", "left of"))
    assert caption(three) == (
        "a large red circle above a small blue square left of a small green star on white"
    )
    assert caption(three, "ko") == (
        "흰 배경에 작은 초록색 별 왼쪽의 작은 파란 사각형 위의 큰 빨간 원"
    )
    assert parse("작은 파란 사각형 위의 큰 빨간 원") == Scene((circle, square), ("above",))


def test_other_words_for_the_same_thing():
    square = Scene((Object_("circle", "red"), Object_("square", "blue", "small")), ("left of",))
    for text in (
        "A big red circle to the left of a little blue square.",
        "red circle left of the small blue square",
        "작은 파란색 네모 왼쪽에 있는 빨간색 동그라미",
        "하얀 배경에 작은 파란 정사각형 왼쪽의 커다란 빨간 원",
    ):
        assert parse(text) == square
    assert parse("an orange star on gray").background == "grey"


def test_every_korean_word_means_one_thing():
    assert len(set(KOREAN.values())) == len(KOREAN)
    assert set(KOREAN) == {*SHAPES, *COLORS, *SIZES, *RELATIONS, *BACKGROUNDS}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a large rde circle", "unknown word 'rde'; nearest known:.* red"),
        ("a large red circel", "unknown word 'circel'; nearest known: circle"),
        ("큰 빨강 원", "unknown word '빨강'; nearest known:.*빨간"),
        ("a large red xylophone", "unknown word 'xylophone'"),
        ("a large qqq circle", "unknown word 'qqq'; known: .*above"),
        ("left a red circle", "'left' is known only inside 'left of'"),
        ("", "a caption looks like"),
        ("red", "a caption looks like 'a large red circle above .*got 'red'"),
        ("a circle red", "a caption looks like"),
        ("빨간", "a caption looks like '검은 배경에"),
        ("a red circle on red", "a caption looks like"),
        ("a red star left of a blue star left of a pink star", "three objects need one relation"),
        ("a red star above a blue star below a pink star", "three objects need one relation"),
        (" above ".join(["a red star"] * 4), "a caption looks like"),
    ],
)
def test_what_is_no_caption_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_bad_languages_and_counts():
    scene = sample_scene(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="language must be one of 'en', 'ko'; got 'de'"):
        caption(scene, "de")
    with pytest.raises(ValueError, match="language must be one of"):
        vocabulary("de")
    with pytest.raises(ValueError, match="1 to 3 objects, got 0"):
        caption(Scene(()))
