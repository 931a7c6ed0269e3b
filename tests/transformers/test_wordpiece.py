"""WordPiece against transformers' and tokenizers' BERT tokenizers, and its training."""

import itertools
import json
import math
import random
import sys
import unicodedata
from collections import Counter

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertTokenizer

from mmcourse.transformers import WordPiece
from mmcourse.transformers.wordpiece import SPECIALS
from mmcourse.transformers.wordpiece_training import (
    count_words,
    join,
    learn_pieces,
    letters_of,
    likelihood_gain,
    pairs_of,
)

plain = unchecked("mmcourse.transformers.wordpiece")
ALL_PIECES = """the The man went to store flight ##less ##les birds penguin un ##aff ##able ##ing
 play cafe café 밤 ##을 ##이 ##에 먹 ##다 되 ##었 ᄇ ##ᅡ ##ᆷ ᄋ ##ᅳ ##ᆯ 中 国 字 か ##な 😀 👍 ##🏽
 é ##é σ ##σ ς ##ς . , ! ? ' ## # $ + - [ ] ` “ ” … · a ##a b ##b c ##c 1 ##1 2 i ##i ß ##ß ss
 M ##ASK mask"""
PIECES = ALL_PIECES.split()
VOCAB = {token: number for number, token in enumerate([*SPECIALS, *PIECES])}
TEXTS = [
    "The man went to the STORE.",
    "penguins are flightless birds!",
    "밤을 먹다, 밤이 되었다",
    unicodedata.normalize("NFD", "밤을 먹다"),
    "Café CAFÉ cafe\u0301 naïve",
    "中国字 and かな mixed中a",
    "😀👍🏽 👨\u200d👩\u200d👧 ❤\ufe0f",
    "tab\tnew\nline\r\x00\x07\x85\u200b\ufeff\ufffd nothing\u00a0wide\u3000space\u2028here",
    "a$b+c-1.2 `a` “b” … a·b ##a [a]",
    "[CLS] the [MASK] [MASK]ed [mask] [SEP][SEP] [PAD] [UNK]",
    "unaffable unaffablex ΟΔΟΣ σς İi ßSS",
    "",
    "   ",
    "a" * 100 + " " + "a" * 101 + " " + "b" * 250,
]
letters = st.characters(exclude_categories=["Cs", "Cn"])
words = st.sampled_from([*PIECES, *TEXTS, *SPECIALS, "밤", "e\u0301", " ", "\u0301"])


def pair_of_tokenizers(lower_case=True, strip_accents=None):
    ours = WordPiece(VOCAB, lower_case=lower_case, strip_accents=strip_accents)
    options = {"strip_accents": strip_accents}
    return ours, (
        BertTokenizer(VOCAB, do_lower_case=lower_case, **options),
        BertWordPieceTokenizer(VOCAB, lowercase=lower_case, **options),
    )


PAIRS = {
    (lower, strip): pair_of_tokenizers(lower, strip)
    for lower, strip in itertools.product((True, False), (None, True, False))
}


def known_to_both(text: str) -> bool:
    """Only characters that Unicode 3.2 had, with the class they had then."""
    old = unicodedata.ucd_3_2_0
    return all(old.category(c) == unicodedata.category(c) != "Cn" for c in text)


def agree(text: str, pair: str | None, lower: bool, strip: bool | None) -> None:
    ours, (transformers, tokenizers) = PAIRS[lower, strip]
    ids, segments = ours.encode_segments(text, pair)
    if pair != "":  # transformers takes an empty second text for none
        theirs = transformers(text, pair)
        assert ids == theirs["input_ids"]
        assert segments == theirs["token_type_ids"]
    other = tokenizers.encode(text, pair)
    assert ids == other.ids
    assert segments == other.type_ids
    assert ours.encode(text, pair) == ids
    assert [ours.tokens[i] for i in ids] == other.tokens
    bare = transformers.encode(text, pair, add_special_tokens=False)
    assert pair == "" or ours.encode(text, pair, add_special=False) == bare
    assert ours.decode(ids) == tokenizers.decode(ids, skip_special_tokens=True)
    assert ours.decode(ids, skip_special=False) == tokenizers.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize(("lower", "strip"), list(PAIRS))
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_equals_the_reference_libraries(text, lower, strip):
    agree(text, None, lower, strip)
    agree(text, TEXTS[0], lower, strip)
    agree(TEXTS[2], text, lower, strip)


@pytest.mark.parametrize("lower", [True, False])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_equals_the_reference_libraries_on_anything(lower, data):
    text = st.lists(st.one_of(words, letters), max_size=12).map("".join).filter(known_to_both)
    second = data.draw(st.one_of(st.none(), text))
    agree(data.draw(text), second, lower, None)


def test_every_old_character_is_cleaned_and_split_alike():
    """All characters of Unicode 3.2 at once: what vanishes, what is a space, what stands alone."""
    points = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
    items = [f"a{c}b" for c in points if c != "\u0345" and known_to_both(c)]
    chunks = [" ".join(items[start : start + 500]) for start in range(0, len(items), 500)]
    assert len(items) > 90_000
    for low in (True, False):
        ours, (_, theirs) = plain.WordPiece(VOCAB, lower_case=low), PAIRS[low, None][1]
        for text in chunks:
            normal = theirs.normalize(text)
            assert ours.normalize(text) == normal
            assert ours.words(text) == [w for w, _ in BertPreTokenizer().pre_tokenize_str(normal)]


def test_korean_falls_into_letters_where_accents_are_stripped():
    uncased, cased = WordPiece(VOCAB), WordPiece(VOCAB, lower_case=False)
    assert cased.tokenize("밤을") == ["밤", "##을"]
    assert uncased.tokenize("밤을") == ["ᄇ", "##ᅡ", "##ᆷ", "##ᄋ", "##ᅳ", "##ᆯ"] or (
        uncased.tokenize("밤을") == ["[UNK]"]  # the vocabulary has no ##ᄋ
    )
    assert uncased.tokenize("밤") == ["ᄇ", "##ᅡ", "##ᆷ"]
    kept = WordPiece(VOCAB, strip_accents=False)
    assert kept.tokenize("밤을 The") == ["밤", "##을", "the"]


def test_the_longest_piece_is_taken_first():
    tokenizer = WordPiece([*SPECIALS, "un", "unaff", "##aff", "##able", "##a", "##ble", "u"])
    assert tokenizer.tokenize("unaffable") == ["unaff", "##able"]
    # Greedy from the left, it does not turn back: "unaffa" + nothing.
    assert WordPiece([*SPECIALS, "ab", "a", "##bc"]).tokenize("abc") == ["[UNK]"]


@pytest.mark.parametrize("limit", [100, 200])
def test_very_long_words_are_unknown(limit):
    tokenizer = WordPiece(VOCAB, max_chars=limit)
    assert tokenizer.tokenize("a" * limit) == ["a"] + ["##a"] * (limit - 1)
    assert tokenizer.tokenize("a" * (limit + 1)) == ["[UNK]"]


def test_published_tokenizers_load(tmp_path):
    reference = BertTokenizer(VOCAB, do_lower_case=False)
    reference.save_pretrained(tmp_path / "new")
    ours = WordPiece.from_pretrained(tmp_path / "new")
    assert ours.vocab == VOCAB
    assert not ours.lower_case
    text = "The man, 밤을 Café"
    assert ours.encode(text) == reference.encode(text)
    old = tmp_path / "old"
    old.mkdir()
    (old / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    assert WordPiece.from_pretrained(old).encode(text) == BertTokenizer(VOCAB).encode(text)
    (old / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert WordPiece.from_pretrained(old).encode(text) == reference.encode(text)


def test_other_tokenizers_are_refused(tmp_path):
    with rejects("tokenizer.json or vocab.txt in the folder, found neither"):
        WordPiece.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    with rejects("need a WordPiece model with a BertNormalizer, got .'BPE', None"):
        WordPiece.from_pretrained(tmp_path)


def test_batches_are_padded_like_transformers():
    ours, (theirs, _) = PAIRS[True, None]
    texts = [("the man", "went to the store"), ("birds", "flightless")]
    batch = ours.batch(texts)
    expected = theirs(*map(list, zip(*texts, strict=True)), padding=True, return_tensors="pt")
    for key, value in batch._asdict().items():
        torch.testing.assert_close(value.long(), expected[key])
    assert batch.attention_mask.dtype == torch.bool
    assert ours.batch(["the", "the man"], length=9).input_ids.shape == (2, 9)
    with rejects("need texts of at most 3 tokens, got 4"):
        plain.WordPiece(VOCAB).batch(["the man"], length=3)
    with rejects("need texts"):
        plain.WordPiece(VOCAB).batch([])


# ---- training ----

TEXT = """low low low low low lower lower newest newest newest newest newest newest widest widest
 widest 밤이 밤이 밤을 밤을 배가 배가 배를 배를 banana banana bananas aaa aaaa 눈이 눈을"""
CORPUS = TEXT.split()


def log_likelihood(pieces: list[list[str]], counts: list[int]) -> float:
    frequency: Counter[str] = Counter()
    for word, count in zip(pieces, counts, strict=True):
        for piece in word:
            frequency[piece] += count
    total = frequency.total()
    return sum(f * math.log(f / total) for f in frequency.values())


def slow_training(words: Counter[str], size: int, score: str) -> list[str]:
    """Try every join on the whole corpus, measure, keep the best."""
    pieces, counts = [letters_of(word) for word in words], list(words.values())
    found = sorted({p for word in pieces for p in word})
    while len(found) < size:
        before, ranked = log_likelihood(pieces, counts), []
        for pair in {p for word in pieces for p in itertools.pairwise(word)}:
            joined = [join(word, pair) for word in pieces]
            times = sum(
                n * (len(old) - len(new))
                for n, old, new in zip(counts, pieces, joined, strict=True)
            )
            gain = log_likelihood(joined, counts) - before
            if times >= 2:
                ranked.append((-round(gain, 8) if score == "likelihood" else -times, pair))
        if not ranked or min(ranked)[0] >= 0:
            break
        pair = min(ranked)[1]
        pieces = [join(word, pair) for word in pieces]
        found = list(dict.fromkeys([*found, pair[0] + pair[1].removeprefix("##")]))
    return found


@pytest.mark.parametrize("score", ["likelihood", "frequency"])
def test_training_equals_a_slow_search(score):
    words = count_words(CORPUS)
    assert learn_pieces(words, 60, score=score) == slow_training(words, 60, score)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=6), st.integers(1, 9), min_size=1),
    st.sampled_from(["likelihood", "frequency"]),
)
@example({"aaaa": 3, "baab": 2}, "likelihood")
def test_training_equals_a_slow_search_on_anything(words, score):
    quick = learn_pieces(Counter(words), 14, score=score)
    assert quick == slow_training(Counter(words), 14, score)


def test_the_two_scores_differ():
    """Frequency glues a stem to its commonest particle; likelihood asks if that is news."""
    nouns, particles = ["산", "강", "집", "길"], ["은", "을", "도"]
    words = Counter({noun + particle: 20 for noun in nouns for particle in particles})
    words.update({"고구마": 15})
    likelihood, frequency = (
        learn_pieces(words, 12, score=score)[-2:] for score in ("likelihood", "frequency")
    )
    assert likelihood[-1] == "고구마"
    assert all(piece in words for piece in frequency)


def test_frequency_training_equals_tokenizers():
    """Joins among which the best is never in doubt: the order of equals is arbitrary."""
    source, words = random.Random(0), Counter()
    for _ in range(40):
        word = source.choice("abcd")
        while len(word) < source.randint(4, 6):
            word += source.choice([letter for letter in "abcd" if letter != word[-1]])
        words[word] += 3 + source.randint(1, 400)
    texts = list(words.elements())
    theirs = BertWordPieceTokenizer(strip_accents=False)
    theirs.train_from_iterator(texts, vocab_size=21, min_frequency=2, show_progress=False)
    ours = WordPiece.train(texts, 21, score="frequency", strip_accents=False)
    assert set(ours.vocab) == set(theirs.get_vocab())
    # The other score gives another vocabulary: the test would notice.
    assert set(WordPiece.train(texts, 21, strip_accents=False).vocab) != set(ours.vocab)


def test_a_trained_tokenizer_reads_its_corpus_without_unknowns():
    tokenizer = WordPiece.train(CORPUS, 45, lower_case=False)
    assert list(tokenizer.vocab)[:5] == list(SPECIALS)
    assert len(tokenizer) == 45
    for text in (" ".join(CORPUS), "lowest bananas 밤이"):
        assert tokenizer.unk_id not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.tokenize("xyz") == ["[UNK]"]


def test_pairs_do_not_overlap():
    assert pairs_of(["b", "##a", "##a", "##a", "##a"]) == [
        ("b", "##a"),
        ("##a", "##a"),
        ("##a", "##a"),
    ]
    assert join(["##a", "##a", "##a"], ("##a", "##a")) == ["##aa", "##a"]
    two, alike = torch.tensor([2]), torch.tensor([False])
    gain = likelihood_gain(two, two, two, alike, 8).item()
    assert gain == pytest.approx(8 * math.log(8) - 6 * math.log(6) - 2 * math.log(2))


def test_bad_input():
    with rejects(r"missing \['\[MASK\]'\]"):
        plain.WordPiece(SPECIALS[:4])
    with rejects("must number its 6 tokens 0 … 5"):
        plain.WordPiece({**dict(zip(SPECIALS, range(5), strict=True)), "a": 7})
    with rejects("tokens must differ, got 1 double"):
        plain.WordPiece([*SPECIALS, "a", "a"])
    with rejects("max_chars must be at least 1, got 0"):
        plain.WordPiece(SPECIALS, max_chars=0)
    with rejects(r"ids must lie in 0 … 4, got 5"):
        plain.WordPiece(SPECIALS).decode([2, 5])
    with rejects("-1"):
        plain.WordPiece(SPECIALS).decode(torch.tensor([-1]))
    with rejects("score must be one of .*, got 'luck'"):
        learn_pieces({"a": 1}, 5, score="luck")
    with rejects("room for their 3 letters, got 2"):
        learn_pieces({"abc": 1}, 2)
    with rejects("room for their 0 letters"):
        WordPiece.train([" "], 50)
