"""Scenes: relations, the two tellings of one picture, and the score of a seen scene."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.data import (
    COLORS,
    HELD_OUT,
    PLAIN_COLORS,
    PLAIN_SHAPES,
    RELATIONS,
    SHAPES,
    SIZES,
    Object_,
    Scene,
    color_shape_pairs,
    matches,
    place,
    sample_scene,
    score,
)
from mmcourse.data.scenes import HORIZONTAL, relation_between

seeds = st.integers(0, 2**40)


def scene(seed: int, **options) -> Scene:
    return sample_scene(torch.Generator().manual_seed(seed), **options)


def test_the_world_has_the_promised_size():
    assert (len(SHAPES), len(COLORS), len(SIZES), len(RELATIONS)) == (8, 8, 2, 4)
    assert (len(PLAIN_SHAPES), len(PLAIN_COLORS)) == (6, 6)


def test_held_out_pairs_leave_every_colour_and_shape_seen():
    for subset, most in (("full", 8), ("plain", 6)):
        held, seen = (set(color_shape_pairs(subset, split)) for split in ("held_out", "train"))
        assert len(held) == most
        assert not held & seen
        assert held | seen == set(color_shape_pairs(subset, "all"))
        for position in (0, 1):
            assert {pair[position] for pair in held} == {pair[position] for pair in seen}
    assert len({color for color, _ in HELD_OUT}) == len({shape for _, shape in HELD_OUT}) == 8


@given(seeds)
def test_neighbours_are_plainly_in_the_relation_they_are_told_in(seed):
    told = scene(seed, split="all")
    for first, second, relation in zip(
        told.objects, told.objects[1:], told.relations, strict=False
    ):
        assert relation_between(first, second) == relation
        gaps = [abs(a - b) for a, b in zip(first.position, second.position, strict=True)]
        along, across = gaps if relation in HORIZONTAL else gaps[::-1]
        assert along >= 0.3 - 1e-6
        assert across <= 0.06 + 1e-6 or along >= 3 * across


@given(seeds)
def test_objects_keep_clear_of_each_other_and_of_the_border(seed):
    told = scene(seed, split="all")
    for thing in told.objects:
        radius = SIZES[thing.size]
        assert all(radius + 0.02 <= value <= 1 - radius - 0.02 for value in thing.position)
    for a, b in itertools.combinations(told.objects, 2):
        apart = max(abs(p - q) for p, q in zip(a.position, b.position, strict=True))
        assert apart - SIZES[a.size] - SIZES[b.size] >= 0.045


@given(seeds)
def test_both_tellings_have_one_canonical_form(seed):
    told = scene(seed)
    assert told.reversed().reversed() == told
    assert told.reversed().canonical() == told.canonical()
    assert matches(told, told.reversed())
    assert matches(told.reversed(), told)


@given(seeds, st.sampled_from(["full", "plain"]))
def test_splits_never_mix(seed, subset):
    pairs = {
        split: [(o.color, o.shape) for o in scene(seed, subset=subset, split=split).objects]
        for split in ("train", "held_out")
    }
    assert not set(pairs["train"]) & set(HELD_OUT)
    assert set(pairs["held_out"]) & set(HELD_OUT)
    assert all(len(set(found)) == len(found) for found in pairs.values())


def test_plain_scenes_are_plain():
    for seed in range(200):
        told = scene(seed, subset="plain", objects=(1, 2))
        assert told.background == "white"
        assert len(told.objects) <= 2
        assert all(o.shape in PLAIN_SHAPES and o.color in PLAIN_COLORS for o in told.objects)


def test_every_attribute_and_relation_is_drawn():
    told = [scene(seed, split="all") for seed in range(1500)]
    pairs = {(o.color, o.shape) for s in told for o in s.objects}
    assert pairs == set(color_shape_pairs("full", "all"))
    assert {s.background for s in told} == {"white", "black", "grey", "beige"}
    assert {len(s.objects) for s in told} == {1, 2, 3}
    three = {s.relations for s in told if len(s.objects) == 3}
    assert len(three) == 8  # one horizontal and one vertical relation, in either order


def test_score_counts_attributes_of_the_best_assignment():
    red = Object_("circle", "red", "large", (0.5, 0.25))
    blue = Object_("square", "blue", "small", (0.5, 0.75))
    wanted = Scene((red, blue), ("above",))
    assert score(Scene((blue, red), ("below",)), wanted) == dict.fromkeys(
        ("shape", "color", "both", "size", "relation", "count", "background", "all"), 1.0
    )
    swapped = Scene(
        (Object_("circle", "blue", "large", (0.5, 0.25)),
         Object_("square", "red", "small", (0.5, 0.75))), ("above",)
    )  # fmt: skip
    found = score(swapped, wanted)
    assert found["both"] == 0.0
    assert found["all"] == 0.0
    assert max(found["shape"], found["color"]) == 1.0
    upside_down = Scene(
        (Object_("square", "blue", "small", (0.5, 0.25)),
         Object_("circle", "red", "large", (0.5, 0.75))), ("above",)
    )  # fmt: skip
    found = score(upside_down, wanted)
    assert (found["both"], found["relation"], found["all"]) == (1.0, 0.0, 0.0)


def test_score_of_missing_and_surplus_objects():
    red = Object_("circle", "red", "large", (0.5, 0.25))
    blue = Object_("square", "blue", "small", (0.5, 0.75))
    wanted = Scene((red, blue), ("above",))
    nothing = score(Scene(()), wanted)
    assert nothing == dict.fromkeys(nothing, 0.0) | {"background": 1.0}
    one = score(Scene((red,)), wanted)
    assert (one["both"], one["count"], one["relation"], one["all"]) == (0.5, 0.0, 0.0, 0.0)
    surplus = Scene(
        (red, blue, Object_("star", "green", "small", (0.9, 0.9))), ("above", "left of")
    )
    assert score(surplus, wanted)["both"] == 1.0
    assert not matches(surplus, wanted)
    assert not matches(Scene((red, blue), ("above",), "black"), wanted)


def test_place_keeps_the_attributes_and_needs_no_luck():
    told = Scene((Object_("star", "red"), Object_("ring", "blue"), Object_("heart", "pink")),
                 ("above", "left of"))  # fmt: skip
    for seed in range(20):
        placed = place(told, generator=torch.Generator().manual_seed(seed))
        assert placed == told
        star, ring, heart = (o.position for o in placed.objects)
        assert star[1] < ring[1]
        assert ring[0] < heart[0]


def test_bad_scenes_say_what_is_allowed():
    cases = [
        (lambda: Object_("hexagon", "red"), "shape must be one of 'circle'.*got 'hexagon'"),
        (lambda: Object_("circle", "white"), "color must be one of 'red'.*got 'white'"),
        (lambda: Object_("circle", "red", "huge"), "size must be one of 'small', 'large'"),
        (lambda: Object_("circle", "red", "small", (1.5, 0.5)), r"position must lie in \[0, 1\]"),
        (lambda: Scene((), (), "plaid"), "background must be one of"),
        (lambda: Scene((Object_("circle", "red"),), ("above",)), "1 objects need 0 relations"),
        (lambda: sample_scene(subset="mini"), "subset must be one of 'full', 'plain'"),
        (lambda: sample_scene(split="test"), "split must be one of 'train', 'held_out', 'all'"),
        (lambda: sample_scene(objects=3, subset="plain"), "from 1 to 2 in the plain subset, got 3"),
        (lambda: sample_scene(objects=()), "from 1 to 3 in the full subset"),
        (lambda: place(Scene(())), "1 to 3 objects, got 0"),
        (lambda: relation_between(Object_("star", "red"), Object_("star", "red")), "position"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_three_in_a_row_cannot_be_placed():
    things = tuple(Object_(shape, "red") for shape in SHAPES[:3])
    for relations in (("left of", "left of"), ("above", "below")):
        with pytest.raises(ValueError, match="three objects need one relation of"):
            place(Scene(things, relations))
