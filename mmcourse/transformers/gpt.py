"""GPT: a stack of causal blocks that predicts the next token, everywhere at once."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.ids import check_ids
from mmcourse.transformers.attention import causal_mask
from mmcourse.transformers.block import TransformerBlock
from mmcourse.transformers.cache import KeyValueCache
from mmcourse.transformers.generation import generate
from mmcourse.weights import load_strict, read_checkpoint

Caches = Sequence[KeyValueCache] | None


class CausalStack(nn.Module):
    """Vectors in, vectors out: learned positions, causal pre-LN blocks, one norm at the end.

    x₀ = input + positions;  xₗ = blockₗ(xₗ₋₁), each token seeing itself and earlier ones;
    output = LN(x_depth).

    Nothing here is about words: whatever can be written as a sequence of vectors will do.

    Args:
        embed_dim: width of the vectors.
        depth: number of blocks.
        num_heads: attention heads; must divide `embed_dim`.
        max_positions: longest sequence.
        hidden_dim: width inside the feed-forward networks, 4 · `embed_dim` by default.
        dropout: share of the input's and of each branch's output dropped in training.
        activation: see `FeedForward`; GPT-2 has the tanh form of GELU.
        norm_eps: added to the variance inside the norms.
        init_std: standard deviation of the initial weights; positions get half of it, and
            what is added to the residual stream is divided by √(2 · depth).

    Raises:
        ValueError: for sizes below 1, a non-positive `init_std`, or what the block refuses.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", §2.3;
    the starting values are those of its published code (model.py).
    """

    def __init__(
        self,
        embed_dim: int,
        depth: int,
        num_heads: int,
        *,
        max_positions: int,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        activation: str = "gelu_tanh",
        norm_eps: float = 1e-5,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        if min(depth, max_positions) < 1 or init_std <= 0:
            raise ValueError(
                "depth and max_positions must be at least 1 and init_std positive, "
                f"got {depth}, {max_positions} and {init_std}"
            )
        options = {"norm_first": True, "activation": activation, "norm_eps": norm_eps}
        self.blocks = nn.ModuleList(
            TransformerBlock(
                embed_dim, num_heads, hidden_dim=hidden_dim, dropout=dropout, **options
            )
            for _ in range(depth)
        )
        self.positions = nn.Embedding(max_positions, embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.dropout = nn.Dropout(dropout)
        self._initialise(init_std)

    def _initialise(self, std: float) -> None:
        nn.init.normal_(self.positions.weight, std=std / 2)
        calm = std / math.sqrt(2 * len(self.blocks))
        for name, weight in self.blocks.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.ndim == 2:
                last = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(weight, std=calm if last else std)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], caches: Caches = None
    ) -> Float[Tensor, "batch tokens width"]:
        """Let every vector of x, (batch, tokens, embed_dim), see itself and those before it.

        Args:
            x: the vectors; with caches, only those that are not in the caches yet.
            caches: one `KeyValueCache` a block, filled as a side effect.

        Raises:
            ValueError: for no token, or more than there are positions for.
        """
        past = caches[0].length if caches else 0
        new, total = x.shape[1], past + x.shape[1]
        if not 1 <= new <= total <= self.positions.num_embeddings:
            raise ValueError(
                f"need 1 … {self.positions.num_embeddings} tokens, got {new} after {past}"
            )
        x = self.dropout(x + self.positions.weight[past:total])
        # A single new token may see all there is: it needs no mask.
        mask = causal_mask(new, total, device=x.device) if new > 1 else None
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks), strict=True):
            x = block(x, mask, cache=cache)
        return self.norm(x)


class GPT(nn.Module):
    """A language model: p(next token | all tokens before it), for every position at once.

    logits = LN(blocks(E[ids] + P)) Eᵀ.  The same matrix E reads tokens in and out ("tied").

    The defaults are GPT-2 small: 124,439,808 weights.

    Args:
        vocab_size: number of tokens.
        max_positions: longest sequence (1024 in GPT-2).
        embed_dim: width of the vectors.
        depth: number of blocks.
        num_heads: attention heads in each.
        init_std: see `CausalStack`.
        options: hidden_dim, dropout, activation and norm_eps, see `CausalStack` too.

    Raises:
        ValueError: if `vocab_size` is below 1, or `CausalStack` refuses a size.

    Source: Radford et al. 2019, §2.3. No dropout on attention weights.
    """

    def __init__(
        self,
        vocab_size: int = 50257,
        *,
        max_positions: int = 1024,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        init_std: float = 0.02,
        **options: Any,
    ) -> None:
        super().__init__()
        if vocab_size < 1:
            raise ValueError(f"vocab_size must be at least 1, got {vocab_size}")
        options |= {"max_positions": max_positions, "init_std": init_std}
        self.stack = CausalStack(embed_dim, depth, num_heads, **options)
        self.tokens = nn.Embedding(vocab_size, embed_dim)
        nn.init.normal_(self.tokens.weight, std=init_std)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.tokens.num_embeddings

    @property
    def max_positions(self) -> int:
        """Longest sequence."""
        return self.stack.positions.num_embeddings

    def forward(
        self, input_ids: Int[Tensor, "batch tokens"], caches: Caches = None
    ) -> Float[Tensor, "batch tokens vocab"]:
        """Logits of the token that follows each position: (batch, tokens, vocab_size).

        Args:
            input_ids: (batch, tokens), whole numbers from 0 to vocab_size − 1.
            caches: see `CausalStack`.

        Raises:
            ValueError: for another shape or dtype, an id that no token has, or too many tokens.
        """
        return self.logits(self.hidden(input_ids, caches))

    def hidden(
        self, input_ids: Int[Tensor, "batch tokens"], caches: Caches = None
    ) -> Float[Tensor, "batch tokens width"]:
        """The vectors before the last product: what a head for another task would read."""
        self.check_ids(input_ids)
        return self.stack(self.tokens(input_ids), caches)

    def logits(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocab"]:
        """Compare each vector with every token's embedding."""
        return F.linear(hidden, self.tokens.weight)

    def new_caches(self, max_tokens: int) -> list[KeyValueCache]:
        """An empty cache for each block, with room for `max_tokens` tokens."""
        return [KeyValueCache(max_tokens) for _ in self.stack.blocks]

    generate = generate  # the function's first argument, the model, is self

    def check_ids(self, ids: Tensor) -> None:
        """Raise a ValueError unless ids are token numbers of shape (batch, tokens)."""
        check_ids(
            ids,
            self.vocab_size,
            name="input_ids",
            form="be int64 or int32 of shape (batch ≥ 1, tokens ≥ 1)",
            fits=ids.ndim == 2 and ids.numel() > 0,
            span="be from 0 to {last}",
        )

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "GPT":
        """Load a published `GPT2LMHeadModel` checkpoint (config.json and safetensors).

        Args:
            path_or_hub_id: a folder, or a hub id such as "openai-community/gpt2".

        Returns:
            The model in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.transformers.gpt_checkpoint import arguments, our_names

        config, tensors = read_checkpoint(path_or_hub_id)
        model = cls(**arguments(config))
        load_strict(model, our_names(tensors))
        return model.eval()
