"""The data set of scenes: deterministic, lazy, batched, split."""

import pytest
import torch
from torch.utils.data import DataLoader

from mmcourse.data import (
    BACKGROUNDS,
    COLORS,
    HELD_OUT,
    SHAPES,
    SIZES,
    Shapes,
    caption,
    describe,
    matches,
    parse,
)


def test_items_depend_on_seed_and_index_alone():
    few, many = Shapes(count=10, seed=3), Shapes(count=1000, seed=3)
    for index in (7, 0, 9):
        assert few.scene(index) == many.scene(index)
        assert few[index]["caption"] == many[index]["caption"]
        torch.testing.assert_close(few[index]["image"], many[index]["image"], rtol=0, atol=0)
    other = Shapes(count=10, seed=4)
    assert [other.scene(i) for i in range(10)] != [few.scene(i) for i in range(10)]
    bigger = Shapes(64, count=10, seed=3)
    assert bigger[2]["caption"] == few[2]["caption"]
    assert bigger[2]["image"].shape == (3, 64, 64)


def test_item_has_picture_captions_and_labels():
    data = Shapes(count=50, seed=1)
    for index in range(50):
        item = data[index]
        scene = data.scene(index)
        assert item["caption"] == item["caption_en"] == caption(scene)
        assert parse(item["caption_ko"]) == scene
        assert matches(describe(item["image"]), scene)
        first = scene.objects[0]
        assert SHAPES[item["shape"]] == first.shape
        assert tuple(COLORS)[item["color"]] == first.color
        assert tuple(SIZES)[item["size"]] == first.size
        assert tuple(BACKGROUNDS)[item["background"]] == scene.background
        assert item["count"] == len(scene.objects)


def test_batches_equal_collated_items():
    data = Shapes(count=64, seed=2, language="both")
    indices = [5, 1, 63, 8]
    batch = data.batch(indices)
    loaded = next(iter(DataLoader(data, batch_size=4, sampler=indices)))
    assert batch.keys() == loaded.keys() == data[0].keys()
    for name, value in batch.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, loaded[name], rtol=0, atol=0)
        else:
            assert value == list(loaded[name])
    torch.testing.assert_close(data.images(indices), batch["image"], rtol=0, atol=0)
    assert data.images().shape == (64, 3, 32, 32)


def test_languages():
    assert Shapes(count=5, language="ko")[0]["caption"].startswith(("흰", "검은", "회색", "베이지"))
    both = Shapes(count=400, language="both")
    korean = sum(both.caption(i) == both.caption(i, "ko") for i in range(400))
    assert 150 < korean < 250


def test_plain_captions_leave_the_white_background_out():
    plain = Shapes(count=100, subset="plain")
    assert not any(" on " in plain.caption(i) for i in range(100))
    assert all(parse(plain.caption(i, "ko")) == plain.scene(i) for i in range(100))


def test_splits_do_not_leak():
    held = set(HELD_OUT)
    for subset in ("full", "plain"):
        train = Shapes(count=500, subset=subset)
        test = Shapes(count=500, subset=subset, split="held_out")
        seen = {(o.color, o.shape) for i in range(500) for o in train.scene(i).objects}
        assert not seen & held
        for index in range(500):
            assert {(o.color, o.shape) for o in test.scene(index).objects} & held
        both = [{s.canonical() for s in data.scenes(range(500))} for data in (train, test)]
        assert not both[0] & both[1]


def test_negative_and_wrong_indices():
    data = Shapes(count=10)
    assert data[-1]["caption"] == data[9]["caption"]
    for index in (10, -11):
        with pytest.raises(IndexError, match=f"from 0 to 9, got {index}"):
            data[index]
    assert len(list(data)) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be from 16 to 1024 pixels, got 0"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"language": "fr"}, "language must be one of 'en', 'ko', 'both'; got 'fr'"),
        ({"split": "test"}, "split must be one of 'train', 'held_out', 'all'; got 'test'"),
        ({"subset": "tiny"}, "subset must be one of 'full', 'plain'; got 'tiny'"),
        ({"subset": "plain", "objects": 3}, "from 1 to 2 in the plain subset, got 3"),
        ({"objects": 4}, "from 1 to 3 in the full subset, got 4"),
        ({"objects": ()}, "from 1 to 3 in the full subset"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Shapes(**options)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one index"):
        Shapes(count=3).batch([])
