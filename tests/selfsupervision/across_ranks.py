"""A process of `accelerate launch`: the contrastive losses of its share of the data.

python across_ranks.py FOLDER: writes rank-R.json with values and the gradients of a model.
"""

import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from ranks import told, write

from mmcourse.selfsupervision import gather, info_nce, nt_xent, symmetric_info_nce

PICTURES, RAGGED = 12, 11  # a whole number for 2 and for 4 processes, and one that is not


class Towers(nn.Module):
    """Two small networks and a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4)) for _ in "ab")
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.a(x), self.b(y), self.scale.exp()


def queries_to_keys(q: torch.Tensor, k: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Each query's partner is the next row's key: the general form."""
    keys, start = gather(k)
    place = torch.arange(start, start + len(q))
    return info_nce(q, keys, (place + 1) % len(keys), scale=scale, exclude=place)


LOSSES = {
    "nt_xent": lambda a, b, scale: nt_xent(a, b, 0.3) * (1 + 0 * scale),
    "symmetric": symmetric_info_nce,
    "general": queries_to_keys,
}


def measure(rank: int, ranks: int, wrap) -> dict:  # type: ignore[no-untyped-def]
    """Value, gradient of all weights and the value after one step of descent, for each loss."""
    found = {}
    for name, loss_of in LOSSES.items():
        for count in (PICTURES, RAGGED):
            torch.manual_seed(0)
            model, data = Towers().double(), torch.randn(2, count, 5).double()
            x, y = (part.tensor_split(ranks)[rank] for part in data)
            model = wrap(model)
            found[f"{name} {count}"] = told(model, lambda: loss_of(*model(x, y)))  # noqa: B023
    return found


if __name__ == "__main__":
    write(measure)
