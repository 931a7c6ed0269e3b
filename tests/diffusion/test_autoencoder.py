"""The autoencoder against diffusers' on tiny random checkpoints."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel
from helpers import randomise, rejects, unchecked
from safetensors.torch import load_file, save_file

from mmcourse.diffusion import KLAutoencoder
from mmcourse.generative import gaussian_kl, reparameterise

plain = unchecked("mmcourse.diffusion.autoencoder")
TINY = {
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "norm_num_groups": 4,
    "layers_per_block": 2,
    "latent_channels": 3,
}


def saved(folder, **changes) -> AutoencoderKL:
    reference = randomise(AutoencoderKL(**{**TINY, **changes}), scale=0.15).eval()
    reference.save_pretrained(folder)
    return reference


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"in_channels": 1, "out_channels": 1, "layers_per_block": 1},
        {"mid_block_add_attention": False},
    ],
    ids=["usual", "grey", "no attention"],
)
def test_published_checkpoints_load_and_agree(changes: dict, tmp_path) -> None:
    reference = saved(tmp_path, **changes)
    ours = KLAutoencoder.from_pretrained(tmp_path)
    assert not ours.training
    x = torch.randn(2, changes.get("in_channels", 3), 16, 8)
    with torch.no_grad():
        theirs = reference.encode(x).latent_dist
        mean, log_variance = ours.encode(x)
        torch.testing.assert_close(mean, theirs.mean, rtol=2e-5, atol=2e-5)
        torch.testing.assert_close(log_variance, theirs.logvar, rtol=2e-5, atol=2e-5)
        z = torch.randn(mean.shape)
        torch.testing.assert_close(ours.decode(z), reference.decode(z).sample, rtol=2e-5, atol=2e-5)
    assert ours.scaling_factor == 0.18215


def test_the_downsampling_pads_right_and_bottom(tmp_path) -> None:
    reference = saved(tmp_path)
    ours = KLAutoencoder.from_pretrained(tmp_path)
    for level in ours.encoder.down_blocks:
        for layer in level.downsamplers:
            layer.conv.padding, layer.pad = (1, 1), False
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        gap = ours.encode(x)[0] - reference.encode(x).latent_dist.mean
    assert gap.abs().max() > 1e-3


def test_old_names_of_attention_weights(tmp_path) -> None:
    reference = saved(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(file)
    for new, before in old.items():
        tensors = {name.replace(f".{new}.", f".{before}."): t for name, t in tensors.items()}
    save_file(tensors, file)
    z = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        ours = KLAutoencoder.from_pretrained(tmp_path).decode(z)
        torch.testing.assert_close(ours, reference.decode(z).sample, rtol=2e-5, atol=2e-5)


def test_stable_diffusion_has_its_published_size() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in KLAutoencoder().parameters()) == 83_653_863


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "VQModel"}, "must describe an AutoencoderKL"),
        ({"use_quant_conv": False}, "use_quant_conv"),
        ({"shift_factor": 0.1}, "shift_factor"),
        ({"layers_per_block": 1}, "unexpected"),
        ({"latent_channels": 4}, "must have shape"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(change: dict, message: str, tmp_path) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with rejects(message):
        KLAutoencoder.from_pretrained(tmp_path)


def test_another_architecture_is_refused(tmp_path) -> None:
    UNet2DModel(
        sample_size=8,
        block_out_channels=(8,),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    ).save_pretrained(tmp_path)
    with rejects("UNet2DModel"):
        KLAutoencoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_the_stem_only_folds(stem: int) -> None:
    """With a stem the network works on folded pixels: the same as folding them outside."""
    options = {"channels": (8, 8), "latent_channels": 2, "groups": 4, "blocks_per_level": 1}
    folding = randomise(KLAutoencoder(in_channels=1, stem=stem, **options))
    inside = randomise(KLAutoencoder(in_channels=stem**2, **options))
    x = torch.randn(2, 1, 8, 16)
    folded = x.reshape(2, 8 // stem, stem, 16 // stem, stem).permute(0, 2, 4, 1, 3).flatten(1, 2)
    torch.testing.assert_close(folding.encode(x)[0], inside.encode(folded)[0])
    z = torch.randn(2, 2, 4, 4)
    back = inside.decode(z).reshape(2, stem, stem, 8, 8).permute(0, 3, 1, 4, 2)
    torch.testing.assert_close(folding.decode(z), back.reshape(2, 1, 8 * stem, 8 * stem))


def test_it_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = KLAutoencoder(
        in_channels=1, channels=(16, 32), latent_channels=4, blocks_per_level=1, groups=4
    )
    x = torch.randn(4, 1, 8, 8).clamp(-1, 1)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        mean, log_variance = model.encode(x)
        z = reparameterise(mean, log_variance, torch.randn_like(mean))
        loss = (model.decode(z) - x).square().mean()
        loss = loss + 1e-6 * gaussian_kl(mean, log_variance).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


def test_bad_input() -> None:
    model = plain.KLAutoencoder(channels=(8, 8), groups=4)
    for x in (torch.zeros(1, 3, 7, 8), torch.zeros(1, 1, 8, 8), torch.zeros(3, 8, 8)):
        with rejects("x must be"):
            model.encode(x)
    with rejects("x must be"):
        model.encode(torch.zeros(1, 3, 8, 8, dtype=torch.long))
    with rejects("z must be"):
        model.decode(torch.zeros(1, 3, 4, 4))
    with rejects("at least one"):
        plain.KLAutoencoder(channels=())
    with rejects("divisible by groups"):
        plain.KLAutoencoder(channels=(10,), groups=4)
