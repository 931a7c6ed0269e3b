"""GPT against transformers' GPT-2, from checkpoint files of every kind."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import BadInput, randomise, rejects, unchecked
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import GPT2Config, GPT2LMHeadModel

from mmcourse.transformers import GPT, CausalStack

FILE = "model.safetensors"
SIZES = {"vocab_size": 29, "n_positions": 12, "n_embd": 24, "n_layer": 3, "n_head": 4}


def reference(**options) -> GPT2LMHeadModel:
    ends = {"bos_token_id": None, "eos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(**{**SIZES, **ends, **options}))
    return randomise(model).eval()


def ids(batch: int = 2, length: int = 9, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(SIZES["vocab_size"], (batch, length), generator=source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reference().save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder: Path, change) -> Path:
    """Replace the tensors of a checkpoint by what `change` makes of them."""
    file = folder / FILE
    tensors = change(load_file(file))
    save_file({name: t.clone().contiguous() for name, t in tensors.items()}, file)
    return folder


def reconfigure(folder: Path, **changes) -> Path:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in config.items() if v != "drop"}))
    return folder


def bare(tensors):
    """As OpenAI's files were first converted: no prefix, the causal masks as buffers."""
    found = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    for layer in range(SIZES["n_layer"]):
        found[f"h.{layer}.attn.bias"] = torch.ones(12, 12).tril()[None, None]
        found[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return found


def with_head(tensors):
    name = "transformer.wte.weight"
    return {**tensors, "lm_head.weight": tensors[name if name in tensors else "wte.weight"]}


def head_alone(tensors):
    """The shared matrix under its other name only."""
    return {k: t for k, t in with_head(tensors).items() if not k.endswith("wte.weight")}


@pytest.mark.parametrize(
    "change", [dict, bare, with_head, lambda t: with_head(bare(t)), head_alone]
)
def test_equals_transformers(folder, change):
    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()
    ours = GPT.from_pretrained(rewrite(folder, change))
    assert not ours.training
    assert_close(ours(ids()), theirs(ids()).logits, rtol=2e-5, atol=2e-5)
    assert_close(ours(ids().int()), ours(ids()))


def test_a_hub_id_resolves_through_the_cache(folder, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("hub")
    snapshot = cache / "models--someone--tiny-gpt2" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    refs = cache / "models--someone--tiny-gpt2" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert_close(
        GPT.from_pretrained("someone/tiny-gpt2")(ids()), GPT.from_pretrained(folder)(ids())
    )


def test_other_sizes_are_read(tmp_path):
    theirs = reference(n_inner=17, layer_norm_epsilon=0.3, activation_function="gelu_pytorch_tanh")
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_pretrained(tmp_path)
    assert_close(ours(ids()), theirs(ids()).logits, rtol=2e-5, atol=2e-5)


def test_wrong_conventions_are_caught(folder):
    ours, x = GPT.from_pretrained(folder), ids()
    expected = GPT2LMHeadModel.from_pretrained(folder).eval()(x).logits
    assert not torch.allclose(ours(x.flip(1)).flip(1), expected, atol=1e-2)

    def differs(message: str) -> None:
        gap = (ours(x) - expected).abs().max().item()
        assert gap > 1e-4, message

    for block in ours.stack.blocks:
        block.feed_forward.activation = "gelu"
    differs("the error function in GELU")
    for block in ours.stack.blocks:
        block.feed_forward.activation = "gelu_tanh"
        block.norm_first = False
    differs("the norm after the sum")
    for block in ours.stack.blocks:
        block.norm_first = True
        block.attention_norm.eps = 1e-2
    differs("another epsilon")
    for block in ours.stack.blocks:
        block.attention_norm.eps = 1e-5
    assert_close(ours(x), expected, rtol=2e-5, atol=2e-5)
    with torch.no_grad():
        for block in ours.stack.blocks:  # square, so that a forgotten transpose loads
            block.attention.output.weight.copy_(block.attention.output.weight.T.clone())
    differs("a linear layer that was not transposed")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt_neo"}, "type 'gpt2', got 'gpt_neo'"),
        ({"activation_function": "gelu"}, "activation_function must be 'gelu_new', got 'gelu'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx must be False"),
        ({"add_cross_attention": True}, "add_cross_attention must be False"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings must be True"),
        ({"n_head": "drop"}, r"missing \['n_head'\]"),
        ({"n_layer": 2}, "unexpected stack.blocks.2"),
        ({"n_layer": 4}, "missing stack.blocks.3"),
        ({"n_embd": 48}, r"must have shape"),
    ],
)
def test_other_configurations_are_refused(folder, changes, message):
    with rejects(message):
        GPT.from_pretrained(reconfigure(folder, **changes))


def test_other_weights_are_refused(folder):
    wrong = torch.ones(SIZES["vocab_size"], SIZES["n_embd"])
    with rejects("lm_head.weight must equal wte.weight"):
        GPT.from_pretrained(rewrite(folder, lambda t: {**t, "lm_head.weight": wrong}))
    rewrite(folder, lambda t: {k: v for k, v in t.items() if k != "lm_head.weight"})
    with rejects("unexpected h.0.attn.extra.weight"):
        GPT.from_pretrained(rewrite(folder, lambda t: {**t, "h.0.attn.extra.weight": wrong}))
    rewrite(folder, lambda t: {k: v for k, v in t.items() if "extra" not in k and "ln_f" not in k})
    with rejects("missing stack.norm.bias, stack.norm.weight"):
        GPT.from_pretrained(folder)
    (folder / FILE).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    with rejects("only a pickle"):
        GPT.from_pretrained(folder)


def test_sizes_of_the_papers():
    """GPT-2 small is not "117M", as its paper says; the others by their published names."""
    sizes = {
        "small": ({}, 124_439_808),
        "medium": ({"embed_dim": 1024, "depth": 24, "num_heads": 16}, 354_823_168),
        "large": ({"embed_dim": 1280, "depth": 36, "num_heads": 20}, 774_030_080),
        "xl": ({"embed_dim": 1600, "depth": 48, "num_heads": 25}, 1_557_611_200),
    }
    for options, expected in sizes.values():
        with torch.device("meta"):
            model = GPT(**options)
        assert sum(p.numel() for p in model.parameters()) == expected
    with torch.device("meta"):
        shape = GPT()(torch.zeros(2, 7, dtype=torch.long)).shape
    assert shape == (2, 7, 50257)


def test_starts_as_gpt2_does():
    torch.manual_seed(0)
    model = GPT(500, max_positions=300, embed_dim=64, depth=6, num_heads=4)
    block = model.stack.blocks[0]
    spread = {
        "tokens": (model.tokens.weight, 0.02),
        "positions": (model.stack.positions.weight, 0.01),
        "query": (block.attention.query.weight, 0.02),
        "expand": (block.feed_forward.expand.weight, 0.02),
        "output": (block.attention.output.weight, 0.02 / math.sqrt(12)),
        "contract": (block.feed_forward.contract.weight, 0.02 / math.sqrt(12)),
    }
    for name, (weight, expected) in spread.items():
        assert weight.std().item() == pytest.approx(expected, rel=0.05), name
    assert all((p == 0).all() for n, p in model.named_parameters() if n.endswith("bias"))
    # So the untrained model knows nothing: its loss is that of guessing.
    x = torch.randint(500, (4, 50))
    loss = F.cross_entropy(model(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(500), rel=0.02)


def test_no_token_sees_a_later_one():
    model = randomise(GPT(29, max_positions=12, embed_dim=16, depth=2, num_heads=2))
    x = ids()
    before = model(x)
    changed = x.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 29
    after = model(changed)
    assert_close(after[:, :5], before[:, :5], rtol=0, atol=0)
    assert ((after - before)[:, 5:].abs().amax(dim=(0, 2)) > 1e-3).all()
    # The loss's gradient must not flow backwards in time either.
    vectors = torch.randn(1, 6, 16, requires_grad=True)
    model.stack(vectors)[:, 2].sum().backward()
    assert (vectors.grad[:, 3:] == 0).all()
    assert (vectors.grad[:, :3] != 0).any(-1).all()


def test_overfits_one_batch():
    torch.manual_seed(0)
    model = GPT(29, max_positions=12, embed_dim=32, depth=2, num_heads=4, dropout=0.0)
    x = ids(8, 9)
    x[:, 0] = torch.arange(8)  # so that the first token tells which row it is
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = F.cross_entropy(model(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    model.eval()
    assert torch.equal(model.generate(x[:, :1], 8, temperature=0), x)


def test_the_stack_takes_any_vectors():
    stack = randomise(CausalStack(12, 2, 3, max_positions=5, activation="quick_gelu"))
    x = torch.randn(2, 5, 12)
    whole = stack(x)
    assert_close(stack(x[:, :3]), whole[:, :3])
    with rejects("need 1 … 5 tokens, got 6 after 0"):
        stack(torch.randn(1, 6, 12))
    with rejects("need 1 … 5 tokens, got 0 after 0"):
        stack(torch.randn(1, 0, 12))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (ids() + 29, "ids must be from 0 to 28, got 29 …"),
        (ids() - 1 - ids(), "ids must be from 0 to 28, got -1 … -1"),
        (ids(1, 13), "need 1 … 12 tokens, got 13"),
        (ids()[:, :0], r"tokens ≥ 1\), got torch.int64 of shape \(2, 0\)"),
    ],
)
def test_bad_ids(bad, message):
    with rejects(message):
        GPT(29, max_positions=12, embed_dim=8, depth=1, num_heads=1)(bad)


def test_bad_kinds_of_ids():
    plain = unchecked("mmcourse.transformers.gpt")
    model = plain.GPT(29, max_positions=12, embed_dim=8, depth=1, num_heads=1)
    for bad in (ids().float(), ids()[0], ids().bool()):
        with rejects("input_ids must be int64 or int32 of shape"):
            model(bad)
        with pytest.raises(BadInput):
            GPT(29, max_positions=12, embed_dim=8, depth=1, num_heads=1)(bad)


def test_bad_sizes():
    with rejects("vocab_size must be at least 1, got 0"):
        GPT(0)
    with rejects("depth and max_positions must be at least 1 and init_std positive, got 0, 8"):
        CausalStack(8, 0, 2, max_positions=8)
    with rejects("init_std positive, got 1, 8 and 0"):
        CausalStack(8, 1, 2, max_positions=8, init_std=0.0)
    with rejects("multiple of num_heads"):
        GPT(5, embed_dim=10, num_heads=4, depth=1)
