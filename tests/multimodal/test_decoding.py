"""Greedy decoding and beam search against slow loops and against all sentences there are."""

import math

import pytest
import torch
from helpers import randomise, rejects
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mmcourse.transformers import Transformer, beam_search, greedy_search

PAD, START, END = 0, 1, 2


def model(seed: int = 0, vocab: int = 6, end: float = 2.0, **options) -> Transformer:
    """A random model that likes to end a sentence the more, the larger `end` is."""
    sizes = {"embed_dim": 16, "num_heads": 2, "encoder_layers": 1, "decoder_layers": 2}
    sizes |= {"hidden_dim": 24, "max_length": 10, "output_bias": True, **options}
    network = randomise(Transformer(8, vocab, **sizes), seed, scale=0.4).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data += 1
    network.output_bias.data[END] = end
    return network  # type: ignore[return-value]


def sources(count: int, length: int = 6, seed: int = 0) -> torch.Tensor:
    ids = torch.randint(3, 8, (count, length), generator=torch.Generator().manual_seed(seed))
    for row, number in enumerate(torch.arange(count) % length):
        ids[row, length - int(number) :] = PAD  # sentences of different lengths
    return ids


@torch.no_grad()
def log_probs(network: Transformer, source: torch.Tensor, sentence: list[int]) -> torch.Tensor:
    """log p of every next token after a beginning, for one source, from scratch."""
    ids = source[source != PAD][None]
    logits = network(ids, torch.tensor([[START, *sentence]]))
    return logits[0, -1].log_softmax(-1)


def slow_greedy(network: Transformer, source: torch.Tensor, longest: int) -> list[int]:
    sentence: list[int] = []
    while len(sentence) < longest and END not in sentence:
        scores = log_probs(network, source, sentence)
        scores[PAD] = -torch.inf
        sentence.append(int(scores.argmax()))
    return sentence


@pytest.mark.parametrize("norm_first", [False, True])
def test_greedy_equals_the_slow_loop(norm_first) -> None:
    """No batch, no cache, no padding: the same words, for sentences that end at many lengths."""
    lengths = set()
    for seed in range(3):
        network, source = model(seed, norm_first=norm_first), sources(8, seed=seed)
        found = network.greedy(source, max_length=9)
        for row, ids in zip(found.tolist(), source, strict=True):
            expected = slow_greedy(network, ids, 9)
            assert row == expected + [PAD] * (len(row) - len(expected))
            lengths.add(len(expected))
        assert found.shape[1] == max(int((row != PAD).sum()) for row in found)
    assert len(lengths) > 2


def test_a_step_equals_the_whole_pass() -> None:
    """The cache gives what a pass over all tokens gives, whichever rows are continued."""
    from mmcourse.transformers.decoder import Stepper

    network, source = model(), sources(3)
    step = Stepper(network, source, source != PAD)
    rows, sentences = torch.tensor([0, 1, 2]), [[], [], []]
    last, parents = torch.full((3,), START), rows
    for chosen in ([2, 0, 0, 1], [3, 3, 1], [0]):
        scores = step(last, parents)
        for row, sentence, found in zip(rows, sentences, scores, strict=True):
            expected = log_probs(network, source[row], sentence)
            assert_close(found[1:], expected[1:], rtol=1e-4, atol=1e-4)
            assert found[PAD] == -torch.inf
        parents = torch.tensor(chosen)
        last = torch.arange(len(chosen)) % 3 + 3
        rows = rows[parents]
        sentences = [[*sentences[i], int(word)] for i, word in zip(chosen, last, strict=True)]


def all_log_probs(network, source, words: list[int], longest: int) -> dict[tuple, float]:
    """log P of every sentence that ends within so many tokens."""
    totals, beginnings = {}, {(): 0.0}
    for _ in range(longest):
        longer = {}
        for beginning, total in beginnings.items():
            scores = log_probs(network, source, list(beginning)).tolist()
            totals[*beginning, END] = total + scores[END]
            longer |= {(*beginning, word): total + scores[word] for word in words}
        beginnings = longer
    return totals


def lp(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


def test_a_beam_as_wide_as_everything_finds_the_best_sentence() -> None:
    """Brute force: all sentences of up to four tokens over a vocabulary of three words."""
    winners = set()
    for seed in range(2):
        network, source = model(seed, vocab=5, end=-2.0), sources(4, seed=seed)
        every = [all_log_probs(network, ids, [START, 3, 4], 4) for ids in source]
        for alpha in (0.0, 0.6, 2.0):
            found, score = network.beam_search(
                source, beam=108, length_penalty=alpha, max_length=4, return_scores=True
            )
            for row, value, totals in zip(found, score, every, strict=True):
                best, sentence = max((v / lp(len(s), alpha), s) for s, v in totals.items())
                assert value.item() == pytest.approx(best, abs=1e-4)
                assert tuple(row[row != PAD].tolist()) == sentence
                winners.add(len(sentence))
    assert len(winners) > 2


def test_the_penalty_decides_between_short_and_long() -> None:
    """By hand: a short sentence of log P −1.0 and a long one of −1.3."""

    def table(written: tuple[int, ...]) -> dict[int, float]:
        if not written:
            return {END: -1.0, 3: -0.5}
        return {END: -0.8} if len(written) == 4 else {3: 0.0}

    def next_log_probs(tokens, parents):
        state[:] = [(*state[p], int(t)) for p, t in zip(parents, tokens, strict=True)]
        scores = torch.full((len(state), 4), -torch.inf)
        for row, written in enumerate(state):
            for token, value in table(written[1:]).items():
                scores[row, token] = value
        return scores

    limits = {"start_id": START, "end_id": END, "pad_id": PAD, "max_length": 8}
    for alpha, expected in ((0.0, [END]), (1.0, [3, 3, 3, 3, END])):
        state = [()]
        found, score = beam_search(next_log_probs, 1, beam=2, length_penalty=alpha, **limits)
        assert found[0].tolist() == expected
        total = -1.0 if len(expected) == 1 else -1.3
        assert score.item() == pytest.approx(total / lp(len(expected), alpha))
    # Greedy takes the likelier first word and never looks back.
    state = [()]
    found = greedy_search(next_log_probs, 1, **limits)
    assert found[0].tolist() == [3, 3, 3, 3, END]


def test_beam_finds_what_greedy_misses() -> None:
    """0.6 · 0.5 < 0.4 · 0.9: the likeliest first word leads to a worse sentence."""
    chances = {(): {3: 0.6, 4: 0.4}, (3,): {3: 0.5, 4: 0.5}, (4,): {3: 0.9, 4: 0.1}}

    def next_log_probs(tokens, parents):
        state[:] = [(*state[p], int(t)) for p, t in zip(parents, tokens, strict=True)]
        rows = [[chances.get(s[1:], {END: 1.0}).get(k, 0.0) for k in range(5)] for s in state]
        return torch.tensor(rows).log()

    limits = {"start_id": START, "end_id": END, "pad_id": PAD, "max_length": 5}
    state = [()]
    assert greedy_search(next_log_probs, 1, **limits)[0, :2].tolist() == [3, 3]
    state = [()]
    found, score = beam_search(next_log_probs, 1, beam=2, **limits)
    assert found[0].tolist() == [4, 3, END]
    assert score.item() == pytest.approx(math.log(0.36) / lp(3, 0.6), abs=1e-5)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.sampled_from([0.0, 0.6, 3.0]))
def test_a_beam_of_one_is_greedy(seed, longest, alpha) -> None:
    network, source = model(seed), sources(5, seed=seed)
    greedy = network.greedy(source, max_length=longest)
    beam = network.beam_search(source, beam=1, length_penalty=alpha, max_length=longest)
    assert torch.equal(greedy, beam)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_a_batch_is_its_sentences_one_by_one(seed, beam) -> None:
    network, source = model(seed), sources(4, seed=seed)
    together, scores = network.beam_search(source, beam=beam, return_scores=True)
    for row, score, ids in zip(together, scores, source, strict=True):
        alone, value = network.beam_search(ids[None], beam=beam, return_scores=True)
        assert torch.equal(row[: alone.shape[1]], alone[0])
        assert not row[alone.shape[1] :].any()
        assert_close(score, value[0], rtol=1e-4, atol=1e-4)


def test_what_never_ends_is_cut_off() -> None:
    limits = {"start_id": START, "end_id": END, "pad_id": PAD, "max_length": 5}

    def no_end(tokens, parents):
        return torch.tensor([-torch.inf, -torch.inf, -torch.inf, -0.1, -3.0]).expand(len(tokens), 5)

    assert greedy_search(no_end, 2, **limits).tolist() == [[3] * 5] * 2
    found, score = beam_search(no_end, 2, beam=3, **limits)
    assert found.tolist() == [[3] * 5] * 2
    assert_close(score, torch.full((2,), -0.5 / lp(5, 0.6)))
    network = model(end=-1e4)
    assert network.greedy(sources(2)).shape == network.beam_search(sources(2)).shape == (2, 10)


def test_bad_arguments() -> None:
    limits = {"start_id": START, "end_id": END, "pad_id": PAD}
    for batch, longest in ((0, 5), (2, 0)):
        with rejects(f"batch and max_length must be at least 1, got {batch} and {longest}"):
            greedy_search(lambda *_: torch.zeros(1, 3), batch, max_length=longest, **limits)
        with rejects(f"batch and max_length must be at least 1, got {batch} and {longest}"):
            beam_search(lambda *_: torch.zeros(1, 3), batch, max_length=longest, **limits)
    for penalty in (-0.1, math.inf, math.nan):
        with rejects("length_penalty ≥ 0"):
            beam_search(
                lambda *_: torch.zeros(1, 3), 1, length_penalty=penalty, max_length=3, **limits
            )
