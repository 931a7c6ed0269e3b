"""Diffusion against its peers: what a sampling step costs beside the network, and the U-Net.

Run: python benchmarks/bench_diffusion.py [--json]
"""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from denoising_diffusion_pytorch import GaussianDiffusion
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel, UNet2DModel
from harness import compare, main
from torch import Tensor, nn

from mmcourse.diffusion import (
    NoiseSchedule,
    UNet,
    ddim_step,
    ddpm_step,
    linear_betas,
    sample_ddim,
)

SHAPE = (4, 3, 16, 16)  # small, so that the bookkeeping is what is measured
SCHEDULE = NoiseSchedule(linear_betas(1000))
ARCHITECTURE = {
    "block_out_channels": (64, 128, 128),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": None,
    "norm_num_groups": 32,
}
WITH_WORDS = {
    "block_out_channels": (64, 128),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 4,  # the number of heads, whatever the name says
    "cross_attention_dim": 64,
    "norm_num_groups": 32,
}


class Nothing(nn.Module):
    """A network that costs nothing, with the attributes that the peer asks for."""

    channels, out_dim, self_condition, random_or_learned_sinusoidal_cond = 3, 3, False, False

    def forward(self, x: Tensor, step: Tensor, condition: Tensor | None = None) -> Tensor:
        return x


def steps() -> list[dict]:
    """One step of each sampler, noise included, at step 500."""
    x, eps = torch.randn(SHAPE), torch.randn(SHAPE)
    ddpm, ddim = DDPMScheduler(), DDIMScheduler()
    ddim.set_timesteps(50)
    lucid = GaussianDiffusion(
        Nothing(), image_size=16, timesteps=1000, beta_schedule="linear", objective="pred_noise"
    )

    def ours_ddpm() -> Tensor:
        return ddpm_step(x, eps, 500, SCHEDULE, noise=torch.randn(SHAPE))

    def ours_lucid() -> Tensor:
        step = torch.full((SHAPE[0],), 500)
        noise = torch.randn(SHAPE)
        return ddpm_step(x, network(x, step), 500, SCHEDULE, noise=noise)

    def ours_ddim() -> Tensor:
        return ddim_step(x, eps, 500, 480, SCHEDULE, clip=True)

    network = Nothing()
    with torch.no_grad():
        return [
            compare(
                "DDPM step",
                ours_ddpm,
                lambda: ddpm.step(eps, 500, x).prev_sample,
                peer_name="diffusers",
                target=4.0,
            ),
            compare(
                "DDPM step with an empty network",
                ours_lucid,
                lambda: lucid.p_sample(x, 500)[0],
                peer_name="lucidrains",
                target=1.5,
            ),
            compare(
                "DDIM step",
                ours_ddim,
                lambda: ddim.step(eps, 500, x, use_clipped_model_output=True).prev_sample,
                peer_name="diffusers",
                target=4.0,
            ),
        ]


def loops() -> list[dict]:
    """Fifty steps of DDIM with an empty network: the samplers' whole overhead."""
    scheduler, network, start = DDIMScheduler(), Nothing(), torch.randn(SHAPE)
    scheduler.set_timesteps(50)

    def ours() -> Tensor:
        return sample_ddim(
            network, SHAPE, SCHEDULE, steps=50, generator=None, spacing="leading", start=start
        )

    @torch.no_grad()
    def theirs() -> Tensor:
        x = start
        for step in scheduler.timesteps:
            eps = network(x, step)
            x = scheduler.step(eps, step, x, use_clipped_model_output=True).prev_sample
        return x

    torch.testing.assert_close(ours(), theirs(), rtol=1e-3, atol=1e-3)
    return [compare("50 DDIM steps, empty network", ours, theirs, peer_name="diffusers")]


def networks() -> list[dict]:
    """The U-Net at equal architecture and weights."""
    peer = UNet2DModel(sample_size=32, **ARCHITECTURE)
    model = same_weights(peer)
    x, step = torch.randn(8, 3, 32, 32), torch.randint(0, 1000, (8,))
    return contest(
        "U-Net (8, 3, 32, 32)", lambda: model(x, step), lambda: peer(x, step).sample, [model, peer]
    )


def networks_with_words() -> list[dict]:
    """The U-Net of Stable Diffusion's kind, that reads words by cross-attention."""
    peer = UNet2DConditionModel(sample_size=16, **WITH_WORDS)
    model = same_weights(peer)
    x, step, context = (
        torch.randn(8, 4, 16, 16),
        torch.randint(0, 1000, (8,)),
        torch.randn(8, 18, 64),
    )
    return contest(
        "U-Net with words (8, 4, 16, 16)",
        lambda: model(x, step, context),
        lambda: peer(x, step, context).sample,
        [model, peer],
    )


def same_weights(peer: Any) -> UNet:
    """Our network with the weights of the peer."""
    with tempfile.TemporaryDirectory() as folder:
        peer.save_pretrained(folder)
        return UNet.from_pretrained(folder)


def contest(
    name: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor], both: list[nn.Module]
) -> list[dict]:
    """Forward, then forward and backward; first the two must agree."""
    torch.testing.assert_close(ours(), theirs(), rtol=1e-4, atol=1e-4)

    def backward(run: Callable[[], Tensor], network: nn.Module) -> Callable[[], None]:
        def whole() -> None:
            network.zero_grad(set_to_none=True)
            run().square().mean().backward()

        return whole

    still = torch.no_grad()
    pairs = [
        (f"{name} forward", still(ours), still(theirs)),
        (f"{name} and backward", backward(ours, both[0]), backward(theirs, both[1])),
    ]
    return [
        compare(which, mine, other, rounds=5, peer_name="diffusers", target=1.0)
        for which, mine, other in pairs
    ]


def run() -> list[dict]:
    """Every comparison."""
    torch.manual_seed(0)
    return steps() + loops() + networks() + networks_with_words()


if __name__ == "__main__":
    main(run)
