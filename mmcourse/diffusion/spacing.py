"""Which steps a short sampler visits."""

import math


def ddim_steps(T: int, steps: int, spacing: str = "trailing", *, power: float = 1.0) -> list[int]:
    """The steps that a short sampler visits, noisiest first.

    trailing: round(T − T · (i/steps)^power) − 1, begins at T−1
    leading:  i · ⌊T/steps⌋, ends at 0

    "trailing" is the default, as the sampler's first image really is pure noise, the state at
    T−1; "leading" begins at an earlier step, whose images still hold some signal. A power above 1
    spends more of the steps where the noise is strong and the content of a picture is decided.

    Args:
        T: number of steps of the process.
        steps: how many of them to visit, in 1 … T.
        spacing: "trailing" or "leading".
        power: of trailing steps, at least 1; 1 is even. Steps that would meet move apart.

    Returns:
        Falling code indices; the jump after the last one goes to −1, the clean image.

    Raises:
        ValueError: steps lies outside 1 … T, the power is below 1 or not for this spacing, or the
            spacing is unknown.

    Source: Song et al. 2021, arXiv:2010.02502, appendix D.2 (leading); Lin et al. 2024, "Common
        Diffusion Noise Schedules and Sample Steps Are Flawed", arXiv:2305.08891, table 2.
    """
    if T < 1 or not 1 <= steps <= T:
        raise ValueError(f"steps must be in 1 … T = {T}, got {steps}")
    if not 1.0 <= power < math.inf or (power != 1.0 and spacing == "leading"):
        raise ValueError(f"power must be at least 1, and 1 for leading steps, got {power}")
    if spacing == "trailing":
        if power == 1.0:
            return [round(T - i * T / steps) - 1 for i in range(steps)]
        walk = [round(T - T * (i / steps) ** power) - 1 for i in range(steps)]
        return [max(min(t, T - 1 - i), steps - 1 - i) for i, t in enumerate(walk)]
    if spacing == "leading":
        return [i * (T // steps) for i in reversed(range(steps))]
    raise ValueError(f'spacing must be "trailing" or "leading", got {spacing!r}')
