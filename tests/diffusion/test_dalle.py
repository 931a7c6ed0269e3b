"""The discrete VAE and its prior: against torch, closed forms, and a slow loop."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.diffusion import DalleDVAE, DallePrior, gumbel_noise, gumbel_softmax, kl_to_uniform

plain = unchecked("mmcourse.diffusion.dalle")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gumbel_noise_has_its_mean_and_variance() -> None:
    noise = gumbel_noise((200_000,), generator=seeded())
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)
    assert noise.isfinite().all()


def test_the_largest_entry_picks_by_softmax() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1).expand(50_000, 3, 1, 1)
    noise = gumbel_noise(tuple(logits.shape), generator=seeded())
    picked = gumbel_softmax(logits, 0.5, noise).argmax(1).flatten()
    shares = torch.bincount(picked, minlength=3) / len(picked)
    torch.testing.assert_close(shares, logits[0].flatten().softmax(0), rtol=0, atol=0.01)


def test_equal_to_torch_with_the_same_noise(monkeypatch) -> None:
    logits = normal(2, 5, 3, 3)
    torch.manual_seed(0)
    theirs = F.gumbel_softmax(logits, tau=0.7, dim=1)
    torch.manual_seed(0)
    noise = -torch.empty_like(logits).exponential_().log()  # how torch draws it
    torch.testing.assert_close(gumbel_softmax(logits, 0.7, noise), theirs)


def test_cold_weights_are_one_hot() -> None:
    y = gumbel_softmax(normal(2, 5, 3, 3), 1e-3, gumbel_noise((2, 5, 3, 3), generator=seeded()))
    torch.testing.assert_close(y.amax(1), torch.ones(2, 3, 3), rtol=0, atol=1e-3)


@given(seed=st.integers(0, 100), scale=st.floats(0, 5))
def test_kl_to_uniform(seed: int, scale: float) -> None:
    logits = normal(2, 6, 2, 3, seed=seed) * scale
    q = torch.distributions.Categorical(logits=logits.movedim(1, -1))
    uniform = torch.distributions.Categorical(logits=torch.zeros(2, 2, 3, 6))
    expected = torch.distributions.kl_divergence(q, uniform).sum((1, 2))
    torch.testing.assert_close(kl_to_uniform(logits), expected, rtol=1e-4, atol=1e-4)


def test_the_paper_s_grid() -> None:
    with torch.device("meta"):
        model = DalleDVAE(num_codes=8192)
        assert model.logits(torch.zeros(1, 3, 256, 256)).shape == (1, 8192, 32, 32)
    # 192 times fewer tokens for the prior than pixel values
    assert 256 * 256 * 3 / (32 * 32) == 192


def tiny() -> DalleDVAE:
    return DalleDVAE(channels=1, width=16, num_codes=8, code_dim=4, blocks=1, downsamplings=1)


def test_one_hot_weights_decode_like_indices() -> None:
    model = randomise(tiny())
    x = normal(2, 1, 8, 8)
    indices = model.encode(x)
    assert indices.shape == (2, 4, 4)
    one_hot = F.one_hot(indices, 8).movedim(-1, 1).float()
    torch.testing.assert_close(model.decode_weights(one_hot), model.decode(indices))


def test_the_dvae_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = DalleDVAE(channels=1, width=32, num_codes=32, code_dim=8, blocks=1, downsamplings=1)
    x = torch.where(normal(4, 1, 8, 8) > 0, 1.0, -1.0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(200):
        noise = gumbel_noise((4, 32, 4, 4), generator=seeded(step))
        back, logits = model(x, 1.0 - 0.8 * step / 200, noise)
        loss = F.mse_loss(back, x) + 1e-4 * kl_to_uniform(logits).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert F.mse_loss(model.decode(model.encode(x)), x).item() < 0.1


def prior(**changes) -> DallePrior:
    sizes = {"text_vocab": 7, "num_codes": 5, "text_length": 3, "grid": (2, 3)}
    model = DallePrior(**{**sizes, **changes}, embed_dim=16, depth=2, num_heads=2)
    return randomise(model, scale=0.4).eval()


TEXT = torch.tensor([[1, 2, 3], [4, 5, 6]])
CODES = torch.randint(5, (2, 2, 3), generator=seeded())


def test_nothing_leaks_from_the_future() -> None:
    model = prior()
    words, picture = model(TEXT, CODES)
    assert words.shape == (2, 2, 7)
    assert picture.shape == (2, 6, 5)
    for place in range(6):
        changed = CODES.clone().reshape(2, 6)
        changed[:, place] = (changed[:, place] + 1) % 5
        words_after, after = model(TEXT, changed.reshape(2, 2, 3))
        torch.testing.assert_close(words_after, words)
        torch.testing.assert_close(after[:, : place + 1], picture[:, : place + 1])
        if place < 5:
            assert (after[:, place + 1] - picture[:, place + 1]).abs().max() > 1e-4
    other = model(TEXT.flip(1), CODES)[1]
    assert (other - picture).abs().amax(dim=(0, 2)).min() > 1e-4  # the text reaches every code


def test_loss_by_hand() -> None:
    model = prior()
    words, picture = model(TEXT, CODES)
    a = F.cross_entropy(words.reshape(-1, 7), TEXT[:, 1:].reshape(-1))
    b = F.cross_entropy(picture.reshape(-1, 5), CODES.reshape(-1))
    torch.testing.assert_close(model.loss(TEXT, CODES), a / 8 + 7 * b / 8)
    torch.testing.assert_close(model.loss(TEXT, CODES, text_weight=0.0), b)


def test_generation_equals_the_slow_loop() -> None:
    model = prior()
    fast = model.generate(TEXT, temperature=0.0)
    codes = torch.zeros(2, 6, dtype=torch.long)
    for place in range(6):
        with torch.no_grad():
            logits = model(TEXT, codes.reshape(2, 2, 3))[1][:, place]
        codes[:, place] = logits.argmax(-1)
    assert torch.equal(fast, codes.reshape(2, 2, 3))
    drawn = [model.generate(TEXT, temperature=1.0, generator=seeded(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_draws_follow_the_model() -> None:
    """The first code of many draws has the probabilities that the model states."""
    model = prior(grid=(1, 1))
    text = TEXT[:1].expand(4000, 3)
    drawn = model.generate(text, temperature=1.0, generator=seeded()).flatten()
    stated = model(TEXT[:1], torch.zeros(1, 1, 1, dtype=torch.long))[1][0, 0].softmax(-1)
    shares = torch.bincount(drawn, minlength=5) / len(drawn)
    torch.testing.assert_close(shares, stated.detach(), rtol=0, atol=0.03)


def test_the_prior_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = DallePrior(
        text_vocab=7, num_codes=5, text_length=3, grid=(2, 3), embed_dim=32, depth=2, num_heads=2
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        loss = model.loss(TEXT, CODES, text_weight=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(model.eval().generate(TEXT, temperature=0.0), CODES)


def test_bad_input() -> None:
    with rejects("positive and finite"):
        plain.gumbel_softmax(normal(1, 2, 1, 1), 0.0, normal(1, 2, 1, 1))
    with rejects("logits' shape"):
        plain.gumbel_softmax(normal(1, 2, 1, 1), 1.0, normal(1, 3, 1, 1))
    with rejects("num_codes"):
        plain.DalleDVAE(num_codes=1)
    dvae = plain.DalleDVAE(channels=1, width=8, num_codes=4, code_dim=4, downsamplings=1)
    with rejects("divisible by 2"):
        dvae.logits(normal(1, 1, 7, 8))
    with rejects("0 … 3"):
        dvae.decode(torch.full((1, 2, 2), 4))
    with rejects("sizes must be"):
        plain.DallePrior(text_vocab=0, num_codes=5, text_length=3, grid=(2, 3))
    model = plain.DallePrior(
        text_vocab=7, num_codes=5, text_length=3, grid=(2, 3), embed_dim=8, num_heads=2
    )
    with rejects(r"text must be \(batch ≥ 1, 3\)"):
        model(TEXT[:, :2], CODES)
    with rejects(r"codes must be \(2, 2, 3\)"):
        model(TEXT, CODES.transpose(1, 2))
    with rejects("text must be whole numbers in 0 … 6"):
        model(TEXT + 5, CODES)
    with rejects("codes must be whole numbers in 0 … 4"):
        model(TEXT, CODES + 3)
    with rejects("text_weight"):
        model.loss(TEXT, CODES, text_weight=2.0)
