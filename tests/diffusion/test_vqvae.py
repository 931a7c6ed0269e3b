"""The quantiser against two libraries and brute force; the network against the slide's sizes."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st
from vector_quantize_pytorch import VectorQuantize

from mmcourse.diffusion import VQVAE, VectorQuantizer, nearest_codes, perplexity

plain = unchecked("mmcourse.diffusion.vqvae")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spread(quantizer: VectorQuantizer) -> VectorQuantizer:
    """Codes as wide as the data, so that many are chosen."""
    with torch.no_grad():
        quantizer.codebook.copy_(normal(*quantizer.codebook.shape, seed=9))
        if quantizer.ema_decay is not None:
            quantizer.sums.copy_(quantizer.codebook)
    return quantizer


@given(count=st.integers(1, 40), codes=st.integers(1, 20), d=st.integers(1, 8))
def test_nearest_codes_by_brute_force(count: int, codes: int, d: int) -> None:
    vectors, book = normal(count, d), normal(codes, d, seed=1)
    distances = (vectors[:, None] - book).norm(dim=2)
    found = nearest_codes(vectors, book)
    best = distances.gather(1, found[:, None])[:, 0]
    torch.testing.assert_close(best, distances.amin(1), rtol=1e-4, atol=1e-4)


def test_nearest_codes_over_several_chunks() -> None:
    vectors, book = normal(3000, 8), normal(50, 8, seed=1)
    assert torch.equal(nearest_codes(vectors, book), torch.cdist(vectors, book).argmin(1))


def reference(quantizer: VectorQuantizer, **options) -> VectorQuantize:
    codes, d = quantizer.codebook.shape
    theirs = VectorQuantize(
        dim=d,
        codebook_size=codes,
        rotation_trick=False,
        commitment_weight=quantizer.commitment,
        kmeans_init=False,
        threshold_ema_dead_code=0,
        **options,
    )
    with torch.no_grad():
        inner = theirs._codebook
        inner.embed.data.copy_(quantizer.codebook[None])
        inner.embed_avg.data.copy_(quantizer.codebook[None])
    return theirs


def test_moving_averages_equal_the_reference_for_several_batches() -> None:
    ours = spread(VectorQuantizer(16, 4, ema_decay=0.9)).train()
    theirs = reference(ours, decay=0.9).train()
    for seed in range(5):
        z = normal(2, 4, 3, 3, seed=seed)
        flat = z.flatten(2).transpose(1, 2)  # (b, d, h, w) → (b, h·w, d)
        a, a_codes, a_loss = ours(z)
        b, b_codes, b_loss = theirs(flat)
        assert torch.equal(a_codes.flatten(1), b_codes)
        torch.testing.assert_close(a.flatten(2).transpose(1, 2), b)
        torch.testing.assert_close(a_loss, b_loss.squeeze())
        torch.testing.assert_close(ours.codebook.data, theirs._codebook.embed[0])


def test_evaluation_never_updates() -> None:
    quantizer = spread(VectorQuantizer(8, 4, ema_decay=0.5)).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(normal(2, 4, 5, 5))
    for name, value in quantizer.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    quantizer.train()(normal(2, 4, 5, 5))
    assert not torch.equal(quantizer.codebook, before["codebook"])


def test_values_equal_diffusers_with_beta_on_the_right_term() -> None:
    from diffusers.models.autoencoders.vq_model import VectorQuantizer as Reference

    ours = spread(VectorQuantizer(16, 4, commitment=0.25))
    theirs = Reference(16, 4, beta=0.25, legacy=False)
    legacy = Reference(16, 4, beta=0.25, legacy=True)
    grads = []
    for module in (theirs, legacy):
        module.embedding.weight.data.copy_(ours.codebook.data)
    z = normal(2, 4, 3, 3).requires_grad_()
    mixed = normal(2, 4, 3, 3, seed=5)
    for run in (ours, theirs, legacy):
        out = run(z)
        quantized, loss = out[0], out[2] if run is ours else out[1]
        grads.append(torch.autograd.grad((quantized * mixed).sum() + loss, z)[0])
        if run is not ours:
            torch.testing.assert_close(quantized, ours(z)[0])
            torch.testing.assert_close(loss, ours(z)[2])  # legacy: the same value …
    torch.testing.assert_close(grads[0], grads[1])
    assert not torch.allclose(grads[0], grads[2])  # … and another gradient


def test_straight_through() -> None:
    quantizer = spread(VectorQuantizer(8, 4))
    z, mixed = normal(2, 4, 3).requires_grad_(), normal(2, 4, 3, seed=3)
    quantized, indices, _ = quantizer(z)
    torch.testing.assert_close(quantized, quantizer.lookup(indices))
    (grad,) = torch.autograd.grad((quantized * mixed).sum(), z)
    torch.testing.assert_close(grad, mixed)


def test_loss_by_hand_and_who_gets_which_part() -> None:
    quantizer = VectorQuantizer(2, 1, commitment=0.5)
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    z = torch.tensor([[1.0], [9.0]], requires_grad=True)  # distances 1 and 1
    _, indices, loss = quantizer(z)
    assert indices.tolist() == [0, 1]
    assert loss.item() == pytest.approx(1.5)
    loss.backward()
    assert z.grad is not None
    assert quantizer.codebook.grad is not None
    torch.testing.assert_close(z.grad, 0.5 * torch.tensor([[1.0], [-1.0]]))
    torch.testing.assert_close(quantizer.codebook.grad, torch.tensor([[-1.0], [1.0]]))


def test_perplexity() -> None:
    assert perplexity(torch.arange(8), 8) == pytest.approx(8)
    assert perplexity(torch.zeros(5, dtype=torch.long), 8) == pytest.approx(1)
    uneven = torch.tensor([0, 0, 0, 1])
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert perplexity(uneven, 4) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("decay", [None, 0.9])
def test_revive_moves_dead_codes_only(decay: float | None) -> None:
    quantizer = VectorQuantizer(6, 2, ema_decay=decay)
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[0.0, 0]] * 1 + [[50.0, 50]] * 5))
    z = normal(3, 2, 4)
    _, indices, _ = quantizer.eval()(z)
    assert (indices == 0).all()
    dead = quantizer.revive(z, indices, generator=torch.Generator().manual_seed(0))
    assert dead.tolist() == [1, 2, 3, 4, 5]
    assert quantizer.codebook[0].tolist() == [0, 0]
    assert quantizer.codebook.abs().max() < 10
    assert quantizer(z)[1].unique().numel() > 1


def test_the_sizes_of_the_slide() -> None:
    model = VQVAE()
    x = torch.zeros(1, 3, 128, 128)
    with torch.no_grad():
        z = model.encode(x)
        back, indices, loss = model(x)
    assert z.shape == (1, 64, 32, 32)
    assert indices.shape == (1, 32, 32)
    assert model.quantizer.codebook.shape == (512, 64)
    assert model.quantizer.codebook.numel() == 32_768
    assert back.shape == x.shape
    assert loss.ndim == 0
    bits = indices.numel() * math.log2(512)
    assert (x.numel() * 8, bits) == (393_216, 9_216)


def test_decode_rebuilds_from_the_numbers_alone() -> None:
    torch.manual_seed(0)
    model = VQVAE(channels=1, width=8, num_codes=16, code_dim=4).eval()
    x = normal(2, 1, 8, 8)
    back, indices, _ = model(x)
    torch.testing.assert_close(model.decode(indices), back)


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = VQVAE(channels=1, width=32, num_codes=32, code_dim=8, ema_decay=0.9, downsamplings=1)
    x = torch.where(normal(4, 1, 8, 8) > 0, 1.0, -1.0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(150):
        z = model.encode(x)
        z_q, indices, loss = model.quantizer(z)
        back = model.decoder(z_q)
        if step < 60:
            model.quantizer.revive(z.detach(), indices, generator=generator)
        total = F.mse_loss(back, x) + loss
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    model.eval()
    assert F.mse_loss(model(x)[0], x).item() < 0.05


def test_bad_input() -> None:
    with rejects("at least 1"):
        plain.VectorQuantizer(0)
    with rejects("commitment"):
        plain.VectorQuantizer(4, 4, commitment=-1.0)
    with rejects("ema_decay"):
        plain.VectorQuantizer(4, 4, ema_decay=1.0)
    quantizer = plain.VectorQuantizer(4, 4)
    with rejects(r"shape \(batch, 4, …\)"):
        quantizer(normal(2, 3, 5))
    with rejects("floating point"):
        quantizer(torch.zeros(2, 4, dtype=torch.long))
    with rejects("NaN"):
        quantizer(torch.full((2, 4), float("nan")))
    with rejects("equal width"):
        plain.nearest_codes(normal(3, 2), normal(3, 4))
    with rejects("0 … 3"):
        plain.perplexity(torch.tensor([4]), 4)
    with rejects("0 … 3"):
        plain.perplexity(torch.tensor([], dtype=torch.long), 4)
    with rejects("divisible by 4"):
        plain.VQVAE()(torch.zeros(1, 3, 10, 12))
    with rejects("at least 1 halving"):
        plain.VQVAE(downsamplings=0)
