"""From logits to text: temperature, top-k, top-p, and the loop that appends token after token."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

LOGITS = Float[Tensor, "*batch vocab"]


def scale_by_temperature(logits: LOGITS, temperature: float) -> LOGITS:
    """Divide the logits by the temperature: below 1 sharper, above 1 flatter.

    p_i ∝ exp(logit_i / T) = (exp logit_i)^(1/T)

    Raises:
        ValueError: if the temperature is not positive.

    Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531, equation 1.
    """
    if not 0.0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
    return logits / temperature


def keep_top_k(logits: LOGITS, k: int) -> LOGITS:
    """Set all logits below the k-th largest to −∞; ties with it stay.

    Args:
        logits: (…, vocab).
        k: at least 1; more than there are tokens keeps all.

    Raises:
        ValueError: if k is below 1.

    Source: Fan et al. 2018, arXiv:1805.04833, §5.1.
    """
    if k < 1:
        raise ValueError(f"top_k must be at least 1, got {k}")
    lowest = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < lowest, float("-inf"))


def keep_top_p(logits: LOGITS, p: float) -> LOGITS:
    """Keep the fewest tokens that together have probability p; set the others to −∞.

    Counted from below: a token goes if it and all less likely ones together have at most
    1 − p. The likeliest token always stays.

    Args:
        logits: (…, vocab).
        p: in (0, 1].

    Raises:
        ValueError: for p outside (0, 1].

    Source: Holtzman et al. 2020, arXiv:1904.09751, §3.1 ("nucleus sampling").
    """
    if not 0.0 < p <= 1.0:
        raise ValueError(f"top_p must be in (0, 1], got {p}")
    rising, order = logits.sort(dim=-1)
    tail = rising.softmax(dim=-1).cumsum(dim=-1)
    cut = tail <= 1.0 - p
    cut[..., -1] = False
    # back to the vocabulary's order
    return logits.masked_fill(torch.zeros_like(cut).scatter(-1, order, cut), float("-inf"))


def next_token_probabilities(
    logits: LOGITS,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> LOGITS:
    """Probabilities of the next token: temperature, then top-k, then top-p, then softmax.

    Args:
        logits: (…, vocab); −∞ forbids a token.
        temperature: 0 puts all probability on the (first) largest logit.
        top_k: how many tokens may be drawn; None for all.
        top_p: in (0, 1]: how much probability they hold together; None for all.

    Raises:
        ValueError: for a negative temperature, top_k below 1, top_p outside (0, 1], or logits
            that are not numbers (NaN, +∞, or nothing but −∞).
    """
    largest, first = _largest(logits)
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, first, 1.0)
    # Subtracting the largest changes nothing but keeps tiny temperatures from overflowing.
    scores = scale_by_temperature(logits - largest, temperature)
    if top_k is not None:
        scores = keep_top_k(scores, top_k)
    if top_p is not None:
        scores = keep_top_p(scores, top_p)
    return scores.softmax(dim=-1)


def sample_token(
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch"]:
    """Draw a token for each row, or take the likeliest at temperature 0.

    Raises:
        ValueError: see `next_token_probabilities`.
    """
    _check_options(temperature, top_k, top_p)
    if temperature == 0:
        return _largest(logits)[1][:, 0]
    p = next_token_probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return p.multinomial(1, generator=generator)[:, 0]


def generate(
    model: Any,
    input_ids: Int[Tensor, "batch tokens"],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    stop: int | None = None,
) -> Int[Tensor, "batch longer"]:
    """Append one token after another to every row.

    Args:
        model: a `GPT`.
        input_ids: the prompts, (batch, tokens), all of one length.
        max_new_tokens: how many tokens to append at most.
        temperature, top_k, top_p: see `next_token_probabilities`; temperature 0 is greedy.
        generator: source of randomness; None takes PyTorch's global one.
        use_cache: keep keys and values instead of computing them anew. The tokens are the same.
        stop: a row that has produced this token goes on with it alone, and all ends when every
            row has.

    Returns:
        (batch, tokens + new tokens): the prompts and what follows them.

    Raises:
        ValueError: for ids that `GPT` refuses, prompt and new tokens that exceed its positions,
            or options that `sample_token` refuses.
    """
    _check_length(model, input_ids, max_new_tokens, stop)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
    _check_options(temperature, top_k, top_p)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        ids = continue_prompt(model, input_ids, max_new_tokens, options, use_cache, stop)
    model.train(was_training)
    return ids.clone()  # an ordinary tensor again, which may also be trained on


def continue_prompt(
    model: Any,
    prompt: Int[Tensor, "batch tokens"],
    new: int,
    options: dict[str, Any],
    use_cache: bool,
    stop: int | None,
) -> Int[Tensor, "batch longer"]:
    """The loop of `generate`, which checks what goes in: the prompt and up to `new` tokens."""
    length, total = prompt.shape[1], prompt.shape[1] + new
    ids = torch.cat([prompt, prompt.new_zeros(len(prompt), new)], dim=1)
    caches = model.new_caches(total) if use_cache else None
    done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    start = 0
    for end in range(length, total):
        hidden = model.stack(model.tokens(ids[:, start:end]), caches)
        chosen = sample_token(model.logits(hidden[:, -1]), **options)
        ids[:, end] = chosen if stop is None else chosen.masked_fill(done, stop)
        start = end if use_cache else 0  # with a cache, only the newest token goes in
        if stop is not None:
            done |= ids[:, end] == stop
            if bool(done.all()):
                return ids[:, : end + 1]
    return ids


def _largest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The largest logit of each row and its (first) place, both (…, 1)."""
    if not logits.is_floating_point() or logits.ndim < 1 or 0 in logits.shape:
        raise ValueError(f"logits must be (…, vocab) numbers, got {logits.dtype}, {logits.shape}")
    largest, place = logits.max(dim=-1, keepdim=True)
    if not bool(largest.isfinite().all()):
        raise ValueError("every row of logits must have a finite largest value, got NaN or ±∞")
    return largest, place


def _check_length(model: Any, ids: Tensor, new: int, stop: int | None) -> None:
    if ids.ndim != 2 or ids.shape[1] < 1:
        raise ValueError(f"a prompt needs at least one token, got ids of shape {tuple(ids.shape)}")
    if new < 1 or ids.shape[1] + new > model.max_positions:
        raise ValueError(
            f"need max_new_tokens ≥ 1 and prompt + new tokens ≤ {model.max_positions} positions, "
            f"got {ids.shape[1]} + {new}"
        )
    if stop is not None and not 0 <= stop < model.vocab_size:
        raise ValueError(f"stop must be from 0 to {model.vocab_size - 1}, got {stop}")
    model.check_ids(ids)


def _check_options(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not 0.0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
