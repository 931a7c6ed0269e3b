"""The U-Net that reads words, against diffusers' on tiny random checkpoints."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from helpers import randomise, rejects, unchecked

from mmcourse.diffusion import CrossAttention, UNet, attention_maps

plain = unchecked("mmcourse.diffusion.unet_attention")
TINY = {  # the layout of Stable Diffusion 1.x
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (16, 32, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "norm_num_groups": 8,
    "cross_attention_dim": 12,
    "attention_head_dim": 4,
}


def saved(folder, **changes) -> UNet2DConditionModel:
    reference = UNet2DConditionModel(sample_size=16, **{**TINY, **changes})
    reference = randomise(reference, scale=0.2).eval()
    reference.save_pretrained(folder)
    return reference


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    return x, torch.tensor([3, 997]), torch.randn(2, 5, 12, generator=generator)


@pytest.mark.parametrize("layers", [1, 2])
def test_published_checkpoints_load_and_agree(layers: int, tmp_path) -> None:
    reference = saved(tmp_path, layers_per_block=layers)
    ours = UNet.from_pretrained(tmp_path)
    x, step, words = inputs()
    with torch.no_grad():
        theirs = reference(x, step, encoder_hidden_states=words).sample
        torch.testing.assert_close(ours(x, step, words), theirs, rtol=2e-5, atol=2e-5)
        wide = torch.randn(1, 4, 4, 8)
        theirs = reference(wide, 11, encoder_hidden_states=words[:1]).sample
        torch.testing.assert_close(ours(wide, 11, words[:1]), theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("attention_head_dim", 8), ("flip_sin_to_cos", False), ("norm_eps", 1e-1), ("freq_shift", 1)],
)
def test_each_convention_matters(key: str, wrong: object, tmp_path) -> None:
    reference = saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: wrong}))
    x, step, words = inputs()
    with torch.no_grad():
        gap = UNet.from_pretrained(tmp_path)(x, step, words)
        gap = gap - reference(x, step, encoder_hidden_states=words).sample
    assert gap.abs().max() > 1e-4


def test_the_gate_is_the_second_half() -> None:
    gate = plain.GatedGELU(2, 1)
    with torch.no_grad():
        gate.proj.weight.copy_(torch.eye(2))
        gate.proj.bias.zero_()
    value = gate(torch.tensor([[[3.0, -50.0]]]))  # a closed gate
    assert value.abs().item() < 1e-6


def test_stable_diffusion_has_its_published_size() -> None:
    with torch.device("meta"):
        model = UNet(
            in_channels=4,
            channels=(320, 640, 1280, 1280),
            attention=(True, True, True, False),
            context_dim=768,
            eps=1e-5,
        )
    assert sum(p.numel() for p in model.parameters()) == 859_520_964
    reading = [n for n, layer in model.named_modules() if n.endswith("attn2")]
    assert len(reading) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_linear_projection": True}, "use_linear_projection"),
        ({"addition_embed_type": "text_time"}, "addition_embed_type"),
        ({"attention_head_dim": [2, 4, 8]}, "one number for all levels"),
        ({"cross_attention_dim": 16}, "must have shape"),
        ({"mid_block_type": "UNetMidBlock2D"}, "mid_block_type"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(change: dict, message: str, tmp_path) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with rejects(message):
        UNet.from_pretrained(tmp_path)


def tiny(**changes) -> UNet:
    options = {"in_channels": 1, "channels": (8, 16), "attention": (True, True), "groups": 4}
    return UNet(**{**options, "context_dim": 6, "num_heads": 2, **changes})


def test_maps_are_distributions_over_the_words_that_the_layer_used() -> None:
    model = randomise(tiny(blocks_per_level=1)).eval()
    x, words = torch.randn(2, 1, 8, 4), torch.randn(2, 3, 6)
    maps = attention_maps(model, x, 5, words)
    assert len(maps) == sum(name.endswith("attn2") for name, _ in model.named_modules())
    shapes = {tuple(found.shape[2:]) for found in maps.values()}
    assert shapes == {(8, 4, 3), (4, 2, 3)}
    for found in maps.values():
        torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]))


def test_weights_explain_the_output() -> None:
    layer = randomise(CrossAttention(8, 2, context_dim=6))
    x, words = torch.randn(1, 5, 8), torch.randn(1, 3, 6)
    v = layer.to_v(words).reshape(1, 3, 2, 4).transpose(1, 2)
    mixed = (layer.weights(x, words) @ v).transpose(1, 2).reshape(1, 5, 8)
    torch.testing.assert_close(layer(x, words), layer.to_out[0](mixed), rtol=1e-5, atol=1e-5)


def test_words_reach_every_picture_and_only_their_own() -> None:
    model = randomise(tiny(blocks_per_level=1))
    x, words = torch.randn(2, 1, 8, 8), torch.randn(2, 3, 6)
    changed = words.clone()
    changed[1] += 1
    before, after = model(x, 5, words), model(x, 5, changed)
    torch.testing.assert_close(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 1e-4
    # The order of the words alone carries nothing: positions belong to the text encoder.
    torch.testing.assert_close(model(x, 5, words.flip(1)), before, rtol=1e-4, atol=1e-4)


def test_bad_input() -> None:
    with rejects("num_heads must divide"):
        plain.CrossAttention(8, 3)
    with rejects("not both"):
        tiny(num_classes=3)
    model = unchecked("mmcourse.diffusion.unet").UNet(
        in_channels=1, channels=(8,), attention=(True,), groups=4, context_dim=6, num_heads=2
    )
    x = torch.randn(2, 1, 8, 8)
    for context in (None, torch.tensor([0, 1]), torch.randn(2, 3, 5), torch.randn(1, 3, 6)):
        with rejects("words"):
            model(x, 5, context)
    with rejects("no cross-attention"):
        plain.attention_maps(torch.nn.Linear(2, 2), x, 5, None)
