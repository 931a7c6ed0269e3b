"""The sampler against transformers' logits warpers; the loop against its generate."""

import warnings

import pytest
import torch
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from mmcourse.transformers import (
    GPT,
    KeyValueCache,
    MultiHeadAttention,
    TransformerBlock,
    causal_mask,
    keep_top_k,
    keep_top_p,
    next_token_probabilities,
    sample_token,
    scale_by_temperature,
)

VOCAB = 31


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=source(seed)) * 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[GPT, GPT2LMHeadModel]:
    """Ours, read from what theirs has saved; sharp enough that tokens differ."""
    sizes = {"vocab_size": VOCAB, "n_positions": 40, "n_embd": 24, "n_layer": 3, "n_head": 4}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    theirs = randomise(GPT2LMHeadModel(GPT2Config(**sizes, **ends)), scale=0.4).eval()
    folder = tmp_path_factory.mktemp("gpt2")
    theirs.save_pretrained(folder)
    return GPT.from_pretrained(folder), theirs


def prompts(batch: int = 3, length: int = 5) -> torch.Tensor:
    return torch.randint(VOCAB, (batch, length), generator=source(1))


# ---- temperature, top-k, top-p ----


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.5])
def test_temperature_equals_transformers(temperature):
    logits = draw(4, VOCAB)
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    assert_close(scale_by_temperature(logits, temperature), expected, rtol=0, atol=0)


@pytest.mark.parametrize("k", [1, 2, 7, VOCAB, 1000])
def test_top_k_equals_transformers(k):
    logits = draw(4, VOCAB)
    logits[:, 5:9] = logits[:, 4:5]  # five equal ones
    logits[0, 3:9] = 20.0
    expected = TopKLogitsWarper(k)(None, logits)
    assert_close(keep_top_k(logits, k), expected, rtol=0, atol=0)


def test_top_k_keeps_ties():
    logits = torch.tensor([[1.0, 3.0, 2.0, 2.0, 2.0]])
    kept = keep_top_k(logits, 2).isfinite()
    assert kept.tolist() == [[False, True, True, True, True]]
    # Whoever takes exactly k by their places drops two of the three equals.
    places = logits.topk(2).indices
    assert not torch.equal(kept, torch.zeros_like(kept).scatter(-1, places, True))


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_top_p_equals_transformers(p):
    logits = draw(6, VOCAB)
    logits[0, 5:9] = logits[0].max()
    expected = TopPLogitsWarper(p)(None, logits)
    assert_close(keep_top_p(logits, p), expected, rtol=0, atol=0)


def test_top_p_at_the_boundary():
    # Quarters are exact in floating point: the sums 1/4, 1/2, 3/4 hit p itself.
    logits = torch.zeros(1, 4)
    for p, count in ((0.25, 1), (0.26, 2), (0.5, 2), (0.75, 3), (0.76, 4), (1.0, 4)):
        kept = keep_top_p(logits, p).isfinite()
        assert kept.sum() == count, p
        assert torch.equal(kept, TopPLogitsWarper(p)(None, logits).isfinite())
    # Dropping the token that crosses p, a common slip, would leave too little.
    logits = torch.tensor([[0.6, 0.3, 0.1]]).log()
    assert keep_top_p(logits, 0.8).isfinite().tolist() == [[True, True, False]]


@given(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=20),
    st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_top_p_keeps_enough_and_no_more(values, p):
    logits = torch.tensor([values])
    probabilities = logits.double().softmax(-1)
    kept = keep_top_p(logits, p).isfinite()
    total = probabilities[kept].sum().item()
    assert total >= p - 1e-5, "together they have p"
    least = probabilities[kept].min().item()
    assert total - least < p + 1e-5, "and one fewer would not"
    assert least >= probabilities[~kept].max().item() - 1e-7 if (~kept).any() else True


def test_the_order_is_temperature_then_top_k_then_top_p():
    logits = draw(8, VOCAB, seed=4)
    ours = next_token_probabilities(logits, temperature=1.7, top_k=9, top_p=0.8)
    warm, few, nucleus = TemperatureLogitsWarper(1.7), TopKLogitsWarper(9), TopPLogitsWarper(0.8)
    expected = nucleus(None, few(None, warm(None, logits))).softmax(-1)
    assert_close(ours, expected)
    for wrong in (
        warm(None, nucleus(None, few(None, logits))),  # temperature last
        few(None, nucleus(None, warm(None, logits))),  # top-p before top-k
    ):
        assert not torch.allclose(ours, wrong.softmax(-1), atol=1e-3)


def test_temperature_zero_is_greedy_and_tiny_ones_do_not_overflow():
    logits = draw(5, VOCAB)
    best = logits.argmax(-1)
    assert torch.equal(sample_token(logits, temperature=0), best)
    certain = next_token_probabilities(logits, temperature=0)
    assert torch.equal(certain, torch.eye(VOCAB)[best])
    cold = next_token_probabilities(100 * logits, temperature=1e-38)
    assert_close(cold, certain)
    ties = torch.zeros(2, VOCAB)
    assert sample_token(ties, temperature=0).tolist() == [0, 0]


def test_draws_follow_the_probabilities():
    logits = draw(1, 6, seed=2).expand(20_000, 6)
    options = {"temperature": 1.5, "top_k": 4, "top_p": 0.95}
    drawn = sample_token(logits, **options, generator=source(3))
    shares = drawn.bincount(minlength=6) / len(drawn)
    expected = next_token_probabilities(logits[0], **options)
    assert_close(shares, expected, atol=0.012, rtol=0)
    assert (shares[expected == 0] == 0).all()


def test_forbidden_tokens_stay_forbidden():
    logits = draw(2, 8)
    logits[:, 3] = float("-inf")
    for options in ({}, {"top_k": 8}, {"top_p": 1.0}, {"temperature": 1e-3}):
        p = next_token_probabilities(logits, **options)
        assert (p[:, 3] == 0).all()
        assert_close(p.sum(-1), torch.ones(2))


# ---- the cache ----


def test_a_cached_block_equals_the_whole(pair):
    block = randomise(TransformerBlock(12, 3, norm_first=True))
    x = draw(2, 7, 12)
    whole = block(x, causal_mask(7))
    cache, parts = KeyValueCache(7), []
    for start, end in ((0, 3), (3, 4), (4, 7)):  # several at once, one, several
        mask = causal_mask(end - start, end)
        parts.append(block(x[:, start:end], mask, cache=cache))
    assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-5)
    # A mask aligned at the top left would hide what is in the cache.
    late = KeyValueCache(7)
    block(x[:, :3], causal_mask(3), cache=late)
    wrong = torch.ones(4, 7, dtype=torch.bool).tril()
    assert not torch.allclose(block(x[:, 3:], wrong, cache=late), whole[:, 3:], atol=1e-2)


def test_weights_of_a_cached_layer():
    layer = randomise(MultiHeadAttention(8, 2))
    x, cache = draw(1, 5, 8), KeyValueCache(5)
    _, weights = layer(x, mask=causal_mask(5), return_weights=True)
    layer(x[:, :4], mask=causal_mask(4), cache=cache)
    _, last = layer(x[:, 4:], return_weights=True, cache=cache)
    assert_close(last, weights[:, :, 4:])


def test_the_cache_refuses_what_does_not_fit():
    with rejects("max_tokens must be at least 1, got 0"):
        KeyValueCache(0)
    cache, x = KeyValueCache(4), draw(2, 3, 3, 5)
    cache.extend(x, x)
    with rejects("room for 4 tokens, got 6"):
        cache.extend(x, x)
    with rejects(r"the cache holds .*\(2, 3, 4, 5\), got keys \(1, 3, 1, 5\)"):
        cache.extend(x[:1, :, :1], x[:1, :, :1])


# ---- the loop ----


def test_greedy_equals_transformers(pair):
    ours, theirs = pair
    ids = prompts()
    expected = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=35, do_sample=False
    )
    assert len(expected[0].unique()) > 3, "the model must say something"
    for use_cache in (True, False):
        assert torch.equal(ours.generate(ids, 35, temperature=0, use_cache=use_cache), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0},
        {"temperature": 0.6},
        {"temperature": 1.5, "top_k": 5},
        {"temperature": 1.2, "top_p": 0.7},
        {"temperature": 2.0, "top_k": 12, "top_p": 0.9},
    ],
)
def test_draws_equal_transformers(pair, options):
    """The same numbers from the same seed: theirs takes them from torch's global source."""
    ours, theirs = pair
    ids = prompts()
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=30,
            do_sample=True,
            **{"top_k": 0, "top_p": 1.0, **options},
        )
    for use_cache in (True, False):
        drawn = ours.generate(ids, 30, **options, generator=source(7), use_cache=use_cache)
        assert torch.equal(drawn, expected)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 8), st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_the_cache_changes_no_token(seed, batch, length, new):
    torch.manual_seed(seed)
    model = GPT(13, max_positions=28, embed_dim=16, depth=2, num_heads=2, init_std=0.5)
    ids = torch.randint(13, (batch, length), generator=source(seed))
    runs = [
        model.generate(ids, new, temperature=1.3, generator=source(seed), use_cache=flag)
        for flag in (True, False)
    ]
    assert torch.equal(*runs)
    assert torch.equal(runs[0][:, :length], ids)
    assert runs[0].shape == (batch, length + new)


def test_a_row_does_not_see_its_neighbours(pair):
    ours, _ = pair
    ids = prompts(4)
    together = ours.generate(ids, 20, temperature=0)
    for row in range(4):
        assert torch.equal(ours.generate(ids[row : row + 1], 20, temperature=0)[0], together[row])


def test_stop_ends_a_row_and_then_all(pair):
    ours, _ = pair
    ids = prompts()
    free = ours.generate(ids, 30, temperature=0)
    stop = free[0, 12].item()
    held = ours.generate(ids, 30, temperature=0, stop=stop)
    for row, whole in zip(held, free, strict=True):
        ends = (whole[5:] == stop).nonzero()
        first = 5 + ends[0].item() if len(ends) else len(whole)
        assert torch.equal(row[: first + 1], whole[: len(row)][: first + 1])
        assert (row[first + 1 :] == stop).all()
    one = ours.generate(ids[:1], 30, temperature=0, stop=stop)
    assert one.shape[1] <= 13
    assert one[0, -1] == stop


def test_it_leaves_the_model_as_it_was_and_ignores_dropout():
    torch.manual_seed(0)
    model = GPT(9, max_positions=20, embed_dim=16, depth=1, num_heads=2, dropout=0.5)
    ids = prompts() % 9
    first = model.generate(ids, 10, temperature=0)
    assert model.training
    assert torch.equal(first, model.generate(ids, 10, temperature=0))
    model(first).sum().backward()  # the tokens are ordinary ones: they can be trained on


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.5}, r"top_p must be in \(0, 1\], got 1.5"),
        ({"temperature": -1.0}, "temperature must be at least 0 and finite, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be at least 0"),
        ({"temperature": float("inf")}, "temperature must be at least 0"),
        ({"stop": VOCAB}, "stop must be from 0 to 30, got 31"),
    ],
)
def test_bad_options(pair, options, message):
    with rejects(message):
        pair[0].generate(prompts(), 3, **{"generator": source(), **options})


@pytest.mark.parametrize(
    ("ids", "new", "message"),
    [
        (prompts(), 36, r"≤ 40 positions, got 5 \+ 36"),
        (prompts(), 0, r"max_new_tokens ≥ 1 .* got 5 \+ 0"),
        (prompts()[:, :0], 3, "at least one token"),
        (prompts()[:0], 3, "batch ≥ 1"),
        (prompts() + VOCAB, 3, "ids must be from 0 to 30"),
        (prompts() - VOCAB, 3, "ids must be from 0 to 30"),
    ],
)
def test_bad_prompts(pair, ids, new, message):
    with rejects(message):
        pair[0].generate(ids, new, temperature=0)


def test_bad_logits_and_limits():
    nan, low = float("nan"), float("-inf")
    plain = unchecked("mmcourse.transformers.generation")
    for bad in ([nan, 1.0], [low, low], [float("inf"), 0.0]):
        with rejects("finite largest value"):
            next_token_probabilities(torch.tensor([bad]))
        with rejects("finite largest value"):
            sample_token(torch.tensor([bad]), temperature=0)
    with rejects(r"logits must be .* got torch.int64"):
        plain.next_token_probabilities(torch.tensor([[1, 2]]))
    with pytest.raises(BadInput):
        next_token_probabilities(torch.tensor([[1, 2]]))
    with rejects("temperature must be positive and finite, got 0"):
        scale_by_temperature(torch.zeros(1, 2), 0.0)
    with rejects("top_k must be at least 1, got -3"):
        keep_top_k(torch.zeros(1, 2), -3)
    with rejects(r"top_p must be in \(0, 1\], got 0"):
        keep_top_p(torch.zeros(1, 2), 0.0)


def test_without_a_generator_the_global_one_draws() -> None:
    logits = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    first = sample_token(logits)
    torch.manual_seed(3)
    assert torch.equal(sample_token(logits), first)
    assert not torch.equal(sample_token(logits), first)
