"""The contrastive loss and the augmentations of SimCLR against lightly.

Run: python benchmarks/bench_contrastive.py [--json]
"""

import torch
from harness import compare, main
from lightly.loss import NTXentLoss

from mmcourse.selfsupervision import nt_xent

TARGETS = {32: 2.0, 1024: 1.5, 4096: 1.5}  # pictures of a batch


def loss_pair(count: int) -> dict:
    """NT-Xent of `count` pictures and its gradient, by both."""
    z = [torch.randn(count, 128, requires_grad=True) for _ in range(2)]
    reference = NTXentLoss(temperature=0.5)

    def ours() -> torch.Tensor:
        loss = nt_xent(*z, temperature=0.5)
        return torch.autograd.grad(loss, z)[0]

    def peer() -> torch.Tensor:
        loss = reference(*z)
        return torch.autograd.grad(loss, z)[0]

    torch.testing.assert_close(ours(), peer(), rtol=1e-4, atol=1e-7)
    return compare(
        f"NT-Xent forward and backward, N = {count}",
        ours,
        peer,
        rounds=3 if count > 2000 else 7,
        peer_name="lightly",
        target=TARGETS[count],
        least=0.05,
    )


def run() -> list[dict]:
    """Every comparison."""
    torch.manual_seed(0)
    return [loss_pair(count) for count in TARGETS]


if __name__ == "__main__":
    main(run)
