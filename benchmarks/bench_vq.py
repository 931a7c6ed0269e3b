"""The codebook look-up of the VQ-VAE against `torch.cdist`.

Run: python benchmarks/bench_vq.py [--json]
"""

import torch
from harness import compare, main

from mmcourse.diffusion import nearest_codes

CODES, WIDTH = 512, 64  # the codebook of the paper
TARGETS = {1024: 1.2, 16384: 1.25}  # vectors: one grid of 32 × 32, and a batch of sixteen


def pair(count: int) -> dict:
    """The nearest code of each of `count` vectors, by both."""
    vectors, codebook = torch.randn(count, WIDTH), torch.randn(CODES, WIDTH)

    def ours() -> torch.Tensor:
        return nearest_codes(vectors, codebook)

    def peer() -> torch.Tensor:
        return torch.cdist(vectors, codebook).argmin(dim=1)

    found = vectors - codebook[ours()], vectors - codebook[peer()]
    near = [gap.norm(dim=1) for gap in found]  # equally near codes may differ
    torch.testing.assert_close(*near)
    return compare(
        f"nearest of {CODES} codes, {count} × {WIDTH}",
        ours,
        peer,
        rounds=9,
        peer_name="cdist",
        target=TARGETS[count],
        least=0.1,
    )


def run() -> list[dict]:
    """Every comparison."""
    torch.manual_seed(0)
    with torch.no_grad():
        return [pair(count) for count in TARGETS]


if __name__ == "__main__":
    main(run)
