"""Attention: the taught formula, its fused twin, the two masks, and several heads at once.

Masks are bool everywhere, and **True = may be attended to**.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmcourse.transformers.cache import KeyValueCache

MASK = Bool[Tensor, "..."]
HEADS = Float[Tensor, "batch heads tokens head_width"]


def scaled_dot_product_attention(
    q: Float[Tensor, "... queries width"],
    k: Float[Tensor, "... keys width"],
    v: Float[Tensor, "... keys value_width"],
    mask: MASK | None = None,
) -> tuple[Float[Tensor, "... queries value_width"], Float[Tensor, "... queries keys"]]:
    """Mix the values, each query weighting them by how well its keys fit.

    softmax(q kᵀ / √d) v, the softmax running over the *keys*.

    Args:
        q: queries, (…, queries, d).
        k: keys, (…, keys, d).
        v: values, (…, keys, value width).
        mask: True = may be attended to; any shape that broadcasts to (…, queries, keys).

    Returns:
        output (…, queries, value width) and weights (…, queries, keys). A weight row sums to
        one; where the mask allows nothing, weights and output are zero (never NaN).

    Raises:
        ValueError: for integer inputs, widths or key counts that differ, or a bad mask.

    Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
    """
    _check_inputs(q, k, v, mask)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        # The lowest finite number, not -inf: a row of only -inf would give 0/0 = NaN.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1).masked_fill(~mask, 0.0)
    return weights @ v, weights


def fused_attention(
    q: Float[Tensor, "... queries width"],
    k: Float[Tensor, "... keys width"],
    v: Float[Tensor, "... keys value_width"],
    mask: MASK | None = None,
) -> Float[Tensor, "... queries value_width"]:
    """The same output from one fused kernel, which never stores the weights.

    Arguments, errors and the guarantee of zeros are those of `scaled_dot_product_attention`.
    On a CPU the fused *backward* pass is slow in 16 bits (between equal to the plain formula
    and twice its time), so there the plain formula runs when gradients are wanted.

    Source: Dao et al. 2022, arXiv:2205.14135 (the kernel is PyTorch's).
    """
    _check_inputs(q, k, v, mask)
    short = q.device.type == "cpu" and q.element_size() < 4
    if short and torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)):
        return scaled_dot_product_attention(q, k, v, mask)[0]
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v)
    mask = mask if mask.ndim > 1 else mask.reshape(1, -1)  # (keys,) → (1, keys)
    # A row with nothing to attend to is opened for the kernel and zeroed afterwards, so that
    # no backend can make NaN of it, neither here nor in the gradient.
    closed = ~mask.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(q, k, v, mask | closed)
    return output.masked_fill(closed, 0.0)


def causal_mask(
    num_queries: int, num_keys: int | None = None, *, device: torch.device | str | None = None
) -> Bool[Tensor, "queries keys"]:
    """True where a query may look: at its own position and at earlier ones.

    The mask is aligned at the bottom right: the last query is the last key. With more keys
    than queries, the first keys are a cache of tokens that came before all queries.

    Raises:
        ValueError: unless 1 ≤ num_queries ≤ num_keys.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.2.3.
    """
    num_keys = num_queries if num_keys is None else num_keys
    if not 1 <= num_queries <= num_keys:
        raise ValueError(f"need 1 ≤ num_queries ≤ num_keys, got {num_queries} and {num_keys}")
    ones = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return ones.tril(num_keys - num_queries)


def padding_mask(
    lengths: Int[Tensor, "batch"], max_length: int | None = None
) -> Bool[Tensor, "batch 1 keys"]:
    """True at the real tokens of each sentence, False at its padding.

    Args:
        lengths: number of real tokens of each sentence, 0 … max_length.
        max_length: length of the padded batch; by default the longest sentence.

    Returns:
        (batch, 1, max_length): the same keys are open to every query. Join it to a causal
        mask with ``&``.

    Raises:
        ValueError: if lengths is not a vector of integers in 0 … max_length.
    """
    if lengths.ndim != 1 or lengths.is_floating_point() or not len(lengths):
        raise ValueError(
            f"lengths must be integers of shape (batch,), got {lengths.dtype} "
            f"of shape {tuple(lengths.shape)}"
        )
    longest = int(lengths.max())
    max_length = longest if max_length is None else max_length
    if longest > max_length or int(lengths.min()) < 0:
        raise ValueError(f"lengths must lie in 0 … {max_length}, got {lengths.tolist()}")
    positions = torch.arange(max_length, device=lengths.device)
    return (positions < lengths[:, None])[:, None]  # (batch, 1, keys)


def split_heads(x: Float[Tensor, "batch tokens width"], num_heads: int) -> HEADS:
    """Cut each vector into `num_heads` neighbouring pieces, one for each head."""
    return rearrange(x, "batch tokens (heads d) -> batch heads tokens d", heads=num_heads)


def merge_heads(x: HEADS) -> Float[Tensor, "batch tokens width"]:
    """Lay the heads' pieces side by side again: the inverse of `split_heads`."""
    return rearrange(x, "batch heads tokens d -> batch tokens (heads d)")


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own slice of the width.

    headᵢ = attention(x Wᵢ^Q, c Wᵢ^K, c Wᵢ^V);  output = [head₁ … head_h] W^O,
    with context c = x for self-attention.

    Args:
        embed_dim: width of x and of the output.
        num_heads: number of heads; must divide `embed_dim`.
        bias: whether the four projections add a bias (the paper's do not).
        context_dim: width of the context, if it differs from `embed_dim`.

    Raises:
        ValueError: if `num_heads` does not divide `embed_dim`, or a size is not positive.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.2.2. No dropout on the weights, as there.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, *, bias: bool = True, context_dim: int | None = None
    ) -> None:
        super().__init__()
        context_dim = embed_dim if context_dim is None else context_dim
        if min(embed_dim, num_heads, context_dim) < 1 or embed_dim % num_heads:
            raise ValueError(
                "embed_dim must be a positive multiple of num_heads and context_dim positive, "
                f"got embed_dim {embed_dim}, num_heads {num_heads}, context_dim {context_dim}"
            )
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.key = nn.Linear(context_dim, embed_dim, bias=bias)
        self.value = nn.Linear(context_dim, embed_dim, bias=bias)
        self.output = nn.Linear(embed_dim, embed_dim, bias=bias)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            if bias:
                nn.init.zeros_(layer.bias)

    def project(
        self, x: Float[Tensor, "batch queries _"], context: Float[Tensor, "batch keys _"]
    ) -> tuple[
        Float[Tensor, "batch heads queries d"],
        Float[Tensor, "batch heads keys d"],
        Float[Tensor, "batch heads keys d"],
    ]:
        """The queries of `x`, and the keys and values of `context`, cut into heads."""
        layers = (self.query, self.key, self.value)
        if context is x and x.shape[0] * x.shape[1] >= self.query.in_features:
            # Many tokens: one wide matrix product is faster than three narrow ones.
            weight = torch.cat([layer.weight for layer in layers])
            bias = torch.cat([p.bias for p in layers]) if layers[0].bias is not None else None
            parts = F.linear(x, weight, bias).chunk(3, dim=-1)
        else:
            parts = (self.query(x), self.key(context), self.value(context))
        # (batch, tokens, width) → (batch, heads, tokens, width / heads)
        return tuple(split_heads(part, self.num_heads) for part in parts)  # type: ignore

    def forward(
        self,
        x: Float[Tensor, "batch queries width"],
        context: Float[Tensor, "batch keys context_width"] | None = None,
        mask: MASK | None = None,
        return_weights: bool = False,
        cache: KeyValueCache | None = None,
    ) -> (
        Float[Tensor, "batch queries width"]
        | tuple[Float[Tensor, "batch queries width"], Float[Tensor, "batch heads queries keys"]]
    ):
        """Let every token of `x` look at the tokens of `context` (by default at `x` itself).

        Args:
            x: (batch, queries, embed_dim).
            context: (batch, keys, context_dim); None for self-attention.
            mask: True = may be attended to; (queries, keys) for all sentences,
                (batch, queries or 1, keys) for all heads, or (batch, heads or 1, queries, keys).
            return_weights: also return the weights, (batch, heads, queries, keys).
            cache: keys and values of earlier tokens, which come before those of the context
                and count as keys in `mask`; the context's are appended to it.

        Raises:
            ValueError: for integer inputs, a wrong width or a mask of another shape.
        """
        context = x if context is None else context
        self._check(x, context, mask)
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]  # the same for every head
        q, k, v = self.project(x, context)
        if cache is not None:
            k, v = cache.extend(k, v)
        if return_weights:
            mixed, weights = scaled_dot_product_attention(q, k, v, mask)
            return self.output(merge_heads(mixed)), weights
        return self.output(merge_heads(fused_attention(q, k, v, mask)))

    def _check(self, x: Tensor, context: Tensor, mask: Tensor | None) -> None:
        for name, given, layer in (("x", x, self.query), ("context", context, self.key)):
            wide = layer.in_features
            if given.ndim != 3 or given.shape[-1] != wide or not given.is_floating_point():
                raise ValueError(
                    f"{name} must be floating point of shape (batch, tokens, {wide}), "
                    f"got {given.dtype} of shape {tuple(given.shape)}"
                )
        if mask is not None and mask.ndim not in (2, 3, 4):
            raise ValueError(
                "mask must be (queries, keys), (batch, queries, keys) or "
                f"(batch, heads, queries, keys), got shape {tuple(mask.shape)}"
            )

    @classmethod
    def from_torch(cls, module: nn.MultiheadAttention) -> "MultiHeadAttention":
        """The same module with the weights of PyTorch's (either ``batch_first``).

        Masks do not carry over: PyTorch's ``attn_mask`` and ``key_padding_mask`` say True =
        *drop*, ours True = may be attended to. Its dropout on the weights is left out.

        Raises:
            ValueError: for ``kdim`` ≠ ``vdim``, ``add_bias_kv`` or ``add_zero_attn``.
        """
        if module.kdim != module.vdim or module.bias_k is not None or module.add_zero_attn:
            raise ValueError(
                "need kdim = vdim, add_bias_kv=False and add_zero_attn=False, got "
                f"kdim {module.kdim}, vdim {module.vdim}, add_bias_kv="
                f"{module.bias_k is not None}, add_zero_attn={module.add_zero_attn}"
            )
        bias = module.in_proj_bias is not None
        sizes = {"bias": bias, "context_dim": module.kdim}
        ours = cls(module.embed_dim, module.num_heads, **sizes).to(module.out_proj.weight)
        if module.in_proj_weight is not None:
            weights: list[Tensor] = list(module.in_proj_weight.chunk(3))
        else:
            weights = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
        weights.append(module.out_proj.weight)
        biases = [*module.in_proj_bias.chunk(3), module.out_proj.bias] if bias else []
        layers = (ours.query, ours.key, ours.value, ours.output)
        with torch.no_grad():
            for layer, weight in zip(layers, weights, strict=True):
                layer.weight.copy_(weight)
            for layer, value in zip(layers, biases, strict=False):
                layer.bias.copy_(value)
        return ours


def _check_inputs(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
    shapes = f"got q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not (q.is_floating_point() and q.dtype == k.dtype == v.dtype):
        raise ValueError(
            f"q, k, v must share one floating dtype, got {q.dtype}, {k.dtype}, {v.dtype}"
        )
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or q.shape[-1] < 1:
        raise ValueError(f"q and k must be (…, tokens, d) with the same d ≥ 1, {shapes}")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"k and v must hold the same number of tokens, {shapes}")
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool (True = may be attended to), got {mask.dtype}")
    wanted = (*torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
    fits = mask.ndim <= len(wanted) and all(
        size in (1, full) for size, full in zip(mask.shape[::-1], wanted[::-1], strict=False)
    )
    if not fits:
        raise ValueError(f"mask must broadcast to {wanted}, got {tuple(mask.shape)}")
