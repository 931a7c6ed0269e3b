"""The Vision Transformer against transformers, timm and torchvision; patches and positions."""

import json

import pytest
import timm
import torch
import torch.nn.functional as F
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import nn
from torch.testing import assert_close
from torchvision.models import VisionTransformer as TorchvisionViT
from transformers import ViTConfig, ViTForImageClassification

from mmcourse.training import count_parameters
from mmcourse.transformers import (
    PatchEmbedding,
    ViT,
    attention_distance,
    attention_rollout,
    grid_distances,
    patchify,
    position_similarity,
    resize_positions,
    unpatchify,
)

TINY = {"image_size": 12, "patch_size": 4, "embed_dim": 24, "num_layers": 3, "num_heads": 3}
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny(**options) -> ViT:
    return randomise(ViT(**{**TINY, "num_classes": 5, **options})).eval()


# ---- patches ----


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 4]),
    patch=st.integers(1, 4),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
)
def test_unpatchify_is_the_exact_inverse(batch, channels, patch, rows, columns):
    images = draw(batch, channels, rows * patch, columns * patch)
    patches = patchify(images, patch)
    assert patches.shape == (batch, rows * columns, patch * patch * channels)
    assert torch.equal(unpatchify(patches, patch, rows), images)
    if rows == columns:
        assert torch.equal(unpatchify(patches, patch), images)


def test_patches_by_a_slow_loop():
    images = torch.arange(2 * 3 * 6 * 8).reshape(2, 3, 6, 8)  # any dtype may be cut
    patches = patchify(images, 2)
    for n in range(2):
        for i in range(3):
            for j in range(4):
                window = images[n, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                assert torch.equal(patches[n, 4 * i + j], window.permute(1, 2, 0).flatten())
    wrong = images.reshape(2, 12, 12)  # a bare reshape cuts rows of pixels, not patches
    assert not torch.equal(patches, wrong)


def test_the_numbers_of_the_slides():
    assert patchify(torch.zeros(1, 3, 16, 16), 16).shape == (1, 1, 768)
    assert patchify(torch.zeros(1, 3, 224, 224), 16).shape == (1, 14 * 14, 768)
    with torch.device("meta"):
        base = ViT(num_classes=0)
        tokens = base.embed(torch.empty(2, 3, 224, 224))
    assert tokens.shape == (2, 196 + 1, 768)
    assert count_parameters(base) == 85_798_656
    reference = timm.create_model("vit_base_patch16_224", num_classes=0, pretrained=False)
    assert count_parameters(reference) == 85_798_656


def test_the_embedding_is_a_strided_convolution():
    embedding = randomise(PatchEmbedding(4, 3, 10), scale=1.0)
    images = draw(2, 3, 12, 8)
    maps = embedding.as_convolution()(images)
    assert maps.shape == (2, 10, 3, 2)
    assert_close(embedding(images), maps.flatten(2).transpose(1, 2), **TOLERANCE)
    kernel = embedding.project.weight.reshape(10, 3, 4, 4)  # channels first: another order
    wrong = F.conv2d(images, kernel, embedding.project.bias, stride=4)
    assert not torch.allclose(maps, wrong, atol=0.1)


# ---- parity ----


def huggingface(folder, **options):
    config = ViTConfig(
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=40,
        image_size=12,
        patch_size=4,
        num_labels=5,
        **options,
    )
    theirs = randomise(ViTForImageClassification(config)).eval()
    theirs.save_pretrained(folder)
    return theirs


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "options",
    [{}, {"qkv_bias": False}, {"hidden_act": "gelu_new"}, {"num_channels": 1}],
    ids=lambda o: "-".join(o) or "plain",
)
def test_equals_huggingface(tmp_path, options):
    theirs = huggingface(tmp_path, **options)
    ours = ViT.from_pretrained(tmp_path)
    images = draw(2, options.get("num_channels", 3), 12, 12)
    with torch.no_grad():
        expected = theirs(images, output_hidden_states=True)
        assert_close(ours(images), expected.logits, **TOLERANCE)
        hidden = theirs.vit(images).last_hidden_state
        assert_close(ours.features(images), hidden, **TOLERANCE)
    assert not ours.training


def test_the_attention_weights_are_huggingface_s(tmp_path):
    theirs = huggingface(tmp_path, attn_implementation="eager")
    ours, images = ViT.from_pretrained(tmp_path), draw(2, 3, 12, 12)
    with torch.no_grad():
        expected = theirs(images, output_attentions=True).attentions
        weights = ours.attention(images)
    assert weights.shape == (3, 2, 3, 10, 10)
    assert_close(weights, torch.stack(expected), **TOLERANCE)
    assert_close(weights.sum(-1), torch.ones(3, 2, 3, 10))


def test_wrong_conventions_are_caught(tmp_path):
    theirs, images = huggingface(tmp_path), draw(2, 3, 12, 12)
    with torch.no_grad():
        # Tokens with almost no variance expose the eps inside the norms.
        for name, weight in theirs.vit.embeddings.named_parameters():
            weight.mul_(1e-3 if "projection" not in name else 1e-4)
        theirs.save_pretrained(tmp_path)
        expected = theirs(images).logits
        ours = ViT.from_pretrained(tmp_path)
        assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)
        for norm in (m for m in ours.modules() if isinstance(m, nn.LayerNorm)):
            norm.eps = 1e-6
        assert not torch.allclose(ours(images), expected, atol=1e-2), "eps"

        theirs = huggingface(tmp_path)
        ours, expected = ViT.from_pretrained(tmp_path), theirs(images).logits
        for block in ours.blocks:
            block.feed_forward.activation = "gelu_tanh"
        assert not torch.allclose(ours(images), expected, **TOLERANCE), "erf or tanh"
        ours = ViT.from_pretrained(tmp_path)
        ours.blocks[0].norm_first = False
        assert not torch.allclose(ours(images), expected, atol=1e-2), "pre- or post-LN"
        ours = ViT.from_pretrained(tmp_path)
        ours.class_token.sub_(ours.positions[0])  # as if joined after the positions
        assert not torch.allclose(ours(images), expected, atol=1e-2), "class token"
        ours = ViT.from_pretrained(tmp_path)
        ours.pool = "mean"
        assert not torch.allclose(ours(images), expected, atol=1e-2), "pooling"


def timm_vit(**options):
    sizes = {"img_size": 12, "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3}
    return randomise(timm.models.VisionTransformer(**sizes, num_classes=5, **options)).eval()


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_equals_timm(tmp_path, pool):
    theirs, images = timm_vit(global_pool=pool), draw(2, 3, 12, 12)
    file = tmp_path / "vit.safetensors"
    save_file(theirs.state_dict(), file)
    with torch.no_grad():
        expected = theirs(images)
        for source in (theirs.state_dict(), file, str(file)):
            ours = ViT.from_timm(source, num_heads=3)
            assert_close(ours(images), expected, **TOLERANCE)
        assert ours.pool == {"token": "cls", "avg": "mean"}[pool]
        assert ours.norm.eps == 1e-6
        wrong = ViT.from_timm(file, num_heads=2)
        assert not torch.allclose(wrong(images), expected, atol=1e-2)


def test_a_timm_folder_and_the_published_widths(tmp_path):
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=0)
    theirs = randomise(theirs, scale=0.05).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "vit_tiny_patch16_224"}')
    ours, images = ViT.from_timm(tmp_path), draw(2, 3, 32, 32)
    with torch.no_grad():
        assert_close(ours(images), theirs(images), **TOLERANCE)


def test_equals_torchvision(tmp_path):
    theirs = TorchvisionViT(12, 4, 3, 3, 24, 40, num_classes=5)
    theirs, images = randomise(theirs).eval(), draw(2, 3, 12, 12)
    words = {
        "encoder.layers.encoder_layer_": "blocks.",
        "encoder.ln": "norm",
        "encoder.pos_embedding": "pos_embed",
        "class_token": "cls_token",
        "conv_proj": "patch_embed.proj",
        "heads.head": "head",
        "ln_1": "norm1",
        "ln_2": "norm2",
        "self_attention.in_proj_": "attn.qkv.",
        "self_attention.out_proj": "attn.proj",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
    }
    tensors = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in words.items():
            name = name.replace(old, new)
        tensors[name] = tensor
    with torch.no_grad():
        assert_close(ViT.from_timm(tensors, num_heads=3)(images), theirs(images), **TOLERANCE)


def test_a_hub_id_resolves_through_the_cache(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--someone--vit" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    theirs, images = huggingface(snapshot), draw(1, 3, 12, 12)
    refs = tmp_path / "models--someone--vit" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with torch.no_grad():
        assert_close(ViT.from_pretrained("someone/vit")(images), theirs(images).logits, **TOLERANCE)


def test_checkpoints_that_do_not_fit_are_named(tmp_path):
    huggingface(tmp_path)
    change_config(tmp_path, architectures=["DeiTForImageClassification"])
    with rejects(r"ViTForImageClassification, got \['DeiTForImageClassification'\]"):
        ViT.from_pretrained(tmp_path)
    change_config(tmp_path, architectures=["ViTForImageClassification"], hidden_act="silu")
    with rejects("hidden_act must be one of .* got 'silu'"):
        ViT.from_pretrained(tmp_path)
    change_config(tmp_path, hidden_act="gelu", num_hidden_layers=2)
    with rejects(r"unexpected blocks.2.attention"):
        ViT.from_pretrained(tmp_path)
    change_config(tmp_path, num_hidden_layers=3, patch_size=6)
    with rejects(r"patches.project.weight must have shape .24, 108., got .24, 48."):
        ViT.from_pretrained(tmp_path)
    change_config(tmp_path, patch_size=4)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with rejects("missing head.weight"):
        ViT.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with rejects(r"only a pickle \(pytorch_model.bin\)"):
        ViT.from_pretrained(tmp_path)


def test_timm_checkpoints_that_do_not_fit_are_named(tmp_path):
    with rejects("found no cls_token"):
        ViT.from_timm(timm_vit(class_token=False, global_pool="avg").state_dict(), num_heads=3)
    with rejects(r"unexpected blocks.0.ls1.gamma"):
        ViT.from_timm(timm_vit(init_values=1e-3).state_dict(), num_heads=3)
    with rejects(r"1 \+ g·g positions of a square grid, got 12"):
        ViT.from_timm(timm_vit(reg_tokens=2).state_dict(), num_heads=3)
    with rejects("name num_heads: it cannot be told from the width 24"):
        ViT.from_timm(timm_vit().state_dict())
    with rejects("found no cls_token"):
        ViT.from_timm(nn.Linear(2, 2).state_dict())
    with rejects("folder or a reachable hub id"):
        ViT.from_timm(tmp_path / "none.safetensors")
    (tmp_path / "vit.pth").write_bytes(b"\x80\x04")
    with rejects(r"expected a .safetensors file, got 'vit.pth'"):
        ViT.from_timm(tmp_path / "vit.pth")


# ---- another image size ----


@pytest.mark.parametrize("grid", [(7, 7), (2, 2), (3, 8), (5, 5)])
def test_positions_are_resampled_as_by_timm(grid):
    positions = draw(26, 6)
    expected = resample_abs_pos_embed(positions[None], list(grid), [5, 5], num_prefix_tokens=1)
    assert_close(resize_positions(positions, *grid), expected[0], **TOLERANCE)


def test_a_resized_model_takes_the_new_size():
    theirs, images = timm_vit(dynamic_img_size=True), draw(2, 3, 20, 20)
    model = ViT.from_timm(theirs.state_dict(), num_heads=3)
    with torch.no_grad():
        assert_close(model.resized(20)(images), theirs(images), **TOLERANCE)
    assert model.positions.shape == (10, 24)
    assert model.resized(20).positions.requires_grad
    assert torch.equal(model.resized(12).positions, model.positions)
    with rejects("multiple of 4, got 18"):
        model.resized(18)


# ---- properties ----


def test_without_positions_the_order_of_patches_does_not_matter():
    model, images = tiny(), draw(2, 3, 12, 12)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    mixed = unpatchify(patchify(images, 4)[:, order], 4)
    with torch.no_grad():
        assert not torch.allclose(model(mixed), model(images), atol=1e-2)
        # Moving the patches' positions along undoes it: only the two together mean anything.
        moved = tiny()
        moved.positions[1:] = model.positions[1:][order]
        assert_close(moved(mixed), model(images), **TOLERANCE)
        model.positions[1:] = 0
        assert_close(model(mixed), model(images), **TOLERANCE)


def test_pooling():
    model, images = tiny(), draw(2, 3, 12, 12)
    with torch.no_grad():
        tokens = model.blocks(model.embed(images))
        assert_close(model(images), model.head(model.norm(tokens[:, 0])), **TOLERANCE)
        assert_close(model(images), model.head(model.features(images)[:, 0]), **TOLERANCE)
        mean = tiny(pool="mean")
        assert_close(mean(images), mean.head(mean.norm(tokens[:, 1:].mean(1))), **TOLERANCE)
        assert tiny(num_classes=0)(images).shape == (2, 24)


def test_a_new_model_holds_all_classes_for_equally_likely():
    assert torch.equal(ViT(**TINY, num_classes=7)(draw(2, 3, 12, 12)), torch.zeros(2, 7))


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_overfits_one_batch(pool):
    torch.manual_seed(0)
    model = ViT(**TINY, num_classes=5, pool=pool)
    images, labels = draw(16, 3, 12, 12), torch.arange(16) % 5
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(100):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


# ---- views ----


def test_position_similarity_by_a_slow_loop():
    positions = draw(10, 6)
    maps = position_similarity(positions)
    assert maps.shape == (3, 3, 3, 3)
    for a in range(9):
        for b in range(9):
            expected = F.cosine_similarity(positions[1 + a], positions[1 + b], dim=0)
            assert_close(maps[a // 3, a % 3, b // 3, b % 3], expected, **TOLERANCE)


def test_attention_distance_of_known_patterns():
    same = torch.eye(10).expand(2, 3, 4, 10, 10)
    assert_close(attention_distance(same), torch.zeros(2, 4))
    evenly = torch.full((2, 3, 4, 10, 10), 0.1)
    assert_close(attention_distance(evenly), grid_distances(3, 3).mean().expand(2, 4))
    assert grid_distances(3, 4)[0, 11] == (2**2 + 3**2) ** 0.5
    only_class = torch.zeros(1, 1, 1, 10, 10)
    only_class[..., 0] = 1  # nothing among the patches: no NaN
    assert_close(attention_distance(only_class), torch.zeros(1, 1))


def test_rollout_is_the_product_of_the_layers():
    weights = draw(3, 2, 4, 10, 10).softmax(-1)
    rolled = attention_rollout(weights)
    eye = torch.eye(10)
    steps = [(w.mean(1) + eye) / 2 for w in weights]
    assert_close(rolled, steps[2] @ steps[1] @ steps[0])
    assert not torch.allclose(rolled, steps[0] @ steps[1] @ steps[2], atol=1e-4)
    assert_close(rolled.sum(-1), torch.ones(2, 10))
    model = tiny()
    assert_close(attention_rollout(model.attention(draw(1, 3, 12, 12))).sum(), torch.tensor(10.0))


# ---- bad input ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 5}, "patch_size must divide 12, got 5"),
        ({"num_heads": 5}, "multiple of num_heads"),
        ({"pool": "max"}, "pool must be .*got 'max'"),
        ({"num_layers": 0}, "sizes must be positive .*num_layers 0"),
        ({"num_classes": -1}, "num_classes -1"),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\), got 1.5"),
        ({"activation": "swish"}, "activation must be one of"),
    ],
)
def test_bad_sizes(options, message):
    with rejects(message):
        ViT(**{**TINY, **options})


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 16, 16), r"\(batch, 3, 12, 12\), got .*\(1, 3, 16, 16\).*`resized`"),
        (torch.zeros(1, 1, 12, 12), r"\(1, 1, 12, 12\)"),
        (torch.zeros(3, 12, 12), r"\(3, 12, 12\)"),
        (torch.zeros(1, 3, 12, 12, dtype=torch.uint8), "floating point .*got torch.uint8"),
    ],
)
def test_bad_pictures(images, message):
    plain = unchecked("mmcourse.transformers.vit").ViT(**TINY)
    for call in (plain, plain.attention, plain.features):
        with rejects(message):
            call(images)
    with pytest.raises(BadInput):
        tiny()(images)


def test_bad_patches():
    plain = unchecked("mmcourse.transformers.patches")
    with rejects(r"multiples of the patch size 5, got shape \(1, 3, 12, 12\)"):
        plain.patchify(torch.zeros(1, 3, 12, 12), 5)
    with rejects("got shape"):
        plain.patchify(torch.zeros(3, 12, 12), 4)
    for shape, options in (
        ((1, 6, 48), {}),
        ((1, 6, 48), {"rows": 4}),
        ((1, 9, 47), {}),
        ((9, 48), {}),
    ):
        with rejects("name `rows` if the picture is not square"):
            plain.unpatchify(torch.zeros(shape), 4, **options)
    for count, rows in ((6, 2), (10, 0), (1, 2)):
        with rejects("one class position and a square grid"):
            plain.resize_positions(torch.zeros(count, 4), rows, 2)
    with rejects("one class token and a square grid of patches, got 8"):
        position_similarity(torch.zeros(8, 4))
