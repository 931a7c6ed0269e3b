"""BERT against transformers' on tiny random checkpoints, and as a model that learns."""

import json

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import BertConfig, BertForPreTraining, BertModel

from mmcourse.transformers import Bert, mask_tokens, pretraining_loss

plain = unchecked("mmcourse.transformers.bert")
TINY = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}
IDS = torch.randint(0, 30, (3, 9), generator=torch.Generator().manual_seed(0))
SEGMENTS = (torch.arange(9) > 4).long().expand(3, 9).contiguous()
MASK = torch.arange(9) < torch.tensor([[9], [6], [2]])
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def saved(folder, kind=BertForPreTraining, shrink: float = 1.0, **changes):
    """A random model of transformers, every weight random, written to a folder."""
    reference = randomise(kind(BertConfig(**{**TINY, **changes})), scale=0.4).eval()
    with torch.no_grad():
        for name, weight in reference.named_parameters():
            if "_embeddings" in name:
                weight.mul_(shrink)
    reference.save_pretrained(folder)
    return reference


def small(**changes) -> Bert:
    sizes = {"embed_dim": 16, "num_heads": 2, "num_layers": 2, "max_positions": 12}
    return Bert(30, **{**sizes, **changes})


def compare(ours: Bert, reference, *, equal: bool = True) -> None:
    with torch.no_grad():
        theirs = reference(IDS, MASK.long(), SEGMENTS, output_hidden_states=True)
        output, found = ours(IDS, SEGMENTS, MASK), ours.layers(IDS, SEGMENTS, MASK)
    if not equal:
        assert (output.hidden - theirs.hidden_states[-1])[MASK].abs().max() > 2e-4
        return
    for own, other in zip(found, theirs.hidden_states, strict=True):
        assert_close(own[MASK], other[MASK], **CLOSE)
    assert_close(output.hidden[MASK], theirs.hidden_states[-1][MASK], **CLOSE)
    assert_close(output.mlm_logits[MASK], theirs.prediction_logits[MASK], **CLOSE)
    assert_close(output.nsp_logits, theirs.seq_relationship_logits, **CLOSE)


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("shrink", [1.0, 0.01])
def test_published_checkpoints_load_and_agree(act, shrink, tmp_path):
    reference = saved(tmp_path, hidden_act=act, shrink=shrink)
    ours = Bert.from_pretrained(tmp_path)
    assert not ours.training
    compare(ours, reference)
    # Without segments and mask: zeros, and all tokens real.
    with torch.no_grad():
        assert_close(ours(IDS).mlm_logits, reference(IDS).prediction_logits, **CLOSE)
        assert_close(ours(IDS, attention_mask=MASK.long()), ours(IDS, None, MASK))


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("hidden_act", "gelu_new"), ("layer_norm_eps", 1e-5), ("num_attention_heads", 4)],
)
def test_each_convention_matters(key, wrong, tmp_path):
    """With one setting read wrongly the output differs: the parity test would notice.

    Only embeddings a hundred times smaller show that 1e-12 is not 1e-5.
    """
    reference = saved(tmp_path, shrink=0.01)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: wrong}))
    compare(Bert.from_pretrained(tmp_path), reference, equal=False)


def test_pre_ln_and_missing_segments_would_be_noticed(tmp_path):
    reference = saved(tmp_path)
    ours = Bert.from_pretrained(tmp_path)
    for block in ours.blocks:
        block.norm_first = True
    compare(ours, reference, equal=False)
    ours = Bert.from_pretrained(tmp_path)
    with torch.no_grad():
        ours.embeddings.segment.weight.zero_()
    compare(ours, reference, equal=False)


def test_the_loss_equals_that_of_transformers(tmp_path):
    reference, ours = saved(tmp_path), Bert.from_pretrained(tmp_path)
    labels = torch.where(
        torch.rand(IDS.shape, generator=torch.Generator().manual_seed(1)) < 0.4, IDS, -100
    )
    pairs = torch.tensor([0, 1, 1])
    theirs = reference(IDS, MASK.long(), SEGMENTS, labels=labels, next_sentence_label=pairs).loss
    loss = pretraining_loss(ours(IDS, SEGMENTS, MASK), labels, pairs)
    assert_close(loss, theirs, **CLOSE)
    loss.backward()
    theirs.backward()
    gradient = ours.embeddings.token.weight.grad
    other = reference.bert.embeddings.word_embeddings.weight.grad
    rows = torch.arange(30) != 0  # transformers gives [PAD]'s row no gradient from the input
    assert_close(gradient[rows], other[rows], **CLOSE)
    # The wrong means: over all tokens, or the sum of both losses over the batch.
    output = ours(IDS, SEGMENTS, MASK)
    spread = F.cross_entropy(output.mlm_logits.flatten(0, 1), labels.flatten(), reduction="sum")
    wrong = spread / labels.numel() + F.cross_entropy(output.nsp_logits, pairs)
    assert (wrong - theirs).abs() > 0.1


def test_no_selected_word_is_no_nan():
    output = small()(IDS, SEGMENTS)
    pairs = torch.tensor([0, 1, 0])
    loss = pretraining_loss(output, torch.full_like(IDS, -100), pairs)
    assert_close(loss, F.cross_entropy(output.nsp_logits, pairs))
    loss.backward()


@pytest.mark.parametrize("style", ["gamma and beta", "no prefix", "copies"])
def test_older_files(style, tmp_path):
    reference = saved(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    if style == "gamma and beta":
        names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for new, old in names.items():
            tensors = {name.replace(new, old): t for name, t in tensors.items()}
        assert any(name.endswith("LayerNorm.gamma") for name in tensors)
    elif style == "no prefix":
        tensors = {name.removeprefix("bert."): t for name, t in tensors.items()}
    else:
        words = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = words.clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
        tensors["bert.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(tensors, file)
    compare(Bert.from_pretrained(tmp_path), reference)


def test_an_encoder_alone_loads_without_heads(tmp_path):
    reference = saved(tmp_path, BertModel)
    with rejects("missing mlm.bias"):
        Bert.from_pretrained(tmp_path)
    ours = Bert.from_pretrained(tmp_path, heads=False)
    with torch.no_grad():
        theirs, output = reference(IDS, MASK.long(), SEGMENTS), ours(IDS, SEGMENTS, MASK)
        assert_close(output.hidden[MASK], theirs.last_hidden_state[MASK], **CLOSE)
        assert_close(ours.pool(output.hidden), theirs.pooler_output, **CLOSE)
    assert output.mlm_logits is None
    with rejects("need a model with heads"):
        pretraining_loss(output, IDS, torch.tensor([0, 1, 0]))


def test_a_hub_id_loads_from_the_cache(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--someone--bert" / "snapshots" / "abc123"
    reference = saved(snapshot)
    refs = tmp_path / "models--someone--bert" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    compare(Bert.from_pretrained("someone/bert"), reference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "roberta"}, "of type 'bert', got 'roberta'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type must be 'absolute'"),
        ({"hidden_act": "silu"}, "hidden_act must be one of .*, got 'silu'"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings must be True"),
        ({"vocab_size": 31}, r"embeddings.token.weight must have shape \(31, 12\), got \(30, 12\)"),
        ({"num_hidden_layers": 3}, "missing blocks.2"),
        ({"num_hidden_layers": 1}, "unexpected blocks.1"),
    ],
)
def test_other_configurations_are_refused(change, message, tmp_path):
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with rejects(message):
        Bert.from_pretrained(tmp_path)


def test_other_weights_are_refused(tmp_path):
    saved(tmp_path)
    file = tmp_path / "model.safetensors"
    good = load_file(file)
    save_file({**good, "bert.encoder.layer.0.adapter.weight": torch.ones(1)}, file)
    with rejects("unexpected blocks.0.adapter.weight"):
        Bert.from_pretrained(tmp_path)
    save_file({**good, "cls.predictions.decoder.weight": torch.ones(30, 12)}, file)
    with rejects("decoder.weight must equal embeddings.token.weight .tied weights., it differs"):
        Bert.from_pretrained(tmp_path)
    save_file({k: v for k, v in good.items() if k != "cls.seq_relationship.bias"}, file)
    with rejects("missing nsp.bias"):
        Bert.from_pretrained(tmp_path)
    file.rename(tmp_path / "pytorch_model.bin")
    with rejects("only a pickle"):
        Bert.from_pretrained(tmp_path)


def test_published_sizes():
    with torch.device("meta"):
        base = Bert()
        large = Bert(embed_dim=1024, num_heads=16, num_layers=24, heads=False)
        encoder = Bert(heads=False)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (encoder, base, large)]
    assert sizes == [109_482_240, 110_106_428, 335_141_888]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(0, 8), st.integers(0, 10**6))
def test_padding_changes_nothing(tokens, extra, seed):
    source = torch.Generator().manual_seed(seed)
    model = randomise(small(max_positions=20), seed=seed).eval()
    ids = torch.randint(0, 30, (2, tokens + extra), generator=source)
    mask = (torch.arange(tokens + extra) < tokens).expand(2, -1)
    with torch.no_grad():
        short, padded = model(ids[:, :tokens]), model(ids, None, mask)
    assert_close(padded.hidden[:, :tokens], short.hidden, rtol=1e-4, atol=1e-4)
    assert_close(padded.nsp_logits, short.nsp_logits, rtol=1e-4, atol=1e-4)


def test_every_token_sees_both_sides():
    model = randomise(small()).eval()
    changed = IDS.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 30
    with torch.no_grad():
        moved = (model(IDS).hidden - model(changed).hidden).abs().amax(dim=(0, 2))
    assert (moved > 1e-4).all(), "left and right of the changed word"


def test_overfits_one_batch():
    torch.manual_seed(0)
    model, pairs = small(dropout=0.0), torch.tensor([0, 1, 1])
    source = torch.Generator().manual_seed(2)
    options = {"mask_id": 4, "vocab_size": 30, "special_ids": [0, 1, 2, 3, 4]}
    inputs, labels = mask_tokens(IDS, **options, probability=0.4, generator=source)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        loss = pretraining_loss(model(inputs, SEGMENTS), labels, pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": IDS + 30}, r"input_ids must lie in 0 … 29, got 3\d … 5\d"),
        ({"input_ids": -IDS - 1}, r"input_ids must lie in 0 … 29"),
        ({"input_ids": IDS.float()}, "input_ids must be whole numbers, got torch.float32"),
        ({"input_ids": IDS[0]}, r"input_ids must be \(batch, 1 … 12 tokens\), got shape \(9,\)"),
        ({"input_ids": IDS.repeat(1, 2)}, r"1 … 12 tokens\), got shape \(3, 18\)"),
        ({"input_ids": IDS[:, :0]}, r"got shape \(3, 0\)"),
        ({"token_type_ids": SEGMENTS + 1}, r"token_type_ids must lie in 0 … 1, got 1 … 2"),
        ({"token_type_ids": SEGMENTS[:, :4]}, r"must have the shape \(3, 9\).* got \(3, 4\)"),
        ({"attention_mask": MASK[:, :4]}, r"attention_mask must be bool .* of shape \(3, 9\)"),
        ({"attention_mask": MASK.float()}, "got torch.float32"),
        ({"attention_mask": MASK & (torch.arange(3) != 1)[:, None]}, "got none in row 1"),
        ({"attention_mask": MASK * 2}, "0 and 1 alone"),
    ],
)
def test_bad_input(change, message):
    sizes = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "max_positions": 12}
    model = plain.Bert(30, **sizes)
    given = {"input_ids": IDS, "token_type_ids": SEGMENTS, "attention_mask": MASK, **change}
    if given["input_ids"].shape != IDS.shape:
        given = {"input_ids": given["input_ids"]}
    with rejects(message):
        model(**given)


def test_bad_sizes_and_labels():
    with rejects("must be at least 1, got 0, 12, 512, 2"):
        plain.Bert(0)
    with rejects("num_heads"):
        plain.Bert(30, embed_dim=10, num_heads=4)
    with rejects("activation must be one of"):
        plain.Bert(30, embed_dim=8, num_heads=2, activation="tanh")
    output = small()(IDS)
    pairs = torch.tensor([0, 1, 0])
    with rejects(r"mlm_labels must have shape \(3, 9\), got \(3, 4\)"):
        plain.pretraining_loss(output, IDS[:, :4], pairs)
    with rejects(r"nsp_labels must lie in 0 … 1 .* got 0 … 2"):
        plain.pretraining_loss(output, IDS, pairs * 2)
