"""The oracle reads every clean picture exactly, and sees through mild noise."""

import pytest
import torch
from helpers import BadInput

from mmcourse.data import (
    Object_,
    Scene,
    describe,
    describe_all,
    matches,
    place,
    render,
    sample_scene,
    score,
)
from mmcourse.data.oracle import _regions

COUNT = 2000


def sample(count: int, seed: int, **options) -> list[Scene]:
    generator = torch.Generator().manual_seed(seed)
    return [sample_scene(generator, split="all", **options) for _ in range(count)]


def read(scenes: list[Scene], size: int) -> list[Scene]:
    parts = [scenes[start : start + 250] for start in range(0, len(scenes), 250)]
    return [seen for part in parts for seen in describe_all(render(part, size))]


def farthest(seen: Scene, told: Scene) -> float:
    """The largest error of a centre, each seen object compared with the nearest told one."""
    return max(
        min(
            max(abs(p - q) for p, q in zip(a.position, b.position, strict=True))
            for b in told.objects
        )
        for a in seen.objects
    )


@pytest.mark.parametrize("size", [32, 64])
def test_clean_pictures_are_read_exactly(size):
    scenes = sample(COUNT, seed=size)
    seen = read(scenes, size)
    exact = [a.canonical() == b.canonical() for a, b in zip(seen, scenes, strict=True)]
    assert sum(exact) / COUNT >= 0.995
    # the tolerant comparison agrees with the strict one
    assert exact == [matches(a, b) for a, b in zip(seen, scenes, strict=True)]
    # centres to a fraction of a pixel
    assert max(farthest(a, b) for a, b in zip(seen, scenes, strict=True)) < 0.3 / size


def test_three_objects_and_plain_scenes():
    for options in ({"objects": 3}, {"subset": "plain", "objects": (1, 2)}):
        scenes = sample(300, seed=7, **options)
        hits = [matches(a, b) for a, b in zip(read(scenes, 32), scenes, strict=True)]
        assert sum(hits) / len(hits) >= 0.995


def test_another_scene_does_not_match():
    """The oracle tells different pictures apart: shifted by one, almost none match."""
    scenes = sample(300, seed=3)
    seen = read(scenes, 32)
    wrong = [matches(a, b) for a, b in zip(seen, scenes[1:] + scenes[:1], strict=True)]
    assert sum(wrong) <= 3


@pytest.mark.parametrize("what", ["shape", "color", "size"])
def test_a_changed_attribute_is_noticed(what):
    told = place(Scene((Object_("circle", "red"), Object_("star", "blue", "small")), ("above",)))
    other = {"shape": "square", "color": "green", "size": "small"}[what]
    changed = Object_(**{"shape": "circle", "color": "red", "size": "large", what: other})
    drawn = place(Scene((changed, told.objects[1]), ("above",)))
    found = score(describe(render([drawn], 32)[0]), told)
    assert found[what] == 0.5
    assert found["all"] == 0.0


@pytest.mark.parametrize("size", [32, 64])
def test_mild_noise_and_a_shift_of_tone_do_no_harm(size, generator):
    scenes = sample(200, seed=11)
    images = render(scenes, size)
    noisy = images + 0.1 * torch.randn(images.shape, generator=generator)
    duller = 0.92 * images - 0.02
    for changed in (noisy, duller):
        hits = [matches(a, b) for a, b in zip(describe_all(changed), scenes, strict=True)]
        assert sum(hits) / len(hits) >= 0.99


def test_pictures_of_nothing_in_particular(generator):
    assert describe(torch.ones(3, 32, 32)) == Scene((), (), "white")
    assert describe(-torch.ones(3, 32, 32)) == Scene((), (), "black")
    noise = torch.randn(3, 3, 32, 32, generator=generator)
    assert len(describe_all(noise)) == 3
    assert len(describe_all(torch.full((1, 3, 32, 32), torch.nan))) == 1
    assert describe_all(torch.empty(0, 3, 32, 32)) == []


def test_one_picture_equals_its_place_in_a_batch():
    images = render(sample(20, seed=5), 32)
    together = describe_all(images)
    assert [describe(image) for image in images] == together


def test_regions_equal_a_flood_fill(generator):
    from scipy import ndimage

    mask = torch.rand(8, 20, 20, generator=generator) < 0.4
    for labels, picture in zip(_regions(mask), mask, strict=True):
        wanted, count = ndimage.label(picture.numpy(), structure=torch.ones(3, 3).numpy())
        assert ((labels > 0) == picture).all()
        pairs = {*zip(labels.flatten().tolist(), wanted.flatten().tolist(), strict=True)}
        assert len(pairs) == count + (not picture.all())  # one to one, the outside included


def test_bad_input():
    for shape in ((32, 32), (1, 32, 32), (3, 32, 40), (3, 8, 8)):
        with pytest.raises(BadInput):
            describe(torch.zeros(shape))
    with pytest.raises(BadInput):
        describe_all(torch.zeros(3, 32, 32))
