"""A process of `accelerate launch`: CLIP's loss of its share of the pairs.

python clip_across_ranks.py FOLDER: writes rank-R.json with the values and gradients of a tiny CLIP.
"""

import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from ranks import told, write

from mmcourse.visionlanguage import CLIP, ImageTower, TextTower, clip_loss

PAIRS = (8, 7)  # a whole number for 2 and for 4 processes, and one that is not


class Both(nn.Module):
    """One call for both towers, as the wrapper of several processes wants it."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"width": 16, "depth": 1, "num_heads": 2}
        self.clip = CLIP(
            ImageTower(image_size=8, patch_size=4, **sizes),
            TextTower(vocab_size=20, max_positions=6, end_id=19, **sizes),
            embed_dim=12,
        )

    def forward(self, images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        vectors = self.clip.encode_image(images), self.clip.encode_text(ids)
        return clip_loss(*vectors, self.clip.logit_scale)


def measure(rank: int, ranks: int, wrap) -> dict:  # type: ignore[no-untyped-def]
    """The loss, the gradient of all weights and the loss after a step of descent."""
    found = {}
    for count in PAIRS:
        torch.manual_seed(0)
        model = Both().double()
        images, ids = torch.randn(count, 3, 8, 8).double(), torch.randint(0, 19, (count, 6))
        ids[:, -1] = 19
        x, y = (part.tensor_split(ranks)[rank] for part in (images, ids))
        model = wrap(model)
        found[str(count)] = told(model, lambda: model(x, y))  # noqa: B023
    return found


if __name__ == "__main__":
    write(measure)
