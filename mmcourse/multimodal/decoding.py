"""From a model of the next token to a whole sentence: greedy decoding and beam search.

Both ask one function for the next token's log-probabilities and know nothing of the model
behind it: ``next_log_probs(tokens, parents)``, with the newest token of each row, and the row
of the previous call that each row continues. The first call has one row a sentence.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NextLogProbs = Callable[[Tensor, Tensor], Tensor]
SLOTS = Float[Tensor, "batch beam"]


def greedy_search(
    next_log_probs: NextLogProbs,
    batch: int,
    *,
    start_id: int,
    end_id: int,
    pad_id: int,
    max_length: int,
    device: torch.device | str | None = None,
) -> Int[Tensor, "batch length"]:
    """Take the likeliest token, again and again, until it is the end token.

    Args:
        next_log_probs: see the top of this module.
        batch: number of sentences.
        start_id: the token before the first one; not part of the output.
        end_id: ends a sentence, and is part of it.
        pad_id: fills up the sentences that ended earlier.
        max_length: a sentence is cut off after so many tokens.

    Returns:
        (batch, length) with length ≤ max_length.

    Raises:
        ValueError: if `batch` or `max_length` is below 1.
    """
    _check(batch, max_length)
    output = torch.full((batch, max_length), pad_id, device=device)
    live = parents = torch.arange(batch, device=device)  # the sentences that go on
    last = torch.full((batch,), start_id, device=device)
    for position in range(max_length):
        best = next_log_probs(last, parents).argmax(dim=-1)
        output[live, position] = best
        parents = (best != end_id).nonzero().squeeze(1)
        live, last = live[parents], best[parents]
        if not len(live):
            return output[:, : position + 1]
    return output


def beam_search(
    next_log_probs: NextLogProbs,
    batch: int,
    *,
    beam: int = 4,
    length_penalty: float = 0.6,
    start_id: int,
    end_id: int,
    pad_id: int,
    max_length: int,
    device: torch.device | str | None = None,
) -> tuple[Int[Tensor, "batch length"], Float[Tensor, "batch"]]:
    """Keep the `beam` likeliest beginnings at every step; return the best ended sentence.

    score(y) = log P(y) / lp(|y|),  lp(n) = ((5 + n) / 6)^length_penalty

    Of all continuations of the kept beginnings the `beam` likeliest are kept. Those that end
    are set aside; the search stops when no beginning can win against them any more. A beam of
    1 is greedy decoding; one that holds all continuations finds the best sentence there is.

    Args:
        beam: beginnings kept for each sentence.
        length_penalty: 0 compares log-probabilities, which favours short sentences; 0.6 in
            the paper.
        next_log_probs, batch, start_id, end_id, pad_id, max_length: as in `greedy_search`.

    Returns:
        sentences (batch, length) and their scores (batch,). Where nothing ended within
        `max_length`, the best beginning.

    Raises:
        ValueError: if `batch`, `beam` or `max_length` is below 1, or `length_penalty` below 0.

    Source: Wu et al. 2016, arXiv:1609.08144, eq. 14 (without the coverage penalty); sizes:
    Vaswani et al. 2017, arXiv:1706.03762, §6.1.
    """
    _check(batch, max_length)
    if beam < 1 or not 0 <= length_penalty < torch.inf:
        raise ValueError(f"need beam ≥ 1 and length_penalty ≥ 0, got {beam} and {length_penalty}")

    def penalty(length: int) -> float:
        return ((5 + length) / 6) ** length_penalty

    rows = torch.arange(batch, device=device)[:, None]
    written = torch.full((batch, beam, max_length), pad_id, device=device)
    total = torch.full((batch, beam), -torch.inf, device=device)  # log P; −∞: no such beginning
    best, score = written[:, 0], total[:, 0].clone()  # of the ended sentences
    total[:, 0] = 0.0
    parents, last = rows[:, 0], torch.full((batch,), start_id, device=device)
    for length in range(1, max_length + 1):
        live = total > -torch.inf
        numbers = live.flatten().cumsum(0).reshape(batch, beam) - 1  # rows of the call below
        total, slots, tokens = best_continuations(total, live, next_log_probs(last, parents))
        written = written[rows, slots]
        written[:, :, length - 1] = tokens
        ended = total.masked_fill(tokens != end_id, -torch.inf)
        best, score = _better(best, score, written, ended / penalty(length))
        # log P only falls, so that no beginning can do better than log P / lp(max_length).
        hopeless = total / penalty(max_length) <= score[:, None]
        total = total.masked_fill((tokens == end_id) | hopeless, -torch.inf)
        going = total > -torch.inf
        if not going.any():
            break
        parents, last = numbers.gather(1, slots)[going], tokens[going]
    else:  # where nothing has ended, the best beginning
        cut = total.masked_fill(score[:, None] > -torch.inf, -torch.inf)
        best, score = _better(best, score, written, cut / penalty(max_length))
    return best[:, : _longest(best, end_id)], score


def _better(best: Tensor, score: Tensor, written: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best sentences so far and their scores, after a look at (batch, beam) new ones."""
    value, slot = scores.max(dim=1)
    rows = torch.arange(len(slot), device=slot.device)
    better = value > score
    best = torch.where(better[:, None], written[rows, slot], best)
    return best, torch.where(better, value, score)


def best_continuations(
    total: SLOTS, live: Bool[Tensor, "batch beam"], log_probs: Float[Tensor, "rows vocabulary"]
) -> tuple[SLOTS, Int[Tensor, "batch beam"], Int[Tensor, "batch beam"]]:
    """Of all continuations of a sentence's kept beginnings, as many as are kept: the likeliest.

    Args:
        total: log P of the beginning in each slot, (batch, beam).
        live: the slots that hold a beginning to be continued; True = yes.
        log_probs: those of the next token, one row for each live slot.

    Returns:
        log P, the slot that each continues, and its token; all (batch, beam), the likeliest first.
    """
    batch, beam = total.shape
    table = log_probs.new_full((batch, beam, log_probs.shape[-1]), -torch.inf)
    table[live] = total[live][:, None].to(log_probs) + log_probs
    values, index = table.flatten(1).topk(beam)  # sorted, the likeliest first
    return values, index // table.shape[-1], index % table.shape[-1]


def _longest(sentences: Tensor, end_id: int) -> int:
    """The length of the longest sentence, its end token included."""
    ended = sentences == end_id
    lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, sentences.shape[1])
    return int(lengths.max())


def _check(batch: int, max_length: int) -> None:
    if batch < 1 or max_length < 1:
        raise ValueError(f"batch and max_length must be at least 1, got {batch} and {max_length}")
