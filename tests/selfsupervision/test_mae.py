"""The masked autoencoder against transformers' from files, and its parts by slow loops."""

import json
import math

import pytest
import torch
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close
from transformers import ViTMAEConfig, ViTMAEForPreTraining
from transformers.models.vit_mae import modeling_vit_mae

from mmcourse.selfsupervision import (
    MAE,
    grid_positions,
    masked_loss,
    patch_targets,
    random_masking,
    unshuffle,
)
from mmcourse.training import count_parameters
from mmcourse.transformers import patchify

plain = unchecked("mmcourse.selfsupervision.mae_masking")
CLOSE = {"rtol": 2e-5, "atol": 2e-5}
SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 12,
    "patch_size": 3,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 20,
}
TINY = {
    "image_size": 8,
    "patch_size": 2,
    "embed_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "decoder_dim": 12,
    "decoder_layers": 1,
    "decoder_heads": 2,
}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def numbers(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def saved(folder, scale: float = 0.2, **options) -> ViTMAEForPreTraining:
    """A checkpoint with every weight random: class and mask token, both tables of positions."""
    reference = randomise(ViTMAEForPreTraining(ViTMAEConfig(**{**SIZES, **options})), scale=scale)
    reference.eval().save_pretrained(folder)
    return reference


# ---- parity ----


@pytest.mark.parametrize("norm_pix_loss", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"qkv_bias": False}, {"mask_ratio": 0.4, "num_channels": 1}, {"hidden_act": "gelu_new"}],
    ids=lambda o: "-".join(o) or "plain",
)
def test_equals_huggingface(tmp_path, norm_pix_loss, options):
    reference = saved(tmp_path, norm_pix_loss=norm_pix_loss, **options)
    assert reference.vit.embeddings.position_embeddings.abs().min() > 0
    assert reference.decoder.decoder_pos_embed.abs().min() > 0
    ours = MAE.from_pretrained(tmp_path)
    images, noise = draw(3, options.get("num_channels", 3), 12, 12), numbers(3, 16)
    with torch.no_grad():
        theirs = reference(images, noise=noise)
        loss, prediction, mask = ours(images, noise=noise)
    assert_close(loss, theirs.loss, **CLOSE)
    assert_close(prediction, theirs.logits, **CLOSE)
    assert mask.dtype == torch.bool
    assert torch.equal(mask.float(), theirs.mask)  # 1 = removed there, True = removed here
    assert not ours.training


def test_the_encoder_is_a_plain_vit(tmp_path):
    reference = saved(tmp_path, mask_ratio=0.5)
    ours, images = MAE.from_pretrained(tmp_path), draw(2, 3, 12, 12)
    reference.vit.embeddings.config.mask_ratio = 0.0
    with torch.no_grad():  # with nothing removed and in order it reads the whole picture
        theirs = reference.vit(images, noise=torch.arange(16.0).expand(2, 16))
        assert_close(ours.encoder.features(images), theirs.last_hidden_state, **CLOSE)


def test_both_spellings_of_the_decoder_load(tmp_path):
    reference, images, noise = saved(tmp_path), draw(2, 3, 12, 12), numbers(2, 16)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    for front in ("decoder.decoder_layers.", "decoder.decoder_encoder.layer."):
        renamed = {
            name.replace("decoder.decoder_encoder.layer.", front).replace(
                "decoder.decoder_layers.", front
            ): tensor
            for name, tensor in tensors.items()
        }
        assert sum(name.startswith(front) for name in renamed) == 32
        save_file(renamed, file)
        with torch.no_grad():
            ours = MAE.from_pretrained(tmp_path)(images, noise)
            assert_close(ours.loss, reference(images, noise=noise).loss, **CLOSE)


def test_wrong_conventions_are_caught(tmp_path):
    reference = saved(tmp_path, norm_pix_loss=True)
    images, noise = draw(2, 3, 12, 12), numbers(2, 16)
    with torch.no_grad():
        theirs = reference(images, noise=noise)

        def ours(change=lambda model: None, noise=noise):
            model = MAE.from_pretrained(tmp_path)
            change(model)
            return model(images, noise=noise)

        def far(output) -> bool:
            return bool((output.prediction - theirs.logits).abs().max() > 1e-3)

        assert not far(ours())
        assert torch.equal(ours(noise=-noise).mask.sum(1), ours().mask.sum(1))
        assert not torch.equal(ours(noise=-noise).mask.float(), theirs.mask), "largest stay"
        assert far(ours(lambda m: m.encoder.positions.zero_())), "positions of the encoder"
        assert far(ours(lambda m: m.decoder.positions.zero_())), "positions of the decoder"
        assert far(ours(lambda m: m.decoder.mask_token.zero_())), "mask token"
        assert far(ours(lambda m: m.encoder.class_token.sub_(m.encoder.positions[0]))), "class"
        assert far(ours(lambda m: setattr(m.encoder, "norm", nn.Identity()))), "last norm"
        raw = ours(lambda m: setattr(m, "norm_pix_loss", False))
        assert abs(raw.loss - theirs.loss) > 1e-2, "raw or normalised target"


def test_the_eps_of_the_file_is_used(tmp_path):
    reference = saved(tmp_path, scale=0.2)
    images, noise = draw(2, 3, 12, 12), numbers(2, 16)
    with torch.no_grad():
        for name in ("cls_token", "position_embeddings"):
            getattr(reference.vit.embeddings, name).mul_(1e-3)
        for weight in reference.vit.embeddings.patch_embeddings.parameters():
            weight.mul_(1e-4)
        reference.save_pretrained(tmp_path)
        theirs = reference(images, noise=noise).logits
        ours = MAE.from_pretrained(tmp_path)
        assert_close(ours(images, noise).prediction, theirs, rtol=1e-4, atol=1e-4)
        path = tmp_path / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))  # the paper's code
        other = MAE.from_pretrained(tmp_path)(images, noise).prediction
        assert (other - theirs).abs().max() > 1e-3
    assert MAE(**TINY).encoder.norm.eps == MAE(**TINY).decoder.norm.eps == 1e-6


def test_positions_tell_the_column_first():
    table = grid_positions(5, 24)
    build = modeling_vit_mae.build_2d_sinusoidal_position_embedding
    rows_first = build(5, 5, 24, cls_token=True)
    assert_close(table, torch.cat([rows_first[:, 12:], rows_first[:, :12]], dim=1))
    assert not torch.allclose(table, rows_first, atol=0.1)  # the wrong half first
    assert torch.equal(table[0], torch.zeros(24))
    for row in range(5):
        for column in range(5):
            for i in range(6):
                omega = 10000 ** (-4 * i / 24)
                vector = table[1 + 5 * row + column]
                assert math.isclose(vector[i], math.sin(column * omega), abs_tol=1e-6)
                assert math.isclose(vector[18 + i], math.cos(row * omega), abs_tol=1e-6)


def test_the_published_size():
    with torch.device("meta"):
        base = MAE()
        reference = ViTMAEForPreTraining(ViTMAEConfig())
    positions = 197 * (768 + 512)
    assert count_parameters(base) in (111_907_840, 111_907_840 - positions)
    ours = sum(t.numel() for t in base.state_dict().values())
    assert ours == sum(t.numel() for t in reference.state_dict().values())


# ---- the parts ----


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 4),
    patches=st.integers(1, 20),
    ratio=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_masking_keeps_what_it_should(batch, patches, ratio, seed):
    x = torch.arange(batch * patches * 2).reshape(batch, patches, 2)
    noise = numbers(batch, patches, seed=seed)
    kept, mask, ids_restore = random_masking(x, ratio, noise=noise)
    keep = int(patches * (1 - ratio))
    assert kept.shape == (batch, keep, 2)
    assert mask.sum(1).tolist() == [patches - keep] * batch
    for b in range(batch):
        order = sorted(range(patches), key=lambda i: noise[b, i].item())
        assert kept[b].tolist() == [x[b, i].tolist() for i in order[:keep]]
        assert [i for i in range(patches) if not mask[b, i]] == sorted(order[:keep])
        assert [order[j] for j in ids_restore[b].tolist()] == list(range(patches))


def test_the_share_is_the_share_to_remove():
    x = draw(50, 196, 4)
    kept, mask, _ = random_masking(x, 0.75, generator=torch.Generator().manual_seed(0))
    assert kept.shape == (50, 49, 4)  # the slide's picture: 147 of 196 are gone
    assert mask.sum(1).tolist() == [147] * 50
    assert len({tuple(row) for row in mask.tolist()}) == 50, "each picture draws its own"
    rate = mask.float().mean(0)
    assert rate.min() > 0.45
    assert rate.max() < 1  # every place may be kept and may be removed


def test_masking_nothing_and_everything():
    x = draw(2, 6, 3)
    kept, mask, ids_restore = random_masking(x, 0.0)
    assert not mask.any()
    assert torch.equal(kept.gather(1, ids_restore[..., None].expand(2, 6, 3)), x)
    kept, mask, _ = random_masking(x, 1.0)
    assert kept.shape == (2, 0, 3)
    assert mask.all()


def test_masking_is_reproducible_and_gradients_flow():
    x = draw(3, 8, 2).requires_grad_()
    one = random_masking(x, 0.5, generator=torch.Generator().manual_seed(3))
    two = random_masking(x, 0.5, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    one[0].sum().backward()
    assert torch.equal(x.grad == 0, one[1][..., None].expand(3, 8, 2))


def test_unshuffle_puts_each_token_at_its_place():
    x, token = draw(4, 9, 5), draw(5, seed=2)
    kept, mask, ids_restore = random_masking(x, 0.6, generator=torch.Generator().manual_seed(0))
    whole = unshuffle(kept, token, ids_restore)
    assert torch.equal(whole, torch.where(mask[..., None], token, x))
    # Gathering with the shuffle itself, not its inverse, is the common mistake.
    wrong = unshuffle(kept, token, ids_restore.argsort(dim=1))
    assert not torch.equal(wrong, whole)


def test_targets_are_normalised_with_the_unbiased_variance():
    images = draw(2, 3, 8, 8) * 3 + 1
    patches, target = patchify(images, 4), patch_targets(images, 4, True)
    assert torch.equal(patch_targets(images, 4, False), patches)
    for b in range(2):
        for i in range(4):
            x = [v.item() for v in patches[b, i]]
            mean = sum(x) / 48
            spread = sum((v - mean) ** 2 for v in x)
            right = [(v - mean) / math.sqrt(spread / 47 + 1e-6) for v in x]
            assert_close(target[b, i], torch.tensor(right), rtol=1e-5, atol=1e-5)
            biased = [(v - mean) / math.sqrt(spread / 48 + 1e-6) for v in x]
            assert not torch.allclose(target[b, i], torch.tensor(biased), atol=1e-4)
    faint = 1e-3 * draw(1, 3, 4, 4)
    deviation = patchify(faint, 4).std(-1, keepdim=True)
    inside, outside = (deviation**2 + 1e-6).sqrt(), deviation + 1e-6
    assert_close(patch_targets(faint, 4, True) * inside + faint.mean(), patchify(faint, 4))
    assert not torch.allclose(inside, outside, rtol=0.1)  # where the constant stands
    flat = patch_targets(torch.full((1, 3, 4, 4), 0.7), 4, True)
    assert flat.abs().max() < 1e-3  # a patch of one colour is no division by zero


def test_the_loss_counts_the_removed_patches_alone():
    prediction, target = draw(3, 5, 4), draw(3, 5, 4, seed=1)
    mask = numbers(3, 5) < 0.6
    errors = [
        (prediction[b, i] - target[b, i]).square().mean()
        for b in range(3)
        for i in range(5)
        if mask[b, i]
    ]
    loss = masked_loss(prediction, target, mask)
    assert_close(loss, torch.stack(errors).mean())
    changed = torch.where(mask[..., None], prediction, prediction + 9)
    assert torch.equal(masked_loss(changed, target, mask), loss)
    everywhere = (prediction - target).square().mean()
    wrong_side = masked_loss(prediction, target, ~mask)
    assert (loss - everywhere).abs() > 1e-3
    assert (loss - wrong_side).abs() > 1e-3
    prediction.requires_grad_()
    masked_loss(prediction, target, mask).backward()
    assert torch.equal(prediction.grad.any(-1), mask)


# ---- the model ----


def test_a_removed_patch_cannot_be_seen():
    model = randomise(MAE(**TINY)).eval()
    images, noise = draw(1, 3, 8, 8), numbers(1, 16)
    before = model(images, noise)
    hidden = before.mask[0].nonzero()[0, 0].item()
    row, column = divmod(hidden, 4)
    images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 5
    after = model(images, noise)
    assert torch.equal(after.prediction, before.prediction)
    assert after.loss != before.loss


def test_everything_may_be_removed_but_not_nothing():
    model = randomise(MAE(**TINY, mask_ratio=1.0))
    one, two = model(draw(1, 3, 8, 8)), model(draw(1, 3, 8, 8, seed=1))
    assert one.mask.all()
    assert one.loss.isfinite()
    assert torch.equal(one.prediction, two.prediction)  # it knows nothing of the picture
    for ratio in (0.0, 1e-20, -0.1, 1.1, float("nan")):
        with rejects("mask_ratio must be in"):
            MAE(**TINY, mask_ratio=ratio)
    with rejects("at least one patch, got none of 6"):
        masked_loss(draw(2, 3, 4), draw(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool))


def test_the_same_generator_gives_the_same_masks():
    model, images = MAE(**TINY), draw(2, 3, 8, 8)
    masks = [
        model(images, generator=torch.Generator().manual_seed(seed)).mask for seed in (0, 0, 1)
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_positions_are_not_trained():
    model = MAE(**TINY)
    model(draw(2, 3, 8, 8)).loss.backward()
    assert model.encoder.positions.grad is None
    assert "positions" in model.decoder.state_dict()
    without = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not without


@pytest.mark.parametrize("norm_pix_loss", [False, True])
def test_it_overfits_one_batch(norm_pix_loss):
    torch.manual_seed(0)
    model = MAE(**{**TINY, "embed_dim": 32, "decoder_dim": 32}, norm_pix_loss=norm_pix_loss)
    images, noise = draw(2, 3, 8, 8), numbers(2, 16)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(200):
        loss = model(images, noise).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


# ---- what is refused ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["ViTMAEModel"]}, "ViTMAEForPreTraining"),
        ({"decoder_num_hidden_layers": 3}, "missing decoder.blocks.2"),
        ({"num_hidden_layers": 1}, "unexpected encoder.blocks.1"),
        ({"decoder_hidden_size": 20}, "must have shape"),
        ({"hidden_act": "mish"}, "hidden_act"),
        ({"mask_ratio": 0.0}, "mask_ratio"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(tmp_path, change, message):
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with rejects(message):
        MAE.from_pretrained(tmp_path)


def test_bad_input():
    for ratio in (-0.1, 1.01):
        with rejects("ratio must be in"):
            plain.random_masking(draw(1, 4, 2), ratio)
    with rejects(r"noise must have shape \(1, 4\)"):
        plain.random_masking(draw(1, 4, 2), 0.5, noise=numbers(2, 4))
    for side, width in ((0, 8), (3, 6), (3, 0)):
        with rejects("multiple of 4"):
            grid_positions(side, width)
    for images in (draw(1, 3, 8, 9), draw(1, 1, 8, 8), draw(3, 8, 8)):
        with pytest.raises(BadInput):
            MAE(**TINY)(images)
    with rejects("images must be floating point"):
        MAE(**TINY)(draw(1, 3, 4, 4))
