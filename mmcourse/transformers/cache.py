"""The cache of keys and values: what a generating model need not compute twice."""

from jaxtyping import Float
from torch import Tensor

PAIR = tuple[Float[Tensor, "batch heads tokens d"], Float[Tensor, "batch heads tokens d"]]


class KeyValueCache:
    """The keys and values of all tokens so far, in one attention layer.

    A causal token never changes once it is there: later tokens cannot be seen from it. So its
    key and value are computed once and kept. Room for all tokens is set aside at the first
    call, and each call writes into it; growing a tensor would copy everything at every token.

    Args:
        max_tokens: how many tokens there will be at most.

    Raises:
        ValueError: if `max_tokens` is below 1.
    """

    def __init__(self, max_tokens: int) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
        self.max_tokens, self.length = max_tokens, 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def extend(
        self, k: Float[Tensor, "batch heads new d"], v: Float[Tensor, "batch heads new d"]
    ) -> PAIR:
        """Append new tokens' keys and values; return those of all tokens so far.

        Raises:
            ValueError: if there is no room left, or the batch, heads or width differ from before.
        """
        start, end = self.length, self.length + k.shape[2]
        if end > self.max_tokens:
            raise ValueError(f"the cache has room for {self.max_tokens} tokens, got {end}")
        if self.keys is None or self.values is None:
            batch, heads, _, width = k.shape
            self.keys = k.new_empty(batch, heads, self.max_tokens, width)
            self.values = v.new_empty(batch, heads, self.max_tokens, width)
        if k.shape[:2] != self.keys.shape[:2] or k.shape[3] != self.keys.shape[3]:
            raise ValueError(
                f"the cache holds (batch, heads, tokens, d) = {tuple(self.keys.shape)}, "
                f"got keys {tuple(k.shape)}"
            )
        self.keys[:, :, start:end] = k
        self.values[:, :, start:end] = v
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]
