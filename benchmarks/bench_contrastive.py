"""The contrastive loss and the augmentations of SimCLR against lightly.

Run: python benchmarks/bench_contrastive.py [--json]
"""

import torch
from harness import compare, main
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from torchvision.transforms.functional import to_pil_image

from mmcourse.selfsupervision import nt_xent, two_views

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


def views_pair(size: int) -> dict:
    """Two views of 64 pictures by the policy of SimCLR, ready for a network, by both."""
    images = torch.rand(64, 3, size, size) * 2 - 1
    pictures = [to_pil_image(image) for image in images / 2 + 0.5]
    transform = SimCLRTransform(input_size=size)
    generator = torch.Generator().manual_seed(0)

    def ours() -> torch.Tensor:
        return torch.stack(two_views(images, generator=generator))

    def peer() -> torch.Tensor:
        views = [transform(picture) for picture in pictures]
        return torch.stack([torch.stack(view) for view in zip(*views, strict=True)])

    return compare(
        f"two views of 64 pictures of {size} × {size}",
        ours,
        peer,
        rounds=3,
        peer_name="lightly",
        target=5.0 if size == 32 else None,  # where single pictures are large, PIL is quick too
    )


def run() -> list[dict]:
    """Every comparison."""
    torch.manual_seed(0)
    return [views_pair(32), views_pair(96), *(loss_pair(count) for count in TARGETS)]


if __name__ == "__main__":
    main(run)
