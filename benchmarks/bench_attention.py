"""Attention against PyTorch's fused kernel, and the multi-head module against timm's."""

import torch
import torch.nn.functional as F
from harness import compare, main
from timm.layers.attention import Attention

from mmcourse.transformers import (
    MultiHeadAttention,
    fused_attention,
    scaled_dot_product_attention,
)


def qkv(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Queries, keys and values of 2 sentences, 4 heads, 1024 tokens, width 64."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 4, 1024, 64)
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def forward(function, *inputs):
    """A task that calls `function` without gradients."""

    def task():
        with torch.no_grad():
            return function(*inputs)

    return task


def both_ways(function, inputs, wanted):
    """A task that calls `function` and takes the gradient of the sum for `wanted`."""
    return lambda: torch.autograd.grad(function(*inputs).sum(), wanted)


def run() -> list[dict]:
    """Measure; the taught formula is shown for comparison, without a target."""
    peer = F.scaled_dot_product_attention
    inputs, short = qkv(), qkv(torch.bfloat16)

    def taught(q, k, v):
        return scaled_dot_product_attention(q, k, v)[0]

    def attend(name, ours, tensors, task, target):
        arguments = (tensors, tensors) if task is both_ways else tensors
        mine, theirs = task(ours, *arguments), task(peer, *arguments)
        return compare(f"attention, {name}", mine, theirs, target=target, peer_name="SDPA")

    results = [
        attend("fused, forward, T=1024", fused_attention, inputs, forward, 0.95),
        attend("fused, both ways, T=1024", fused_attention, inputs, both_ways, 0.95),
        attend("fused, both ways, bfloat16", fused_attention, short, both_ways, 0.95),
        attend("taught, forward, T=1024", taught, inputs, forward, None),
        attend("taught, both ways, T=1024", taught, inputs, both_ways, None),
    ]
    x = torch.randn(8, 128, 256, generator=torch.Generator().manual_seed(1), requires_grad=True)
    ours = MultiHeadAttention(256, 8)
    theirs = Attention(256, 8, qkv_bias=True)
    name = "multi-head module (8, 128, 256)"
    mine, peers = forward(ours, x), forward(theirs, x)
    results.append(compare(f"{name}, forward", mine, peers, target=1.0, peer_name="timm"))
    mine = both_ways(ours, [x], [x, *ours.parameters()])
    peers = both_ways(theirs, [x], [x, *theirs.parameters()])
    results.append(compare(f"{name}, both ways", mine, peers, target=1.0, peer_name="timm"))
    return results


if __name__ == "__main__":
    main(run)
