"""A CLIP recipe small enough for tests, and a run of it in a process of its own.

python tiny_clip.py FOLDER [STEP]: kill this very process, as a power cut would, after a step.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from mmcourse.recipes.clip import SHRINK, STAGE, ClipRun
from mmcourse.recipes.clip_shapes import PARTS, ShapePairs
from mmcourse.recipes.run import Recipe

TINY = Recipe(
    "clip-tiny",
    {
        **PARTS,
        "embed_dim": 8,
        "image": {**PARTS["image"], "channels": [8, 8], "num_heads": 2},
        "text": {**PARTS["text"], "width": 8, "depth": 1, "num_heads": 2},
    },
    steps={STAGE: 7},
    batch={STAGE: 8},
    rates={STAGE: 1e-3},
    shrink=SHRINK,
    save_every=3,
)


def main(folder: Path, dies_at: int = 0) -> None:
    torch.set_num_threads(1)

    def tell(stage: str, step: int, steps: int, loss: float) -> None:
        if step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    ClipRun(TINY, ShapePairs(), folder, seed=3, device="cpu", tell=tell).make()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
