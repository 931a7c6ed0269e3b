"""The word tokenizer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.data import Shapes, WordTokenizer, vocabulary

tokenizer = WordTokenizer(vocabulary("both"))
texts = st.lists(st.sampled_from(vocabulary("both")), min_size=1, max_size=12).map(" ".join)


@given(texts)
def test_decode_undoes_encode(text):
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode(text)[1:-1] == tokenizer.encode(text, add_special=False)


@given(st.lists(texts, min_size=1, max_size=5))
def test_batches_equal_rows_and_the_mask_marks_real_tokens(rows):
    ids, mask = tokenizer.batch(rows)
    assert ids.shape == mask.shape == (len(rows), max(len(row.split()) for row in rows) + 2)
    assert mask.dtype == torch.bool
    for row, numbers, real in zip(rows, ids, mask, strict=True):
        assert numbers[real].tolist() == tokenizer.encode(row)
        assert (numbers[~real] == tokenizer.pad).all()
        assert tokenizer.decode(numbers) == row


def test_captions_of_a_data_set_are_all_known():
    data = Shapes(count=50, language="both")
    captions = [data.caption(index) for index in range(50)]
    learned = WordTokenizer.from_captions(captions)
    assert learned.tokens[:4] == ["[PAD]", "[BOS]", "[EOS]", "[UNK]"]
    assert set(learned.tokens[4:]) == {word for text in captions for word in text.split()}
    ids, mask = learned.batch(captions, length=40)
    assert ids.shape == (50, 40)
    assert [learned.decode(row) for row in ids] == captions
    assert mask.sum(dim=1).tolist() == [len(text.split()) + 2 for text in captions]


def test_unknown_words():
    with pytest.raises(ValueError, match="unknown word 'sqare'; nearest known: square"):
        tokenizer.encode("a red sqare")
    lenient = WordTokenizer(vocabulary(), unknown="token")
    assert lenient.encode("a mauve square")[2] == lenient.unk
    assert lenient.decode(lenient.encode("a mauve square")) == "a [UNK] square"


def test_capitals_and_double_words():
    small = WordTokenizer(["Red", "red", "blue", "[pad]"])
    assert small.tokens[4:] == ["blue", "red"]
    assert small.encode("RED blue") == [1, 5, 4, 2]
    assert len(small) == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WordTokenizer([]), "at least one word"),
        (lambda: WordTokenizer(["a"], unknown="skip"), "unknown must be one of 'error', 'token'"),
        (lambda: tokenizer.batch([]), "at least one text"),
        (lambda: tokenizer.batch(["a red star"], length=4), "length 4 is too short for 5 tokens"),
        (lambda: tokenizer.decode([10_000]), "ids must be from 0 to .*got 10000"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
