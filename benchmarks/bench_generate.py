"""Drawing with the shipped model in ten steps: how much of the time are the U-Net's own calls?

The peer is the bare minimum: the twenty forward passes of the U-Net (ten steps, each with and
without the caption) and nothing else, no reader, no sampler, no decoder. The wall seconds that
`generate` takes with every core are printed below.
"""

import sys
import time

import torch
from harness import compare, main

from mmcourse.diffusion import TextToImage

PROMPT, STEPS = "작은 파란 사각형 위의 큰 빨간 원", 10


def run() -> list[dict]:
    """One picture, and sixteen at once."""
    drawer = TextToImage.load("text-to-image", device="cpu")
    net = drawer.model
    results = []
    for count in (1, 16):
        prompts = [PROMPT] * count
        channels = net.autoencoder.latent_channels
        z = torch.randn(2 * count, channels, drawer.size, drawer.size)
        step = torch.full((2 * count,), 500)
        with torch.no_grad():
            context = net.reader(drawer.vocabulary.encode(prompts * 2))

        @torch.no_grad()
        def passes(z=z, step=step, context=context) -> None:
            for _ in range(STEPS):
                net.unet(z, step, context)

        def ours(prompts=prompts) -> torch.Tensor:
            return drawer.generate(prompts, steps=STEPS)

        name = f"{count} picture{'s' if count > 1 else ''} in {STEPS} steps"
        results.append(compare(name, ours, passes, target=0.8, peer_name="U-Net alone"))
        begun = time.perf_counter()
        ours()
        seconds = time.perf_counter() - begun
        print(f"  {seconds:.3f} s on {torch.get_num_threads()} threads", file=sys.stderr)
    return results


if __name__ == "__main__":
    main(run)
