"""Guidance against its formula, closed-form Gaussians and a reference's text-to-image loop."""

import math

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.diffusion import (
    NoiseSchedule,
    UNet,
    classifier_guided,
    ddim_step,
    drop_labels,
    guided,
    linear_betas,
    on_image,
    sample_ddim,
)

plain = unchecked("mmcourse.diffusion.guidance")
SCHEDULE = NoiseSchedule(linear_betas(1000))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Counted:
    """A noise model that counts its calls; the context shifts what it returns."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, x, step, context=None):
        self.calls.append(context)
        shift = 0 if context is None else context.float().reshape(-1, 1)
        return 0.1 * x + step.reshape(-1, 1) / 1000 + shift


@given(scale=st.floats(-5, 20), size=st.integers(1, 4))
def test_the_formula(scale: float, size: int) -> None:
    model, x, context = Counted(), normal(size, 3), torch.arange(size)
    step = torch.full((size,), 7)
    free, told = model(x, step), model(x, step, context)
    torch.testing.assert_close(
        guided(model, scale)(x, 7, context), free + scale * (told - free), rtol=1e-4, atol=1e-4
    )


def test_the_other_convention_would_be_seen() -> None:
    model, x, context = Counted(), normal(2, 3), torch.tensor([1, 2])
    free, told = model(x, torch.tensor([7, 7])), model(x, torch.tensor([7, 7]), context)
    w = 3.0  # the paper's: (1 + w) ε_c − w ε_∅
    ours = guided(model, 1 + w)(x, 7, context)
    torch.testing.assert_close(ours, (1 + w) * told - w * free)
    assert not torch.allclose(guided(model, w)(x, 7, context), ours)


@pytest.mark.parametrize(("scale", "calls"), [(1, 1), (0, 1), (2.5, 2)])
def test_no_call_too_many(scale: float, calls: int) -> None:
    model = Counted()
    guided(model, scale)(normal(2, 3), 7, torch.tensor([1, 2]))
    assert len(model.calls) == calls


@given(scale=st.floats(-5, 20), size=st.integers(1, 4), each=st.booleans())
def test_contexts_alike_in_shape_need_one_call(scale: float, size: int, each: bool) -> None:
    model, x, context = Counted(), normal(size, 3), torch.arange(size)
    step = torch.arange(size) + 3 if each else 7  # a step for each picture, or one for all
    apart = guided(model, scale, null=torch.tensor(9))(x, step, context)
    assert len(model.calls) == 2 - (scale in (0, 1))
    together = guided(model, scale, null=torch.full((size,), 9))(x, step, context)
    assert len(model.calls) == 3 - (scale in (0, 1))
    torch.testing.assert_close(together, apart)


def test_a_negative_prompt_takes_the_place_of_no_context() -> None:
    model, x = Counted(), normal(2, 3)
    context, negative = torch.tensor([1, 2]), torch.tensor([5, 6])
    step = torch.tensor([7, 7])
    free, told = model(x, step, negative), model(x, step, context)
    result = guided(model, 4.0, null=negative)(x, 7, context)
    torch.testing.assert_close(result, free + 4 * (told - free))


def test_guided_samples_equal_the_reference_loop() -> None:
    from diffusers import DDIMScheduler

    torch.manual_seed(0)
    model = UNet(
        in_channels=1, channels=(8, 8), attention=(False, False), groups=4, num_classes=3
    ).eval()
    torch.nn.init.normal_(model.conv_out.weight, std=0.3)
    start, labels, scale = normal(2, 1, 8, 8), torch.tensor([0, 2]), 3.0
    scheduler = DDIMScheduler(
        clip_sample=False, set_alpha_to_one=True, timestep_spacing="leading", steps_offset=0
    )
    scheduler.set_timesteps(5)
    image = start
    with torch.no_grad():
        for t in scheduler.timesteps:
            both = model(torch.cat([image] * 2), int(t), torch.cat([torch.full((2,), -1), labels]))
            free, told = both.chunk(2)
            image = scheduler.step(free + scale * (told - free), t, image).prev_sample
    visited = scheduler.timesteps.tolist()
    ours = start
    with torch.no_grad():
        betas = NoiseSchedule(linear_betas(1000))
        for step, previous in zip(visited, [*visited[1:], -1], strict=True):
            eps = guided(model, scale)(ours, step, labels)
            ours = ddim_step(ours, eps, step, previous, betas)
    torch.testing.assert_close(ours, image, rtol=2e-4, atol=2e-4)


def test_a_classifier_shifts_a_gaussian_as_bayes_says() -> None:
    """Data N(0, 1) seen through y = x₀ + noise: the guided model samples p(x₀ | y)."""
    spread, y = 0.5, 1.2

    def score_model(x, step):
        # x_t ~ N(0, 1) at every step: ε̂ = √(1 − ᾱ) x_t
        return (1 - SCHEDULE.alpha_bar[step]).sqrt().float().reshape(-1, 1) * x

    def log_probability(x, step, context):
        # x₀ | x_t ~ N(√ᾱ x_t, 1 − ᾱ), so that y | x_t ~ N(√ᾱ x_t, 1 − ᾱ + spread²)
        alpha = SCHEDULE.alpha_bar[step].float()
        variance = 1 - alpha + spread**2
        return -((context - alpha.sqrt() * x[:, 0]) ** 2) / (2 * variance)

    model = classifier_guided(score_model, log_probability, 1.0, SCHEDULE)
    drawn = sample_ddim(
        model,
        (4000, 1),
        SCHEDULE,
        steps=100,
        generator=torch.Generator().manual_seed(0),
        context=torch.full((4000,), y),
        clip=False,
    )
    posterior = 1 / (1 + 1 / spread**2)
    assert drawn.mean().item() == pytest.approx(posterior * y / spread**2, abs=0.03)
    assert drawn.std().item() == pytest.approx(math.sqrt(posterior), abs=0.03)


def test_classifier_guidance_leaves_no_gradient_and_no_trace() -> None:
    x = normal(2, 3).requires_grad_()
    model = classifier_guided(
        lambda x, step: x * 0, lambda x, step, context: x.sum(1), 2.0, SCHEDULE
    )
    eps = model(x, torch.tensor([0, 500]), torch.tensor([0, 1]))
    rate = (1 - SCHEDULE.alpha_bar[[0, 500]]).sqrt().float()[:, None]
    torch.testing.assert_close(eps, -2.0 * rate.expand(2, 3))
    assert not eps.requires_grad
    assert x.grad is None


def test_labels_are_dropped_at_the_rate_and_only_they() -> None:
    labels = torch.randint(10, (20_000,), generator=torch.Generator().manual_seed(0))
    kept = labels.clone()
    dropped = drop_labels(labels, 0.1, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(labels, kept, rtol=0, atol=0)
    assert (dropped == -1).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(dropped[dropped >= 0], labels[dropped >= 0])
    assert torch.equal(drop_labels(labels, 0.0, generator=torch.Generator()), labels)
    assert (drop_labels(labels, 1.0, generator=torch.Generator(), null=10) == 10).all()


def test_on_image_stacks_along_the_channels() -> None:
    x, image = normal(2, 1, 4, 4), normal(2, 3, 4, 4, seed=1)
    seen = []
    model = on_image(lambda both, step: seen.append(both) or both[:, :1], image)
    torch.testing.assert_close(model(x, 3), x)
    torch.testing.assert_close(seen[0], torch.cat([x, image], 1))


def test_bad_input() -> None:
    model = Counted()
    for scale in (float("nan"), float("inf")):
        with rejects("finite"):
            plain.guided(model, scale)
        with rejects("finite"):
            plain.classifier_guided(model, None, scale, SCHEDULE)
    with rejects("needs a context"):
        plain.guided(model, 2.0)(normal(2, 3), 7)
    pushed = plain.classifier_guided(
        lambda x, step: x, lambda x, step, context: x.sum(), 1.0, SCHEDULE
    )
    with rejects("needs a context"):
        pushed(normal(2, 3), 7)
    with rejects("one number an image"):
        pushed(normal(2, 3), 7, torch.tensor([1, 1]))
    with rejects(r"in \[0, 1\]"):
        plain.drop_labels(torch.tensor([1]), 1.5, generator=torch.Generator())
    with rejects("agree in batch"):
        plain.on_image(model, normal(2, 3, 8, 8))(normal(2, 1, 4, 4), 3)
