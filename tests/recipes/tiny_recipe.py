"""A recipe small enough for tests, and a run of it in a process of its own.

python tiny_recipe.py FOLDER [STEP]: kill this very process, as a power cut would, after a step.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from mmcourse.recipes.text_to_image import PARTS, Scenes
from mmcourse.recipes.workshop import Recipe, Workshop

TINY = Recipe(
    "text-to-image",
    {
        **PARTS,
        "size": 2,
        "T": 20,
        "autoencoder": {**PARTS["autoencoder"], "channels": [8, 8], "latent_channels": 2},
        "unet": {**PARTS["unet"], "channels": [8, 8], "places": 2, "num_heads": 2},
        "reader": {"width": 8, "depth": 1, "num_heads": 2},
    },
    steps={"autoencoder": 7, "decoder": 5, "diffusion": 9},
    batch={"autoencoder": 4, "decoder": 4, "diffusion": 8},
    rates={"autoencoder": 3e-3, "decoder": 3e-3, "diffusion": 3e-3},
    pixels=16,
    pictures=24,
    save_every=3,
)


def main(folder: Path, dies_at: tuple[str, int] | None = None) -> None:
    torch.set_num_threads(1)
    losses = []

    def tell(stage: str, step: int, steps: int, loss: float) -> None:
        losses.append([stage, step, loss])
        if (stage, step) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    Workshop(TINY, Scenes(TINY), folder, seed=3, device="cpu", tell=tell).make()
    (folder / f"losses-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    dies = (sys.argv[2], int(sys.argv[3])) if len(sys.argv) > 2 else None
    main(Path(sys.argv[1]), dies)
