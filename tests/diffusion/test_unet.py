"""The U-Net against diffusers' on tiny random checkpoints, and as a network that learns."""

import json

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.embeddings import get_timestep_embedding
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mmcourse.diffusion import NoiseSchedule, UNet, cosine_betas, denoising_loss, time_embedding
from mmcourse.diffusion.unet_blocks import Downsample, ResBlock, SelfAttention2d, group_norm

plain = unchecked("mmcourse.diffusion.unet_blocks")
DDPM = {  # the CIFAR-10 network's settings, small
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "downsample_padding": 0,
    "dropout": 0.1,
}
OTHER = {  # everything the other way round
    "block_out_channels": (16, 32, 48),
    "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "AttnUpBlock2D"),
    "norm_num_groups": 4,
    "attention_head_dim": 8,
    "layers_per_block": 1,
    "in_channels": 1,
    "out_channels": 2,
    "num_class_embeds": 5,
}


def saved(folder, settings: dict) -> UNet2DModel:
    reference = randomise(UNet2DModel(sample_size=16, **settings), scale=0.2).eval()
    reference.save_pretrained(folder)
    return reference


def tiny(**changes) -> UNet:
    default = {
        "in_channels": 1,
        "channels": (8, 16),
        "attention": (False, True),
        "groups": 4,
        "blocks_per_level": 1,
    }
    return UNet(**{**default, **changes})


@pytest.mark.parametrize("settings", [DDPM, OTHER], ids=["ddpm", "other"])
def test_published_checkpoints_load_and_agree(settings: dict, tmp_path) -> None:
    reference, ours = saved(tmp_path, settings), UNet.from_pretrained(tmp_path)
    assert not ours.training
    x = torch.randn(2, settings.get("in_channels", 3), 16, 16)
    step = torch.tensor([3, 997])
    labels = torch.tensor([1, 4]) if "num_class_embeds" in settings else None
    with torch.no_grad():
        theirs = reference(x, step, class_labels=labels).sample
        torch.testing.assert_close(ours(x, step, labels), theirs, rtol=2e-5, atol=2e-5)
        # One step for all, and images that are not square.
        wide = torch.randn(1, x.shape[1], 8, 16)
        label = None if labels is None else labels[:1]
        theirs = reference(wide, 11, class_labels=label).sample
        torch.testing.assert_close(ours(wide, 11, label), theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("norm_eps", 1e-2),
        ("flip_sin_to_cos", True),
        ("freq_shift", 0),
        ("attention_head_dim", 8),
        ("downsample_padding", 1),
    ],
)
def test_each_convention_matters(key: str, wrong: object, tmp_path) -> None:
    """With one setting read wrongly the output differs: the parity test would notice."""
    reference = saved(tmp_path, DDPM)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: wrong}))
    x, step = torch.randn(2, 3, 16, 16), torch.tensor([3, 997])
    with torch.no_grad():
        gap = UNet.from_pretrained(tmp_path)(x, step) - reference(x, step).sample
    assert gap.abs().max() > 1e-4


def test_old_names_of_attention_weights(tmp_path) -> None:
    reference = saved(tmp_path, DDPM)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(file)
    for new, before in old.items():
        tensors = {name.replace(f".{new}.", f".{before}."): t for name, t in tensors.items()}
    assert any(".proj_attn." in name for name in tensors)
    save_file(tensors, file)
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            UNet.from_pretrained(tmp_path)(x, 5), reference(x, 5).sample, rtol=2e-5, atol=2e-5
        )


def test_the_cifar_network_has_its_published_size() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet().parameters()) == 35_746_307


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "UNet3DConditionModel"}, "must describe a UNet2DModel or"),
        ({"resnet_time_scale_shift": "scale_shift"}, "resnet_time_scale_shift"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type"),
        ({"down_block_types": ["SkipDownBlock2D", "DownBlock2D"]}, "SkipDownBlock2D"),
        ({"up_block_types": ["UpBlock2D", "AttnUpBlock2D"]}, "mirror"),
        ({"layers_per_block": 1}, "unexpected"),
        ({"num_class_embeds": 3}, "missing class_embedding.weight"),
        ({"block_out_channels": [16, 64]}, "must have shape"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(change: dict, message: str, tmp_path) -> None:
    saved(tmp_path, DDPM)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with rejects(message):
        UNet.from_pretrained(tmp_path)


@pytest.mark.parametrize("cosine_first", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("width", [4, 32, 128])
def test_time_embedding_equals_the_reference(width: int, shift: float, cosine_first: bool) -> None:
    step = torch.tensor([0, 1, 500, 999])
    ours = time_embedding(step, width, cosine_first=cosine_first, frequency_shift=shift)
    theirs = get_timestep_embedding(
        step, width, flip_sin_to_cos=cosine_first, downscale_freq_shift=shift
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    swapped = time_embedding(step, width, cosine_first=not cosine_first, frequency_shift=shift)
    assert (swapped - theirs).abs().max() > 0.5
    # The Transformer of 2017 interleaves; here the halves stand side by side.
    interleaved = ours.reshape(4, 2, -1).transpose(1, 2).reshape(4, -1)
    assert (interleaved - theirs).abs().max() > 0.5


def test_a_new_network_predicts_zero_and_all_of_it_learns() -> None:
    """The last convolutions start at zero; after one update every weight has a gradient."""
    torch.manual_seed(0)
    model = tiny(num_classes=3)
    x, step = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])
    label = torch.tensor([0, 1, 2, -1])
    assert model(x, step, label).abs().max() == 0
    randomise(model)
    model(x, step, label).square().mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_no_class_is_the_same_as_class_minus_one() -> None:
    model = randomise(tiny(num_classes=3))
    x = torch.randn(2, 1, 8, 8)
    nothing = torch.tensor([-1, -1])
    torch.testing.assert_close(model(x, 5), model(x, 5, nothing), rtol=0.0, atol=0.0)
    mixed = model(x, 5, torch.tensor([2, -1]))
    torch.testing.assert_close(mixed[1:], model(x, 5)[1:])
    assert (mixed[:1] - model(x, 5)[:1]).abs().max() > 1e-3


def test_it_overfits_one_batch() -> None:
    """Four images whose noise and step stay fixed: the loss must vanish."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model, schedule = tiny(channels=(16, 32)), NoiseSchedule(cosine_betas(100))
    x0, noise = (torch.randn(4, 1, 8, 8, generator=generator) for _ in range(2))
    step = torch.tensor([5, 30, 60, 95])
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for _ in range(150):
        loss = denoising_loss(model, x0.clamp(-1, 1), step, noise, schedule)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 3), height=st.integers(1, 5), width=st.integers(1, 5), seed=st.integers(0)
)
def test_the_prediction_has_the_images_shape(batch, height, width, seed) -> None:
    model = randomise(tiny(), seed=seed % 2**31)
    x = torch.randn(batch, 1, 2 * height, 2 * width)
    assert model(x, torch.zeros(batch, dtype=torch.long)).shape == x.shape


def test_images_of_a_batch_do_not_see_each_other() -> None:
    model = randomise(tiny())
    x, step = torch.randn(3, 1, 8, 8), torch.tensor([1, 50, 99])
    together = model(x, step)
    for i in range(3):
        torch.testing.assert_close(model(x[i : i + 1], step[i : i + 1]), together[i : i + 1])
    assert (model(x, step.flip(0)) - together).abs().max() > 1e-3


def test_attention_equals_the_formula() -> None:
    layer = randomise(SelfAttention2d(8, head_dim=4, groups=2))
    x = torch.randn(2, 8, 3, 3)
    tokens = layer.group_norm(x).flatten(2).transpose(1, 2)
    q, k, v = (p(tokens).reshape(2, 9, 2, 4) for p in (layer.to_q, layer.to_k, layer.to_v))
    weights = (torch.einsum("bqhd,bkhd->bhqk", q, k) / 2).softmax(-1)
    mixed = torch.einsum("bhqk,bkhd->bqhd", weights, v).reshape(2, 9, 8)
    expected = x + layer.to_out[0](mixed).transpose(1, 2).reshape(2, 8, 3, 3)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_dropout_only_while_training() -> None:
    block = randomise(ResBlock(8, 8, time_width=4, groups=2, dropout=0.5))
    x, time = torch.randn(1, 8, 4, 4), torch.randn(1, 4)
    assert (block(x, time) - block(x, time)).abs().max() > 0
    block.eval()
    torch.testing.assert_close(block(x, time), block(x, time), rtol=0.0, atol=0.0)


def test_bad_input_is_named() -> None:
    for width in (7, 2, 0):
        with rejects("embed_dim must be even and at least 4"):
            time_embedding(torch.zeros(1), width)
    with rejects("channels must be divisible by groups, got 8 and 3"):
        group_norm(3, 8, 1e-5)
    for wrong in ({"groups": 3}, {"head_dim": 5}, {"channels": (10, 16)}):
        with rejects("channels must be divisible by"):
            tiny(**wrong)
    with rejects("one flag per level"):
        tiny(attention=(True,))
    with rejects("blocks_per_level must be at least 1"):
        tiny(blocks_per_level=0)
    with rejects(r"dropout must be in \[0, 1\)"):
        tiny(dropout=1.0)
    with rejects("padding must be 0 or 1"):
        Downsample(8, padding=2)
    model, x = tiny(), torch.randn(2, 1, 8, 8)
    with rejects("must be divisible by 2, got 7 × 8"):
        model(x[:, :, :7], 0)
    with rejects("without num_classes"):
        model(x, 0, torch.tensor([0, 1]))
    for wrong in (x[0], x.long()):
        with pytest.raises(BadInput):
            model(wrong, 0)
