"""Noise schedules: how much noise each step of the forward process adds."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def linear_betas(T: int, start: float = 1e-4, end: float = 0.02) -> Float[Tensor, "T"]:
    """Noise variances that grow linearly with the step.

    β_t = start + (end − start) · t / (T − 1),  t = 0 … T−1

    Args:
        T: number of steps, at least 1.
        start: variance of the first step, in (0, 1).
        end: variance of the last step, in (0, 1).

    Returns:
        The variances (T,), float64.

    Raises:
        ValueError: T is not a positive whole number, or an end lies outside (0, 1).

    Source: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", arXiv:2006.11239, §4, where
        T = 1000. The ends are not rescaled for another T.
    """
    _check_length(T)
    _check_variance(start, "start")
    _check_variance(end, "end")
    return torch.linspace(start, end, T, dtype=torch.float64)


def scaled_linear_betas(T: int, start: float = 0.00085, end: float = 0.012) -> Float[Tensor, "T"]:
    """Noise variances whose *square root* grows linearly with the step.

    β_t = ( √start + (√end − √start) · t / (T − 1) )²

    Args:
        T: number of steps, at least 1.
        start: variance of the first step, in (0, 1).
        end: variance of the last step, in (0, 1).

    Returns:
        The variances (T,), float64.

    Raises:
        ValueError: T is not a positive whole number, or an end lies outside (0, 1).

    Source: Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models",
        arXiv:2112.10752; the defaults are Stable Diffusion's. Beware of the name: the paper's own
        code calls this schedule "linear" and calls the plainly linear one "sqrt_linear".
    """
    _check_length(T)
    _check_variance(start, "start")
    _check_variance(end, "end")
    return torch.linspace(math.sqrt(start), math.sqrt(end), T, dtype=torch.float64).square()


def cosine_alpha_bar(time: float, s: float = 0.008) -> float:
    """The signal power that the cosine schedule leaves at a moment, before normalisation.

    f(u) = cos²( (u + s) / (1 + s) · π/2 )

    Args:
        time: u = t/T in [0, 1]; 0 is the clean image.
        s: offset that keeps the first steps from being vanishingly small, ≥ 0.

    Returns:
        f(u) in [0, 1].

    Raises:
        ValueError: the time lies outside [0, 1], or s is negative.

    Source: Nichol & Dhariwal 2021, "Improved Denoising Diffusion Probabilistic Models",
        arXiv:2102.09672, §3.2. The square matters: its root is the signal's amplitude.
    """
    if not 0.0 <= time <= 1.0:
        raise ValueError(f"time must be in [0, 1], got {time}")
    if s < 0:
        raise ValueError(f"s must be at least 0, got {s}")
    return math.cos((time + s) / (1 + s) * math.pi / 2) ** 2


def cosine_betas(T: int, s: float = 0.008) -> Float[Tensor, "T"]:
    """Noise variances whose cumulative signal power follows a squared cosine.

    β_t = min( 1 − f((t+1)/T) / f(t/T), 0.999 )

    ᾱ is defined first and β follows from it; only the last step or so meets the clip.

    Args:
        T: number of steps, at least 1.
        s: offset of the cosine, ≥ 0.

    Returns:
        The variances (T,), float64.

    Raises:
        ValueError: T is not a positive whole number, or s is negative.

    Source: Nichol & Dhariwal 2021, arXiv:2102.09672, §3.2.
    """
    _check_length(T)
    signal = torch.tensor([cosine_alpha_bar(t / T, s) for t in range(T + 1)], dtype=torch.float64)
    return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


def respaced_betas(alpha_bar: Float[Tensor, "T"], visited: Sequence[int]) -> Float[Tensor, "steps"]:
    """The variances of a shorter process that stops only at some steps of a longer one.

    β'_i = 1 − ᾱ_{S_i} / ᾱ_{S_{i−1}},  where ᾱ before the first stop is 1

    With them, `ddpm_step` walks in a few large steps with a network trained for many small ones;
    the network must still be told the long process's step, `visited[i]`.

    Args:
        alpha_bar: cumulative signal power of the long process (T,).
        visited: S, the code indices to stop at, in 0 … T−1; the order does not matter.

    Returns:
        One variance per stop, least noisy first, float64.

    Raises:
        ValueError: nothing is visited, a step twice, or a step that is out of range.

    Source: Nichol & Dhariwal 2021, arXiv:2102.09672, §4, equation 19.
    """
    stops = sorted(visited)
    if not stops or len(set(stops)) < len(stops) or stops[0] < 0 or stops[-1] >= len(alpha_bar):
        allowed = f"different steps in 0 … {len(alpha_bar) - 1}"
        raise ValueError(f"visited must hold {allowed}, got {list(visited)}")
    signal = alpha_bar.double()[torch.tensor(stops, device=alpha_bar.device)]
    return 1 - signal / torch.cat([signal.new_ones(1), signal[:-1]])


class NoiseSchedule:
    """The constants of a diffusion process, derived once from its variances β.

    α_t = 1 − β_t,  ᾱ_t = ∏_{s ≤ t} α_s,  and the coefficients of q(x_{t−1} | x_t, x_0)

    Steps are code indices 0 … T−1 (the paper's t is the index + 1); before step 0 the image is
    clean, so the "previous" ᾱ of step 0 is exactly 1. There is no α before the first step.

    Attributes:
        T: number of steps.
        betas, alphas, alpha_bar, alpha_bar_previous: float64 tensors (T,).
        posterior_variance: β̃_t = (1 − ᾱ_{t−1}) / (1 − ᾱ_t) · β_t, 0 at the first step.
        posterior_x0: the weight √ᾱ_{t−1} β_t / (1 − ᾱ_t) of x_0 in the posterior's mean.
        posterior_xt: the weight √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t) of x_t in the posterior's mean.

    Source: Ho et al. 2020, arXiv:2006.11239, equations 4, 6 and 7.
    """

    def __init__(self, betas: Float[Tensor, "T"]) -> None:
        """Derive every table from the variances.

        Args:
            betas: noise variance of each step (T,), each in (0, 1).

        Raises:
            ValueError: not one dimension of floats, empty, or a variance outside (0, 1).
        """
        _check_betas(betas)
        self.betas = betas.detach().to("cpu", torch.float64)
        self.alphas = 1 - self.betas
        self.alpha_bar = self.alphas.cumprod(0)
        self.alpha_bar_previous = torch.cat([self.alpha_bar.new_ones(1), self.alpha_bar[:-1]])
        noise = 1 - self.alpha_bar
        noise_previous = 1 - self.alpha_bar_previous
        self.posterior_variance = noise_previous / noise * self.betas
        self.posterior_x0 = self.alpha_bar_previous.sqrt() * self.betas / noise
        self.posterior_xt = self.alphas.sqrt() * noise_previous / noise
        # A sampler takes one step at a time: Python floats spare it a tensor look-up per constant.
        self.signal_rates: list[float] = self.alpha_bar.sqrt().tolist()
        self.noise_rates: list[float] = noise.sqrt().tolist()
        self.posterior_weights: list[tuple[float, float]] = list(
            zip(self.posterior_x0.tolist(), self.posterior_xt.tolist(), strict=True)
        )
        self.sigmas: dict[str, list[float]] = {
            "small": self.posterior_variance.sqrt().tolist(),
            "large": self.betas.sqrt().tolist(),
        }

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.betas)

    def __repr__(self) -> str:
        first, last = self.betas[0].item(), self.betas[-1].item()
        return f"NoiseSchedule(T={self.T}, betas={first:.3g} … {last:.3g})"


def _check_length(T: int) -> None:
    if isinstance(T, bool) or not isinstance(T, int) or T < 1:
        raise ValueError(f"T must be a whole number of at least 1, got {T!r}")


def _check_variance(value: float, name: str) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must be in (0, 1), got {value}")


def _check_betas(betas: Tensor) -> None:
    if betas.ndim != 1 or len(betas) == 0 or not betas.is_floating_point():
        raise ValueError(
            f"betas must be a non-empty float tensor (T,), got {betas.dtype} {tuple(betas.shape)}"
        )
    if not bool(((betas > 0) & (betas < 1)).all()):
        low, high = betas.min().item(), betas.max().item()
        raise ValueError(f"betas must be in (0, 1), got values from {low} to {high}")
