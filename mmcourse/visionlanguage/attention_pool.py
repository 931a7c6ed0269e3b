"""Attention pooling: one vector of a grid of features, by asking it instead of averaging it."""

from collections.abc import Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.transformers.attention import MultiHeadAttention
from mmcourse.weights import load_strict

# The published names of the four layers.
NAMES = {
    "q_proj": "attention.query",
    "k_proj": "attention.key",
    "v_proj": "attention.value",
    "c_proj": "output",
}


class AttentionPool(nn.Module):
    """The mean of a feature map asks all places, itself included, and what it gets is the output.

    tokens = [mean; places] + P,   output = attention(query = tokens₀, keys = values = tokens)

    One layer of attention, without residual and norm. The output layer may change the width: in
    CLIP's ResNets it is also the projection into the common space.

    Args:
        side: rows, and columns, of the feature map.
        width: its channels.
        num_heads: attention heads; must divide `width`.
        output_dim: width of the output, `width` by default.

    Raises:
        ValueError: for sizes below 1, or heads that do not divide `width`.

    Source: Radford et al. 2021, arXiv:2103.00020, §2.4; side² + 1 learned positions as in
        `AttentionPool2d` of its published code.
    """

    def __init__(
        self, side: int, width: int, num_heads: int, *, output_dim: int | None = None
    ) -> None:
        super().__init__()
        output_dim = width if output_dim is None else output_dim
        if min(side, output_dim) < 1:
            raise ValueError(f"sizes must be at least 1, got side {side}, output {output_dim}")
        self.side = side
        self.attention = MultiHeadAttention(width, num_heads)
        # Its own output layer gives way to one that may change the width.
        self.attention.add_module("output", nn.Identity())
        self.output = nn.Linear(width, output_dim)
        self.positions = nn.Parameter(width**-0.5 * torch.randn(side * side + 1, width))

    def forward(
        self, features: Float[Tensor, "batch width side side"], return_weights: bool = False
    ) -> (
        Float[Tensor, "batch output"]
        | tuple[Float[Tensor, "batch output"], Float[Tensor, "batch heads tokens"]]
    ):
        """One vector of each feature map (batch, width, side, side).

        Args:
            return_weights: also return how much each head took from the mean (place 0) and from
                each place, row by row: (batch, heads, 1 + side²).

        Raises:
            ValueError: whole numbers, or a feature map of another size.
        """
        wanted = (self.positions.shape[1], self.side, self.side)
        if tuple(features.shape[1:]) != wanted or not features.is_floating_point():
            raise ValueError(
                f"features must be float (batch, {', '.join(map(str, wanted))}), "
                f"got {features.dtype} of shape {tuple(features.shape)}"
            )
        places = rearrange(features, "b c h w -> b (h w) c")
        tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1) + self.positions
        pooled = self.attention(tokens[:, :1], tokens, return_weights=return_weights)
        if isinstance(pooled, tuple):
            return self.output(pooled[0][:, 0]), pooled[1][:, :, 0]
        return self.output(pooled[:, 0])

    @classmethod
    def from_open_clip(cls, state: Mapping[str, Tensor], num_heads: int) -> "AttentionPool":
        """The same module with the weights of open_clip's `AttentionPool2d`.

        Args:
            state: its state dict, or of a whole model the part below "visual.attnpool.".
            num_heads: the weights do not tell; 32 in the published RN50.

        Raises:
            ValueError: a weight is missing, unexpected or misshapen.
        """
        needed = {"positional_embedding", *(f"{n}.{e}" for n in NAMES for e in ("weight", "bias"))}
        if set(state) != needed:
            raise ValueError(f"need the weights {sorted(needed)}, got {sorted(state)}")
        places, width = state["positional_embedding"].shape
        side = round((places - 1) ** 0.5)
        pool = cls(side, width, num_heads, output_dim=len(state["c_proj.weight"]))
        ours = {"positions": state["positional_embedding"]}
        for theirs, name in NAMES.items():
            for end in ("weight", "bias"):
                ours[f"{name}.{end}"] = state[f"{theirs}.{end}"]
        load_strict(pool, ours)
        return pool.eval()
