"""Energy-based models: low energy where the data are; samples by rolling downhill with noise.

p(x) = exp( −E(x) ) / Z,  Z = ∫ exp( −E(x) ) dx

E may be any network, but Z is out of reach; nothing here needs it.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Energy = Callable[[Tensor], Tensor]
X = Float[Tensor, "batch *shape"]
SAMPLES = Float[Tensor, "samples *shape"]


def energy_gradient(energy: Energy, x: X, *, differentiable: bool = False) -> X:
    """∂E/∂x of each item; minus the score, ∇ log p(x), in which Z has vanished.

    Args:
        energy: maps (batch, …) to (batch,).
        x: items (batch, …).
        differentiable: keep the graph, so that a loss of the gradient can train the energy.

    Raises:
        ValueError: the energy is not one number for each item.

    Source: ∇ log p(x) = −∇E(x) − ∇ log Z, and the last term is 0.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        values = energy(x)
        if values.shape != x.shape[:1]:
            raise ValueError(f"need one energy for each of {len(x)}, got {tuple(values.shape)}")
        return torch.autograd.grad(values.sum(), x, create_graph=differentiable)[0]


def langevin_step(
    energy: Energy, x: X, noise: X, *, step_size: float, noise_scale: float | None = None
) -> X:
    """Downhill, and a little noise.

    x' = x − η ∂E/∂x + σ ε,  σ = √(2η)

    For small η the steps end up distributed as exp(−E). Another σ samples exp(−E / T) with the
    temperature T = σ² / 2η: less noise is colder.

    Args:
        energy: maps (batch, …) to (batch,).
        x: where the chains are (batch, …).
        noise: ε, standard normal, shaped as x.
        step_size: η > 0.
        noise_scale: σ ≥ 0; None is √(2η).

    Returns:
        where the chains are next, shaped as x.

    Raises:
        ValueError: other shapes, η ≤ 0 or σ < 0.

    Source: Welling & Teh 2011, equation 3 (with ε_t / 2 for η); Du & Mordatch 2019,
        arXiv:1903.08689, equation 1.
    """
    _check_step(step_size, noise_scale)
    if noise.shape != x.shape:
        raise ValueError(f"noise must be shaped {tuple(x.shape)}, got {tuple(noise.shape)}")
    sigma = math.sqrt(2 * step_size) if noise_scale is None else noise_scale
    return x.detach() - step_size * energy_gradient(energy, x) + sigma * noise


def langevin(
    energy: Energy,
    start: X,
    *,
    steps: int,
    step_size: float,
    generator: torch.Generator,
    noise_scale: float | None = None,
    bounds: tuple[float, float] | None = None,
) -> X:
    """Many `langevin_step`s.

    Args:
        energy: maps (batch, …) to (batch,).
        start: where the chains begin (batch, …); not changed.
        steps: how many, at least 0.
        step_size: η > 0.
        generator: source of randomness, on the device of the start.
        noise_scale: σ ≥ 0; None is √(2η).
        bounds: keep every number between these, (−1, 1) for pictures.

    Returns:
        the chains' ends, without gradients.

    Raises:
        ValueError: steps < 0, η ≤ 0, σ < 0, or bounds out of order.
        FloatingPointError: a chain leaves for infinity; the message names the step.

    Source: Du & Mordatch 2019, arXiv:1903.08689, algorithm 1.
    """
    _check_step(step_size, noise_scale)
    if steps < 0 or (bounds is not None and not bounds[0] < bounds[1]):
        raise ValueError(f"need steps ≥ 0 and bounds low < high, got {steps} and {bounds}")
    x = start.detach()
    for step in range(steps):
        noise = torch.randn(x.shape, generator=generator, device=generator.device).to(x)
        x = langevin_step(energy, x, noise, step_size=step_size, noise_scale=noise_scale)
        if bounds is not None:
            x = x.clamp(*bounds)
        if not bool(x.isfinite().all()):
            raise FloatingPointError(f"a chain is not finite after step {step}: lower step_size")
    return x


def contrastive_divergence(
    energy: Energy, data: X, samples: SAMPLES, *, regularisation: float = 0.0
) -> Float[Tensor, ""]:
    """Lower the energy of data, raise that of the model's own samples.

    L = mean E(data) − mean E(samples) + α ( mean E(data)² + mean E(samples)² )

    With samples from exp(−E) the gradient of the first two terms is that of −log p(data). L
    itself is no likelihood, and says little about how good the model is.

    Args:
        energy: maps (batch, …) to (batch,).
        data: (batch, …).
        samples: of the model, (samples, …); held fixed.
        regularisation: α ≥ 0 keeps energies near 0.

    Raises:
        ValueError: items of different shapes, no items, or α < 0.

    Source: Hinton 2002, "Training products of experts by minimizing contrastive divergence";
        Du & Mordatch 2019, arXiv:1903.08689, equations 2 and 4.
    """
    if data.shape[1:] != samples.shape[1:] or min(len(data), len(samples)) == 0:
        raise ValueError(
            f"need items of one shape, got {tuple(data.shape)} and {tuple(samples.shape)}"
        )
    if not regularisation >= 0:
        raise ValueError(f"regularisation must be at least 0, got {regularisation}")
    low, high = energy(data), energy(samples.detach())
    size = low.square().mean() + high.square().mean()
    return low.mean() - high.mean() + regularisation * size


def denoising_score_loss(energy: Energy, x: X, noise: X, *, sigma: float) -> Float[Tensor, ""]:
    """Train an energy without sampling: its slope must point back along the noise.

    L = mean ½ ‖ σ ∂E(x + σε)/∂x − ε ‖²

    At the best E, −∂E/∂x is the score of the data blurred by σ: what a diffusion model learns.

    Args:
        energy: maps (batch, …) to (batch,); twice differentiable (SiLU, not ReLU).
        x: data (batch, …).
        noise: ε, standard normal, shaped as x.
        sigma: σ > 0.

    Raises:
        ValueError: other shapes, or σ ≤ 0.

    Source: Vincent 2011, "A connection between score matching and denoising autoencoders",
        equation 12, times σ² as in Song & Ermon 2019, arXiv:1907.05600, equation 6.
    """
    if noise.shape != x.shape or not sigma > 0:
        raise ValueError(
            f"need noise shaped {tuple(x.shape)} and sigma > 0, got {tuple(noise.shape)}, {sigma}"
        )
    slope = energy_gradient(energy, x + sigma * noise, differentiable=True)
    return 0.5 * (sigma * slope - noise).flatten(1).square().sum(dim=1).mean()


class ReplayBuffer:
    """Chains that go on where they stopped, so that few steps suffice.

    Args:
        shape: of an item.
        capacity: how many chains are kept.
        generator: source of randomness, on the CPU.
        restart: the share of chains that begin anew, in [0, 1].
        bounds: new chains begin uniformly between these.

    Raises:
        ValueError: a capacity below 1, a share outside [0, 1], or bounds out of order.

    Source: Tieleman 2008, "Training restricted Boltzmann machines using approximations to the
        likelihood gradient"; Du & Mordatch 2019, arXiv:1903.08689, §3.2 (95 % are kept).
    """

    def __init__(
        self,
        shape: Sequence[int],
        capacity: int = 1024,
        *,
        generator: torch.Generator,
        restart: float = 0.05,
        bounds: tuple[float, float] = (-1.0, 1.0),
    ):
        if capacity < 1 or not 0 <= restart <= 1 or not bounds[0] < bounds[1]:
            raise ValueError(
                "need capacity ≥ 1, restart in [0, 1] and bounds low < high, "
                f"got {capacity}, {restart}, {bounds}"
            )
        self.generator, self.restart, self.bounds = generator, restart, bounds
        self.shape = tuple(shape)
        self.chains = self._fresh(capacity)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Different chains' numbers (count,), and where these begin (count, …).

        Raises:
            ValueError: more chains than there are, or none.
        """
        if not 1 <= count <= len(self.chains):
            raise ValueError(f"count must be 1 … {len(self.chains)}, got {count}")
        which = torch.randperm(len(self.chains), generator=self.generator)[:count]
        anew = torch.rand(count, generator=self.generator) < self.restart
        start = self.chains[which]
        start[anew] = self._fresh(int(anew.sum()))
        return which, start

    def store(self, which: Tensor, samples: Tensor) -> None:
        """Keep where the chains have got to."""
        self.chains[which] = samples.detach().to(self.chains)

    def _fresh(self, count: int) -> Tensor:
        low, high = self.bounds
        return low + (high - low) * torch.rand(count, *self.shape, generator=self.generator)


class ConvEnergy(nn.Module):
    """A small convolutional network from a picture to its energy; smooth throughout.

    Args:
        channels: of the picture.
        width: channels inside.

    Source: after Du & Mordatch 2019, arXiv:1903.08689, appendix, much smaller and with SiLU.
    """

    def __init__(self, *, channels: int = 1, width: int = 32):
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.third = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.out = nn.Linear(4 * width, 1)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """(b, c, h, w), both sides at least 4, → (b,)"""
        h = F.silu(self.first(images))
        h = F.silu(self.third(F.silu(self.second(h))))
        return self.out(h.sum(dim=(2, 3)))[:, 0]


def _check_step(step_size: float, noise_scale: float | None) -> None:
    if not step_size > 0 or (noise_scale is not None and not noise_scale >= 0):
        raise ValueError(
            f"need step_size > 0 and noise_scale ≥ 0 or None, got {step_size}, {noise_scale}"
        )
