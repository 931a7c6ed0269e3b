"""The encoder–decoder against PyTorch's and Marian's; its masks, its leaks, its bad input."""

import json

import pytest
import torch
import torch.nn.functional as F
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close

from mmcourse.transformers import DecoderBlock, Transformer, causal_mask, sinusoidal_positions

CLOSE = {"rtol": 2e-5, "atol": 2e-5}
SIZES = {"embed_dim": 16, "num_heads": 4, "encoder_layers": 2, "decoder_layers": 3}
SIZES |= {"hidden_dim": 24, "max_length": 12}


def tokens(*shape: int, high: int = 11, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, high, shape, generator=torch.Generator().manual_seed(seed))


def tiny(seed: int = 0, **options) -> Transformer:
    model = Transformer(11, 9, **{**SIZES, **options})
    return randomise(model, seed).eval()  # type: ignore[return-value]


def test_a_checkpoint_keeps_the_tie_and_no_table(tmp_path) -> None:
    shared = Transformer(11, **SIZES)
    assert shared.target_embedding is shared.source_embedding
    assert shared.logits(torch.zeros(1, 1, 16)).shape == (1, 1, 11)
    for model in (shared, tiny()):
        save_file(model.state_dict(), tmp_path / "model.safetensors")  # refuses doubled weights
        saved = load_file(tmp_path / "model.safetensors")
        assert not any("positions" in name for name in saved)
        model.load_state_dict(saved)
    assert sum(p.numel() for p in shared.embeddings.parameters()) == 11 * 16


# ---- parity with PyTorch -------------------------------------------------------------------


def torch_pair(**options):
    """PyTorch's module with embeddings around it, and ours from them."""
    theirs = nn.Transformer(
        16, 4, 2, 3, 24, 0.1, batch_first=True, layer_norm_eps=1e-3, **options
    ).eval()
    source, target = nn.Embedding(11, 16), nn.Embedding(9, 16)
    for seed, module in enumerate((theirs, source, target)):
        randomise(module, seed)
    for module in theirs.modules():  # gains near 0 would hide what comes before a norm
        if isinstance(module, nn.LayerNorm):
            module.weight.data += 1
    ours = Transformer.from_torch(theirs, source, target, max_length=12).eval()

    def reference(ids, written, source_mask):
        table = sinusoidal_positions(12, 16)
        x = source(ids) * 4 + table[: ids.shape[1]]
        y = target(written) * 4 + table[: written.shape[1]]
        hidden = theirs(
            x,
            y,
            tgt_mask=~causal_mask(written.shape[1]),
            src_key_padding_mask=~source_mask,
            memory_key_padding_mask=~source_mask,
        )
        return hidden @ target.weight.T

    return ours, reference


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", [F.relu, F.gelu])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch(norm_first, activation, bias) -> None:
    ours, reference = torch_pair(norm_first=norm_first, activation=activation, bias=bias)
    source, target = tokens(3, 7), tokens(3, 5, high=9)
    source[1, 4:] = 0
    expected = reference(source, target, source != 0)
    assert_close(ours(source, target), expected, **CLOSE)
    # Each wrong convention is caught: no mask on the padding, no causal mask, no √d, the
    # other order of waves, no final norms.
    assert not torch.allclose(ours(source, target, source_mask=source >= 0), expected, atol=1e-2)
    open_mask = torch.ones(5, 5, dtype=torch.bool)
    assert not torch.allclose(ours(source, target, target_mask=open_mask), expected, atol=1e-2)
    ours.scale = 1.0
    assert not torch.allclose(ours(source, target), expected, atol=1e-2)
    ours.scale = 4.0
    table = ours.positions
    ours.positions = torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)
    assert not torch.allclose(ours(source, target), expected, atol=1e-2)
    ours.positions, ours.decoder_norm = table, nn.Identity()
    assert not torch.allclose(ours(source, target), expected, atol=1e-2)


def test_the_paper_has_no_final_norm() -> None:
    """nn.Transformer of stacks without a final norm is the paper's; so is our default."""
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 24, batch_first=True), 2)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4, 24, batch_first=True), 3)
    theirs = nn.Transformer(
        16, 4, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
    ).eval()
    randomise(theirs)
    embedding = nn.Embedding(11, 16)
    ours = Transformer.from_torch(theirs, embedding, max_length=12).eval()
    assert isinstance(ours.encoder_norm, nn.Identity)
    assert ours.state_dict().keys() == Transformer(11, **SIZES).state_dict().keys()
    source, target = tokens(2, 6), tokens(2, 4)
    table = sinusoidal_positions(12, 16)
    x, y = (embedding(ids) * 4 + table[: ids.shape[1]] for ids in (source, target))
    expected = theirs(x, y, tgt_mask=~causal_mask(4)) @ embedding.weight.T
    assert_close(ours(source, target), expected, **CLOSE)
    assert Transformer(11, **SIZES, norm_first=True).decoder_norm.weight.shape == (16,)


def test_decoder_block_equals_torch_and_its_memory_weights_are_its_own() -> None:
    theirs = nn.TransformerDecoderLayer(12, 3, 20, batch_first=True).eval()
    block = DecoderBlock.from_torch(randomise(theirs)).eval()
    source = torch.Generator().manual_seed(1)
    x, memory = torch.randn(2, 4, 12, generator=source), torch.randn(2, 6, 12, generator=source)
    expected = theirs(x, memory, tgt_mask=~causal_mask(4))
    output, weights = block(x, memory, causal_mask(4), return_weights=True)
    assert_close(output, expected, **CLOSE)
    # The weights: PyTorch's, from the same queries.
    y = theirs.norm1(x + theirs.self_attn(x, x, x, attn_mask=~causal_mask(4))[0])
    _, expected = theirs.multihead_attn(y, memory, memory, average_attn_weights=False)
    assert_close(weights, expected, **CLOSE)
    # Keys and values come from the memory by this block's own matrices, queries from x.
    for name, changes in (("key", True), ("value", True), ("query", True)):
        changed = DecoderBlock.from_torch(theirs).eval()
        getattr(changed.cross_attention, name).weight.data.mul_(2)
        assert torch.allclose(changed(x, memory, causal_mask(4)), output) is not changes


# ---- published weights ---------------------------------------------------------------------


def marian(folder, share: bool = True, **changes):
    """A tiny random Marian checkpoint in a folder, and the model it was saved from."""
    from transformers import MarianConfig, MarianMTModel

    options = {
        "vocab_size": 20,
        "decoder_vocab_size": None if share else 17,
        "share_encoder_decoder_embeddings": share,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_position_embeddings": 12,
        "pad_token_id": 16,
        "decoder_start_token_id": 16,
        "eos_token_id": 0,
        "forced_eos_token_id": None,
        "scale_embedding": True,
        "activation_function": "swish",
    }
    model = MarianMTModel(MarianConfig(**{**options, **changes})).eval()
    tables = [part.embed_positions.weight for part in (model.model.encoder, model.model.decoder)]
    kept = [table.clone() for table in tables]
    randomise(model)
    for table, values in zip(tables, kept, strict=True):
        table.data.copy_(values)
    model.final_logits_bias.copy_(torch.linspace(-1, 1, model.final_logits_bias.numel()))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("activation", ["swish", "relu", "gelu"])
def test_equals_marian(tmp_path, share, activation) -> None:
    theirs = marian(tmp_path, share, activation_function=activation)
    ours = Transformer.from_pretrained(tmp_path)
    source, target = tokens(3, 7, high=16), tokens(3, 5, high=16)
    source[1, 4:] = target[2, 3:] = target[:, 0] = 16
    with torch.no_grad():
        expected = theirs(
            input_ids=source,
            attention_mask=(source != 16).long(),
            decoder_input_ids=target,
            decoder_attention_mask=torch.ones_like(target),
        )
        assert_close(ours(source, target), expected.logits, **CLOSE)
        # The paper's order of the waves is not Marian's.
        ours.positions = sinusoidal_positions(12, 16)
        assert not torch.allclose(ours(source, target), expected.logits, atol=1e-2)


def test_marian_positions_are_a_permutation_of_the_papers(tmp_path) -> None:
    theirs = marian(tmp_path).model.encoder.embed_positions.weight
    paper = sinusoidal_positions(12, 16)
    order = [*range(0, 16, 2), *range(1, 16, 2)]
    assert_close(paper[:, order], theirs, **CLOSE)
    assert not torch.allclose(paper, theirs, atol=0.1)


def test_greedy_translates_as_marian_does(tmp_path) -> None:
    theirs = marian(tmp_path)
    ours = Transformer.from_pretrained(tmp_path)
    source = tokens(6, 7, high=16)
    source[1, 4:] = 16
    expected = theirs.generate(
        source,
        attention_mask=(source != 16).long(),
        num_beams=1,
        do_sample=False,
        max_new_tokens=10,
        bad_words_ids=[[16]],
    )
    found = ours.greedy(source, max_length=10)
    assert torch.equal(found, expected[:, 1 : 1 + found.shape[1]])
    assert (expected[:, 1 + found.shape[1] :] == 16).all()


def test_marian_files_of_other_years(tmp_path) -> None:
    """Copies of tied weights and the position tables may be there, the bias may not."""
    theirs = marian(tmp_path)
    file = tmp_path / "model.safetensors"
    saved = load_file(file)
    extra = {name: saved["model.shared.weight"].clone() for name in (
        "lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
    )}  # fmt: skip
    table = theirs.model.encoder.embed_positions.weight.detach().clone()
    for part in ("encoder", "decoder"):
        extra[f"model.{part}.embed_positions.weight"] = table.clone()
    del saved["final_logits_bias"]
    save_file({**saved, **extra}, file)
    ours = Transformer.from_pretrained(tmp_path)
    source, target = tokens(2, 5, high=16), tokens(2, 4, high=16)
    theirs.final_logits_bias.zero_()
    with torch.no_grad():
        expected = theirs(input_ids=source, decoder_input_ids=target).logits
    assert_close(ours(source, target).detach(), expected, **CLOSE)
    for name in extra:
        save_file({**saved, **extra, name: extra[name] + 1}, file)
        with rejects(f"{name} must equal"):
            Transformer.from_pretrained(tmp_path)


def test_a_hub_id_resolves_through_the_cache(tmp_path, monkeypatch) -> None:
    snapshot = tmp_path / "models--someone--opus" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    marian(snapshot)
    refs = tmp_path / "models--someone--opus" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert len(Transformer.from_pretrained("someone/opus").decoder) == 3


def test_other_checkpoints_are_refused(tmp_path) -> None:
    marian(tmp_path)
    file, described = tmp_path / "model.safetensors", tmp_path / "config.json"
    config, weights = json.loads(described.read_text()), load_file(file)
    for change, message in (
        ({"model_type": "bart"}, "must describe a marian model, got 'bart'"),
        ({"normalize_before": True}, "normalize_before must be False, got True"),
        ({"static_position_embeddings": False}, "static_position_embeddings must be True"),
        ({"activation_function": "tanh"}, "activation_function must be one of .*got 'tanh'"),
        ({"decoder_ffn_dim": 32}, r"the same ffn_dim, got \(24, 32\)"),
        ({"decoder_attention_heads": 2}, r"the same attention_heads, got \(4, 2\)"),
    ):
        described.write_text(json.dumps({**config, **change}))
        with rejects(message):
            Transformer.from_pretrained(tmp_path)
    described.write_text(json.dumps(config))
    name = "model.decoder.layers.1.encoder_attn.k_proj.weight"
    save_file({k: v for k, v in weights.items() if k != name}, file)
    with rejects(r"missing decoder\.1\.cross_attention\.key\.weight"):
        Transformer.from_pretrained(tmp_path)
    save_file({**weights, name: torch.ones(3, 3)}, file)
    with rejects(r"cross_attention\.key\.weight must have shape .16, 16., got .3, 3."):
        Transformer.from_pretrained(tmp_path)
    save_file({**weights, "model.new.weight": torch.ones(3)}, file)
    with rejects(r"unexpected new\.weight"):
        Transformer.from_pretrained(tmp_path)
    file.rename(tmp_path / "pytorch_model.bin")
    with rejects("only a pickle"):
        Transformer.from_pretrained(tmp_path)


# ---- what may be seen ----------------------------------------------------------------------


def reach(model: Transformer, source, target, **masks) -> torch.Tensor:
    """Whether output position i depends on target input j, by the gradient: bool (i, j)."""
    seen = []
    hook = model.target_embedding.register_forward_hook(lambda _, __, out: seen.append(out))
    logits = model(source, target, **masks)
    hook.remove()
    rows = []
    for i in range(target.shape[1]):
        (slope,) = torch.autograd.grad(logits[0, i].sin().sum(), seen[0], retain_graph=True)
        rows.append(slope[0].abs().sum(-1) > 0)
    return torch.stack(rows)


@pytest.mark.parametrize("norm_first", [False, True])
def test_no_position_sees_its_own_answer(norm_first) -> None:
    model, source, target = tiny(norm_first=norm_first), tokens(1, 6), tokens(1, 5, high=9)
    assert torch.equal(reach(model, source, target), causal_mask(5))
    # Without the mask the answer leaks: position i sees i + 1, which it is to predict.
    leaky = reach(model, source, target, target_mask=torch.ones(5, 5, dtype=torch.bool))
    assert leaky.all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 4), st.integers(1, 5), st.integers(0, 100))
def test_padding_changes_nothing(length, more, written, seed) -> None:
    model, source = tiny(), tokens(2, length, seed=seed)
    target = tokens(2, written, high=9, seed=seed + 1)
    padded = F.pad(source, (0, more))
    assert_close(model(padded, target), model(source, target), **CLOSE)
    # A target's padding lies in the future of its words.
    longer = F.pad(target, (0, more))
    assert_close(model(source, longer)[:, :written], model(source, target), **CLOSE)


def test_source_mask_by_hand() -> None:
    model, source, target = tiny(), tokens(2, 6), tokens(2, 4, high=9)
    mask = torch.tensor([[True] * 6, [True, False, True, False, True, True]])
    output, weights = model(source, target, source_mask=mask, return_weights=True)
    assert weights.shape == (2, 3, 4, 4, 6)
    assert_close(weights.sum(-1), torch.ones(2, 3, 4, 4))
    assert not weights[1][..., ~mask[1]].any()
    assert_close(output, model(source, target, source_mask=mask))
    other = source.clone()
    other[1, 1] = 3 + (other[1, 1] - 2) % 8  # what is hidden may change
    assert_close(model(other, target, source_mask=mask), output)


def test_a_source_that_is_hidden_whole_gives_no_nan() -> None:
    model, target = tiny().train(False), tokens(2, 4, high=9)
    source = tokens(2, 6)
    source[1] = 0
    output, weights = model(source, target, return_weights=True)
    assert output.isfinite().all()
    assert not weights[1].any()
    output.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    # Nothing is fetched: whatever the hidden tokens are, the output is the same.
    nothing = torch.zeros(2, 6, dtype=torch.bool)
    hidden = model(tokens(2, 6, seed=1), target, source_mask=nothing)
    assert_close(hidden, model(tokens(2, 6, seed=2), target, source_mask=nothing))
    assert model.greedy(source, max_length=5).max() < 9


def test_dropout_only_in_training() -> None:
    model, source, target = tiny(dropout=0.5), tokens(2, 6), tokens(2, 4, high=9)
    assert_close(model(source, target), model(source, target))
    model.train()
    assert not torch.allclose(model(source, target), model(source, target))


def test_first_logits_are_of_size_one() -> None:
    """√d in and dᐟ⁻½ in the tie: logits start with a variance of about 1, not √d."""
    torch.manual_seed(0)
    model = Transformer(200, 200, embed_dim=64, num_heads=4, encoder_layers=1, decoder_layers=1)
    logits = model.eval()(tokens(4, 9, high=200), tokens(4, 9, high=200))
    assert 0.7 < logits.std() < 1.4


def test_overfits_one_batch() -> None:
    """Reverses three sentences by heart, and then writes them without a teacher."""
    torch.manual_seed(0)
    sizes = {"embed_dim": 32, "num_heads": 4, "encoder_layers": 1, "decoder_layers": 1}
    model = Transformer(11, **sizes, dropout=0.0, max_length=12)
    source = tokens(6, 5)
    end, start = torch.full((6, 1), 2), torch.full((6, 1), 1)
    target = torch.cat([start, source.flip(1), end], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        logits = model(source, target[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert torch.equal(model.eval().greedy(source), target[:, 1:])
    assert torch.equal(model.beam_search(source), target[:, 1:])


# ---- bad input -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_bad_sizes() -> None:
    with rejects("at least one encoder and one decoder layer, got .0, 1."):
        Transformer(9, encoder_layers=0, decoder_layers=1)
    with rejects("must lie in 0 … 4, and the end must not be the padding"):
        Transformer(9, 5, pad_id=5)
    with rejects("the end must not be the padding, got .0, 1, 0."):
        Transformer(9, end_id=0)
    with rejects(r"dropout must be in \[0, 1\), got 1.0"):
        Transformer(9, dropout=1.0)
    with rejects(r"dropout must be in \[0, 1\), got -0.1"):
        DecoderBlock(8, 2, dropout=-0.1)
    with rejects("multiple of num_heads"):
        Transformer(9, embed_dim=10, num_heads=4)
    with rejects("num_positions must be at least 1, got 0"):
        Transformer(9, embed_dim=8, num_heads=2, max_length=0)
    layers = nn.Transformer(8, 2, 1, 1, 8, activation=torch.tanh)
    with rejects("activation must be F.relu or F.gelu"):
        Transformer.from_torch(layers, nn.Embedding(9, 8))
    odd = nn.Transformer(8, 2, custom_encoder=nn.Identity())
    with rejects("expected a stack of PyTorch's layers, got Identity"):
        Transformer.from_torch(odd, nn.Embedding(9, 8))


def test_bad_input() -> None:
    plain = unchecked("mmcourse.transformers.transformer")
    model = plain.Transformer(11, 9, **SIZES).eval()  # type: ignore[attr-defined]
    source, target = tokens(2, 6), tokens(2, 4, high=9)
    with rejects("tokens must lie in 0 … 10, got .* … 11"):
        model(torch.full((1, 2), 11), target[:1])
    with rejects("tokens must lie in 0 … 8, got -1"):
        model(source, torch.full_like(target, -1))
    with rejects(r"12 positions \(max_length\), got 13 tokens"):
        model(tokens(2, 13), target)
    with rejects(r"12 positions \(max_length\), got 13 tokens"):
        model(source, tokens(2, 13, high=9))
    for empty in (source[:, :0], source[:0]):
        with rejects("neither of them 0"):
            model(empty, target[: len(empty)])
        with rejects("neither of them 0"):
            model.greedy(empty)
    with rejects("neither of them 0"):
        model(source, target[:, :0])
    with rejects("whole numbers of shape .batch, length., .* got torch.float32"):
        model(source.float(), target)
    with rejects("whole numbers of shape"):
        model(source[0], target)
    with rejects(r"source_mask must be bool of shape \(2, 6\), got torch.bool of shape \(2, 5\)"):
        model(source, target, source_mask=source[:, 1:] > 0)
    with rejects("source_mask must be bool .* got torch.int64"):
        model(source, target, source_mask=(source > 0).long())
    with rejects("mask must broadcast"):
        model(source, target, target_mask=causal_mask(5))
    for most in (0, 13):
        with rejects(f"max_length must be in 1 … 12, got {most}"):
            model.greedy(source, max_length=most)
    with rejects("beam ≥ 1 and length_penalty ≥ 0, got 0 and"):
        model.beam_search(source, beam=0)
    with rejects("length_penalty ≥ 0, got 4 and -1"):
        model.beam_search(source, length_penalty=-1.0)
    with pytest.raises(BadInput):
        tiny()(source.float(), target)
