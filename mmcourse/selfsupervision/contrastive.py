"""InfoNCE: find your own partner among many, by a softmax over similarities.

The one contrastive loss of the course; SimCLR and CLIP are two ways to call it. With several
processes (`accelerate launch`, `torchrun`) every one meets the vectors of all, and value and
gradient are those of one process that has the whole batch. Without `torch.distributed` nothing
is gathered.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

VECTORS = Float[Tensor, "rows d"]
LOSS = Float[Tensor, ""]


def num_ranks() -> int:
    """How many processes train together; 1 without `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Gather(torch.autograd.Function):
    """Rows of all ranks; backwards, the sum of what all ranks want of my rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.start, ctx.rows = sum(sizes[:rank]), sizes[rank]
        padded = x.new_zeros(max(sizes), *x.shape[1:])  # collectives want equal shapes
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.rows], None, None


def gather(x: Float[Tensor, "rows *rest"]) -> tuple[Float[Tensor, "everyone *rest"], int]:
    """The rows of all ranks in the order of the ranks, with gradients.

    Args:
        x: this rank's rows; ranks may have different numbers of them, at least one each.

    Returns:
        all rows, and the place of this rank's first row among them; with one process `x`, 0.
    """
    ranks = num_ranks()
    if ranks == 1:
        return x, 0
    counts = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(ranks)]
    dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
    sizes, rank = [int(count) for count in counts], dist.get_rank()
    return _Gather.apply(x, sizes, rank), sum(sizes[:rank])  # pyright: ignore


def mean_over_ranks(loss: LOSS, rows: int) -> LOSS:
    """The mean over the rows of all ranks, from each rank's mean over its own.

    DistributedDataParallel averages the gradients of the ranks. A rank that has `rows` of all M
    rows therefore weighs its mean by ranks · rows / M: the average is then the gradient of the
    whole. The value is the same on every rank.
    """
    ranks = num_ranks()
    if ranks == 1:
        return loss
    sums = torch.stack([loss.detach() * rows, loss.new_tensor(rows)])
    dist.all_reduce(sums)
    mine = loss * (ranks * rows / sums[1])
    return mine + (sums[0] / sums[1] - mine.detach())


def _check(queries: Tensor, keys: Tensor) -> None:
    if queries.ndim != 2 or keys.ndim != 2 or queries.shape[1] != keys.shape[1]:
        shapes = f"{tuple(queries.shape)} and {tuple(keys.shape)}"
        raise ValueError(f"queries and keys must be (rows, d) of the same d, got {shapes}")
    if not len(queries) or not len(keys):
        raise ValueError(f"need at least one query and one key, got {len(queries)}, {len(keys)}")
    if not queries.is_floating_point() or not keys.is_floating_point():
        raise ValueError(f"queries and keys must be float, got {queries.dtype}, {keys.dtype}")


def _logits(queries: Tensor, keys: Tensor, scale: float | Tensor) -> Tensor:
    """scale · q·k in at least float32, also where autocast would take bfloat16."""
    wide = torch.promote_types(torch.promote_types(queries.dtype, keys.dtype), torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        return (queries.to(wide) * scale) @ keys.to(wide).T


def info_nce(
    queries: VECTORS,
    keys: Float[Tensor, "columns d"],
    positive: Int[Tensor, "rows"],
    *,
    scale: float | Float[Tensor, ""] = 1.0,
    exclude: Int[Tensor, "rows"] | None = None,
) -> LOSS:
    """How surprising each query's partner is among all keys, on average.

    ℓ_i = −log [ exp(s q_i·k_{p(i)}) / Σ_{j ≠ e(i)} exp(s q_i·k_j) ]

    Args:
        queries: this rank's queries; unit vectors make q·k the cosine.
        keys: all keys to choose from, those of other ranks too: what `gather` returns.
        positive: the column p(i) of each query's partner.
        scale: s, the inverse of the temperature; a tensor may be learned.
        exclude: the column e(i) that a query may not choose, as itself; None for none.

    Returns:
        The mean over the queries of all ranks, in nats; at least float32. A query that has
        nothing but its partner to choose from has loss 0.

    Raises:
        ValueError: no vectors, vectors of different lengths, or not one partner a query.

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4, with a dot product as score.
    """
    _check(queries, keys)
    if positive.shape != queries.shape[:1]:
        wanted = len(queries)
        raise ValueError(f"need a partner for each of {wanted} queries, got {len(positive)}")
    logits = _logits(queries, keys, scale)
    if exclude is not None:
        logits.scatter_(1, exclude[:, None], -torch.inf)
    return mean_over_ranks(F.cross_entropy(logits, positive), len(queries))


def symmetric_info_nce(
    first: VECTORS, second: VECTORS, scale: float | Float[Tensor, ""] = 1.0
) -> LOSS:
    """InfoNCE of pairs, asked both ways: row i of one set belongs to row i of the other.

    L = ½ [ info_nce(first, all of second) + info_nce(second, all of first) ]

    Args:
        first, second: this rank's pairs, (rows, d); they are gathered here.
        scale: the inverse of the temperature; a tensor may be learned.

    Returns:
        The mean over the pairs of all ranks, in nats.

    Raises:
        ValueError: no pairs, or sets of different shapes.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
    """
    _check(first, second)
    if len(first) != len(second):
        raise ValueError(f"every row needs a partner, got {len(first)} and {len(second)} rows")
    if num_ranks() == 1:  # one product serves both ways
        logits = _logits(first, second, scale)
        everything = (logits.logsumexp(dim=1) + logits.logsumexp(dim=0)) / 2
        return (everything - logits.diagonal()).mean()
    all_first, start = gather(first)
    all_second, _ = gather(second)
    own = torch.arange(len(first), device=first.device)
    forth = info_nce(first, all_second, own + start, scale=scale)
    return (forth + info_nce(second, all_first, own + start, scale=scale)) / 2
