"""A table whose rows are observations and whose columns are modalities, some cells missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Level = float | Mapping[str, float]
"""One number for all modalities, or one for each by name (0 for those not named)."""


@dataclass(frozen=True)
class Observations:
    """Observations of hidden things: what was measured of each, in which modalities, and a label.

    Attributes:
        values: for each modality a tensor whose rows are the observations; 0 where missing.
        present: (n, modalities), in the order of `values`; True = present. Every observation
            has at least one.
        labels: (n,) the target Y.
        hidden: (n, …) the truth behind the measurements, which no model is given.

    Raises:
        ValueError: columns of different lengths, or an observation with every modality missing.
    """

    values: dict[str, Tensor]
    present: Bool[Tensor, "n modalities"]
    labels: Int[Tensor, "n"]
    hidden: Tensor

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (*self.values.values(), self.labels, self.hidden)}
        if lengths != {len(self.present)} or self.present.shape[1:] != (len(self.values),):
            raise ValueError(
                f"need as many rows everywhere and a column of `present` for each of "
                f"{self.names}, got {sorted(lengths)} and {tuple(self.present.shape)}"
            )
        empty = ~self.present.any(dim=1)
        if bool(empty.any()):
            raise ValueError(f"observation {int(empty.int().argmax())} has every modality missing")

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in the order of `present`."""
        return tuple(self.values)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | Sequence[int] | Tensor) -> "Observations":
        """Some of the observations."""
        index = torch.arange(len(self))[rows].reshape(-1)
        values = {name: column[index] for name, column in self.values.items()}
        return Observations(values, self.present[index], self.labels[index], self.hidden[index])

    def without(self, *names: str) -> "Observations":
        """The same observations, with these modalities missing everywhere.

        Raises:
            ValueError: an unknown name, or an observation that has none left.
        """
        check_names(names, self.names)
        gone = torch.tensor([name in names for name in self.names])
        return replace(self, present=self.present & ~gone)._cleared()

    def only(self, *names: str) -> "Observations":
        """The same observations, with all modalities but these missing; errors as above."""
        check_names(names, self.names)
        return self.without(*(name for name in self.names if name not in names))

    def lose(self, chance: Level, *, generator: torch.Generator) -> "Observations":
        """Let each cell go missing by chance.

        An observation that would lose its last modality keeps one of those it had, any of them
        as likely.

        Args:
            chance: in [0, 1], for all modalities or by name.
            generator: source of randomness.

        Raises:
            ValueError: a chance outside [0, 1], or an unknown name.
        """
        chances = torch.tensor(levels("chance", chance, self.names, most=1.0))
        kept = self.present & (torch.rand(self.present.shape, generator=generator) >= chances)
        draws = torch.rand(self.present.shape, generator=generator)
        last = draws.masked_fill(~self.present, -1).argmax(dim=1)
        rescued = torch.nn.functional.one_hot(last, len(self.names)).bool()
        kept |= rescued & ~kept.any(dim=1, keepdim=True)
        return replace(self, present=kept)._cleared()

    def _cleared(self) -> "Observations":
        values = {}
        for (name, column), here in zip(self.values.items(), self.present.T, strict=True):
            values[name] = column * here.reshape(-1, *[1] * (column.ndim - 1)).to(column.dtype)
        return replace(self, values=values)


def check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a name that no modality has."""
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ValueError(f"modalities are {', '.join(known)}; got {wrong[0]!r}")


def levels(
    what: str, level: Level, names: Sequence[str], *, most: float = float("inf")
) -> list[float]:
    """A level for each modality, from one number or a number by name.

    Raises:
        ValueError: an unknown name, or a level below 0 or above `most`.
    """
    if isinstance(level, Mapping):
        check_names(tuple(level), names)
        found = [float(level.get(name, 0.0)) for name in names]
    else:
        found = [float(level)] * len(names)
    if not all(0 <= value <= most and value < float("inf") for value in found):
        raise ValueError(f"{what} must be from 0 to {most}, got {level}")
    return found
