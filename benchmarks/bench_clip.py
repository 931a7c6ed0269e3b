"""CLIP's loss and its gradients against those of transformers and open_clip.

Run: python benchmarks/bench_clip.py [--json]
"""

import math
from collections.abc import Callable

import torch
from harness import compare, main
from open_clip import ClipLoss
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from mmcourse.visionlanguage import clip_loss

PAIRS, WIDTH = 1024, 512  # of a batch; of ViT-B's embeddings


def transformers_loss(images: torch.Tensor, texts: torch.Tensor, log: torch.Tensor) -> torch.Tensor:
    """As in `CLIPModel.forward`."""
    return image_text_contrastive_loss(texts @ images.T * log.exp())


def open_clip_loss(images: torch.Tensor, texts: torch.Tensor, log: torch.Tensor) -> torch.Tensor:
    """As in open_clip's training."""
    return ClipLoss()(images, texts, log.exp())


def pair(name: str, reference: Callable[..., torch.Tensor], target: float) -> dict:
    """The loss of a batch and its gradients, by both."""
    vectors = [torch.nn.functional.normalize(torch.randn(PAIRS, WIDTH), dim=1) for _ in range(2)]
    inputs = [*vectors, torch.tensor(math.log(1 / 0.07))]
    for tensor in inputs:
        tensor.requires_grad_()

    def timed(loss: Callable[..., torch.Tensor]) -> Callable[[], tuple[torch.Tensor, ...]]:
        return lambda: torch.autograd.grad(loss(*inputs), inputs)

    ours, peer = timed(clip_loss), timed(reference)
    torch.testing.assert_close(ours(), peer(), rtol=1e-3, atol=1e-6)
    return compare(
        f"CLIP loss forward and backward, N = {PAIRS}",
        ours,
        peer,
        peer_name=name,
        target=target,
        least=0.2,
    )


def run() -> list[dict]:
    """Every comparison."""
    torch.manual_seed(0)
    return [pair("transformers", transformers_loss, 1.0), pair("open_clip", open_clip_loss, 1.5)]


if __name__ == "__main__":
    main(run)
