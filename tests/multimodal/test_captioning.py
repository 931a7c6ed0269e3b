"""Show, attend and tell: against the equations word by word, and against all captions there are."""

import itertools

import pytest
import torch
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmcourse.multimodal import ShowAttendTell, doubly_stochastic_penalty

plain = unchecked("mmcourse.multimodal.captioning")
PAD, START, END = 0, 1, 2
IDS = torch.tensor([[1, 5, 6, 2, 0], [1, 7, 3, 4, 2], [1, 5, 2, 0, 0]])


class Cells(nn.Module):
    """An encoder without weights: the pixels of a tiny picture are its annotations."""

    feature_dim = 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(2).transpose(1, 2)


def captioner(seed: int = 0, vocab: int = 8, **options) -> ShowAttendTell:  # type: ignore[no-untyped-def]
    sizes = {"embed_dim": 5, "width": 6, "attention_dim": 4, **options}
    model = ShowAttendTell(vocab, encoder=Cells(), **sizes)
    return randomise(model, seed, scale=0.7).eval()  # type: ignore[return-value]


def pictures(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def by_the_equations(model: ShowAttendTell, a: torch.Tensor, ids: list[int]):  # type: ignore[no-untyped-def]
    """One picture, one caption, one gate after another; a: (places, features)."""
    hidden, cell = model.first_hidden(a.mean(0)).tanh(), model.first_cell(a.mean(0)).tanh()
    lstm, logits, alphas, betas = model.lstm, [], [], []
    for word in ids[:-1]:
        attend = model.attention
        inside = [attend.from_place(place) + attend.from_state(hidden) for place in a]
        scores = torch.cat([attend.score(one.tanh()) for one in inside])
        alpha = scores.exp() / scores.exp().sum()
        beta = model.gate(hidden).sigmoid()[0] if model.gate is not None else torch.tensor(1.0)
        context = beta * sum(share * place for share, place in zip(alpha, a, strict=True))
        x = torch.cat([model.embedding.weight[word], context])
        gates = lstm.weight_ih @ x + lstm.bias_ih + lstm.weight_hh @ hidden + lstm.bias_hh
        i, f, g, o = gates.chunk(4)  # PyTorch's order
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        deep = model.embedding.weight[word] + model.from_hidden(hidden)
        logits.append(model.output((deep + model.from_context(context)).tanh()))
        alphas.append(alpha)
        betas.append(beta)
    return torch.stack(logits), torch.stack(alphas), torch.stack(betas)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), gated=st.booleans())
def test_it_is_the_equations(seed: int, gated: bool) -> None:
    model, images = captioner(seed, gated=gated), pictures(seed=seed)
    told = model(images, IDS)
    for n, ids in enumerate(IDS.tolist()):
        logits, alpha, beta = by_the_equations(model, images[n].flatten(1).T, ids)
        torch.testing.assert_close(told.logits[n], logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(told.weights[n], alpha, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(told.gates[n], beta, rtol=1e-4, atol=1e-5)


@settings(max_examples=10)
@given(place=st.integers(1, 4), seed=st.integers(0, 100))
def test_no_word_is_seen_before_its_turn(place: int, seed: int) -> None:
    model, changed = captioner(seed), IDS.clone()
    changed[:, place] = 3 + (changed[:, place] + 1) % 5
    before, after = model(pictures(), IDS), model(pictures(), changed)
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one[:, :place], two[:, :place])
    if place < 4:
        assert (before.logits - after.logits)[:, place:].abs().max() > 1e-4


def test_attention_of_the_new_state_would_be_seen() -> None:
    """α_t comes from h_{t−1}: where to look is decided before the word's LSTM step."""
    model = captioner()
    annotations = model.encoder(pictures())
    hidden, cell = model.first_state(annotations)
    told, new, _ = model.step(
        IDS[:, 0], hidden, cell, annotations, model.attention.keys(annotations)
    )
    before, after = (model.attention(annotations, h)[1] for h in (hidden, new))
    torch.testing.assert_close(told.weights[:, 0], before)
    assert not torch.allclose(told.weights[:, 0], after, atol=1e-3)


def test_the_loss_by_hand() -> None:
    model = captioner()
    told = model(pictures(), IDS)
    words = [(n, t) for n in range(3) for t in range(4) if IDS[n, t + 1] != PAD]
    surprise = -sum(told.logits[n, t].log_softmax(0)[IDS[n, t + 1]] for n, t in words) / len(words)
    torch.testing.assert_close(model.loss(told, IDS, penalty=0.0), surprise)
    extra = doubly_stochastic_penalty(told.weights, IDS[:, 1:] != PAD)
    torch.testing.assert_close(model.loss(told, IDS), surprise + extra)
    torch.testing.assert_close(model.loss(told, IDS, penalty=0.3), surprise + 0.3 * extra)
    longer = torch.cat([IDS, torch.full((3, 2), PAD)], dim=1)
    again = model.loss(model(pictures(), longer), longer)
    torch.testing.assert_close(again, model.loss(told, IDS))  # padding costs nothing


# ---- writing ----


@torch.no_grad()
def slow_greedy(model: ShowAttendTell, image: torch.Tensor, longest: int) -> list[int]:
    """From scratch for each word, by the equations."""
    sentence = [START]
    while len(sentence) <= longest and END not in sentence:
        logits, _, _ = by_the_equations(model, image.flatten(1).T, [*sentence, END])
        last = logits[-1].clone()
        last[[PAD, START]] = -torch.inf
        sentence.append(int(last.argmax()))
    return sentence


def score_all(model: ShowAttendTell, image: torch.Tensor, longest: int) -> dict[tuple, float]:
    """log p of every caption of up to `longest` tokens, its end included."""
    annotations, found = model.encoder(image[None]), {}
    kept = model.attention.keys(annotations)

    def go_on(words: tuple, total: float, hidden: torch.Tensor, cell: torch.Tensor) -> None:
        told, hidden, cell = model.step(torch.tensor(words[-1:]), hidden, cell, annotations, kept)
        scores = told.logits[0, 0].clone()
        scores[[PAD, START]] = -torch.inf
        scores = scores.log_softmax(0).tolist()
        for word in range(2, model.vocab_size):
            if word == END:
                found[*words, END] = total + scores[word]
            elif len(words) < longest:
                go_on((*words, word), total + scores[word], hidden, cell)

    with torch.no_grad():
        go_on((START,), 0.0, *model.first_state(annotations))
    return found


def test_greedy_equals_the_slow_loop() -> None:
    lengths = set()
    for seed in range(4):
        model, images = captioner(seed), pictures(5, seed)
        for row, image in zip(model.write(images, max_length=6).tolist(), images, strict=True):
            wanted = slow_greedy(model, image, 6)
            lengths.add(len(wanted))
            assert row == wanted + [PAD] * (len(row) - len(wanted))
    assert len(lengths) > 2


def test_a_wide_beam_finds_the_best_of_all_captions() -> None:
    """Three words and up to four tokens: 1 + 3 + 9 + 27 captions that end."""
    won = 0
    for seed in range(6):
        model, images = captioner(seed, vocab=6), pictures(2, seed)
        greedy = model.write(images, max_length=4)
        found = model.write(images, max_length=4, beam=36)
        for row, one, image in zip(found.tolist(), greedy.tolist(), images, strict=True):
            every = score_all(model, image, 4)
            assert len(every) == sum(3**k for k in range(4))
            best = max(every, key=every.__getitem__)
            assert tuple(word for word in row if word != PAD) == best
            won += tuple(word for word in one if word != PAD) != best
    assert won > 0  # somewhere greedy is not the best


def test_all_probabilities_sum_to_one() -> None:
    model, image = captioner(3, vocab=5), pictures(1)[0]
    every = score_all(model, image, 3)
    with torch.no_grad():
        model.output.bias[END] += 30  # now every caption ends at once
    assert sum(torch.tensor(list(every.values())).exp()).item() < 1
    ended = score_all(model, image, 3)
    assert sum(torch.tensor(list(ended.values())).exp()).item() == pytest.approx(1, abs=1e-4)


def test_what_is_written_can_be_read_again() -> None:
    """The attention of a written caption is that of reading it; words are never padding."""
    model, images = captioner(1), pictures(6)
    written = model.write(images, beam=2, max_length=7)
    assert (written[:, 0] == START).all()
    assert not (written[:, 1:] == START).any()
    fit = [row for row in written if row[1] != END]
    for row, image in itertools.zip_longest(fit, images[written[:, 1] != END]):
        told = model(image[None], row[None])
        assert told.weights.shape == (1, len(row) - 1, 4)
        torch.testing.assert_close(told.weights.sum(2), torch.ones(1, len(row) - 1))


# ---- learning ----


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = ShowAttendTell(8, encoder=Cells(), embed_dim=12, width=24, attention_dim=8)
    optimizer, images = torch.optim.Adam(model.parameters(), 0.02), pictures()
    for _ in range(100):
        loss = model.loss(model(images, IDS), IDS, penalty=0.01)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(model.eval().write(images)[:, :5], IDS)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_default_reads_pictures() -> None:
    model = ShowAttendTell(9)
    told = model(torch.zeros(2, 3, 32, 32), torch.tensor([[1, 4, 2], [1, 5, 2]]))
    assert told.logits.shape == (2, 2, 9)
    assert told.weights.shape[:2] == told.gates.shape == (2, 2)
    assert model.eval().write(torch.zeros(1, 3, 16, 16), max_length=3).shape[1] <= 4


def test_bad_input() -> None:
    model = plain.ShowAttendTell(8, encoder=Cells())
    images = pictures()
    for row in ([1, 2, 0, 0, 0], [1, 0, 0, 0, 0]):
        empty = IDS.clone()
        empty[1] = torch.tensor(row)
        with rejects("caption 1 is empty: it has no word"):
            model(images, empty)
    for ids in (IDS[:2], IDS[:, :2], IDS.float(), IDS[0]):
        with rejects(r"whole numbers of shape \(3, 3 or more\)"):
            model(images, ids)
    with rejects("lie in 0 … 7, got 0 … 8"):
        model(images, IDS + (IDS == 7))
    with rejects("need one fewer"):
        model.loss(model(images, IDS), IDS[:, :4])
    for beam, longest in ((0, 5), (1, 0)):
        with rejects("at least 1|beam ≥ 1"):
            model.write(images, beam=beam, max_length=longest)
    with rejects("sizes must be at least 1"):
        plain.ShowAttendTell(8, encoder=Cells(), width=0)
    for marks in ({"end_id": 1}, {"pad_id": 8}):
        with rejects("must differ and be below 8"):
            plain.ShowAttendTell(8, encoder=Cells(), **marks)
