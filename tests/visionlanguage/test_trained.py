"""A trained CLIP reads texts as they are written, and comes back from its file."""

from pathlib import Path

import pytest
import torch
from helpers import randomise, rejects, unchecked

from mmcourse.training import save_checkpoint
from mmcourse.visionlanguage import ConvTower, TrainedCLIP

tower_module = unchecked("mmcourse.visionlanguage.conv_tower")
CONFIG = {
    "pieces": ["a", "red", "circle", "##s", "빨간", "원"],
    "embed_dim": 6,
    "image": {"image_size": 8, "channels": [8, 16], "blocks": 1, "num_heads": 2},
    "text": {"max_positions": 5, "width": 12, "depth": 1, "num_heads": 2},
}


@pytest.fixture
def clip() -> TrainedCLIP:
    torch.manual_seed(0)
    found = TrainedCLIP.build(CONFIG)
    randomise(found.model, scale=0.3)
    return found


def test_texts_and_pictures_become_unit_vectors(clip: TrainedCLIP) -> None:
    texts = clip.encode_text(["a red circle", "빨간 원", "Red"])
    assert texts.shape == (3, 6)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(3))
    pictures = torch.randn(4, 3, 8, 8)
    images = clip.encode_image(pictures)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(4))
    assert not images.requires_grad
    torch.testing.assert_close(images, clip.model.encode_image(pictures).detach())


def test_a_text_alone_is_the_text_among_longer_ones(clip: TrainedCLIP) -> None:
    """What is filled up behind the end of a text changes nothing."""
    together = clip.encode_text(["red", "a red circle"])
    torch.testing.assert_close(together[:1], clip.encode_text(["red"]))
    torch.testing.assert_close(clip.encode_text(["RED circles"]), clip.encode_text(["red circles"]))
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_many_are_read_in_parts(clip: TrainedCLIP) -> None:
    texts = ["red", "circle", "a", "원"] * 150
    torch.testing.assert_close(clip.encode_text(texts)[:4], clip.encode_text(texts[:4]))
    pictures = torch.randn(4, 3, 8, 8).repeat(150, 1, 1, 1)
    torch.testing.assert_close(
        clip.encode_image(pictures)[-4:], clip.encode_image(pictures[:4]), rtol=1e-4, atol=1e-5
    )


def test_it_comes_back_from_its_file(clip: TrainedCLIP, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_checkpoint(file, clip.model, {"config": CONFIG})
    again = TrainedCLIP.load(file)
    texts = ["a red circle", "빨간 원"]
    torch.testing.assert_close(again.encode_text(texts), clip.encode_text(texts))
    assert not any(weight.requires_grad for weight in again.model.parameters())
    assert not again.model.training
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, clip.model, {"config": {"words": []}})
    with rejects("expected a CLIP checkpoint, got other.safetensors of another model"):
        TrainedCLIP.load(other)
    with rejects("no checkpoint 'clip-nothing'; a path, or one of"):
        TrainedCLIP.load("clip-nothing")


def test_what_cannot_be_read(clip: TrainedCLIP) -> None:
    with rejects("a text needs at least one word, got ' '"):
        clip.tokenize(["red", " "])
    with rejects("a text has at most 5 tokens, got 6: 'a red red circle'"):
        clip.tokenize(["red", "a red red circle"])
    with rejects("need texts"):
        clip.encode_text([])


def test_the_tower_halves_the_picture_and_knows_its_place() -> None:
    tower = ConvTower(image_size=12, channels=(8, 16), blocks=1, num_heads=2)
    randomise(tower, scale=0.5).eval()
    x = torch.randn(2, 3, 12, 12)
    assert tower(x).shape == (2, 16)
    assert tower.width == 16
    assert tower.pool.side == 3
    torch.testing.assert_close(tower(x)[:1], tower(x[:1]), rtol=1e-4, atol=1e-5)
    assert (tower(x) - tower(x.roll(4, dims=-1))).abs().max() > 1e-2
    for options, message in (
        ({"image_size": 6}, "image_size must be a multiple of 4, got 6"),
        ({"channels": ()}, "channels must be at least one number"),
        ({"channels": (8, 0)}, "channels must be at least one number"),
    ):
        with rejects(message):
            tower_module.ConvTower(**{"image_size": 8, "channels": (8, 16), **options})
    with rejects("images must be"):
        tower_module.ConvTower(image_size=8, channels=(8, 16))(x)
