"""The encoder block: attention and a feed-forward network, each with a residual and a norm."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.transformers.attention import MASK, MultiHeadAttention
from mmcourse.transformers.cache import KeyValueCache

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,  # with the error function: BERT, ViT
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),  # GPT-2
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),  # CLIP
    "silu": F.silu,  # also called swish: Marian
}
Branch = Tensor | tuple[Tensor, Tensor]  # a branch's output, maybe with attention weights


class FeedForward(nn.Module):
    """Two linear layers with a bend between them, applied to each token by itself.

    FFN(x) = activation(x W₁ + b₁) W₂ + b₂

    Args:
        embed_dim: width of input and output.
        hidden_dim: width between; 4 · `embed_dim` in the paper and by default.
        activation: "relu" (the paper), "gelu", "gelu_tanh", "quick_gelu" or "silu".
        bias: whether the layers add a bias.

    Raises:
        ValueError: for an unknown activation or a size below 1.

    Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 2.
    """

    def __init__(
        self,
        embed_dim: int,
        hidden_dim: int | None = None,
        *,
        activation: str = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        hidden_dim = 4 * embed_dim if hidden_dim is None else hidden_dim
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {list(ACTIVATIONS)}, got {activation!r}")
        if min(embed_dim, hidden_dim) < 1:
            raise ValueError(f"sizes must be at least 1, got {embed_dim} and {hidden_dim}")
        self.activation = activation
        self.expand = nn.Linear(embed_dim, hidden_dim, bias=bias)
        self.contract = nn.Linear(hidden_dim, embed_dim, bias=bias)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map each vector of x, (…, embed_dim), by itself."""
        return self.contract(ACTIVATIONS[self.activation](self.expand(x)))


class TransformerBlock(nn.Module):
    """One encoder block, with the norm after each sum (post-LN) or inside each branch (pre-LN).

    post-LN:  x ← LN(x + attention(x));   x ← LN(x + FFN(x))
    pre-LN:   x ← x + attention(LN(x));   x ← x + FFN(LN(x))

    A pre-LN stack needs one more norm after its last block; whoever stacks the blocks adds it.

    Args:
        embed_dim: width of the tokens.
        num_heads: number of heads; must divide `embed_dim`.
        hidden_dim: width inside the feed-forward network, 4 · `embed_dim` by default.
        norm_first: False for post-LN (the paper), True for pre-LN (GPT-2, ViT).
        dropout: share of each branch's output that is dropped in training, in [0, 1).
        activation: see `FeedForward`.
        norm_eps: added to the variance inside the norms.
        bias: whether linear layers and norms add a bias.

    Raises:
        ValueError: for sizes that do not fit, or dropout outside [0, 1).

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.1; pre-LN: Xiong et al. 2020,
    arXiv:2002.04745. Dropout only where the paper has it, on each branch's output.
    """

    attentions = ("attention",)  # the decoder block has one more
    attention: MultiHeadAttention
    attention_norm: nn.LayerNorm
    feed_forward_norm: nn.LayerNorm

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        hidden_dim: int | None = None,
        norm_first: bool = False,
        dropout: float = 0.0,
        activation: str = "relu",
        norm_eps: float = 1e-5,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        self.norm_first = norm_first
        for name in self.attentions:
            self.add_module(name, MultiHeadAttention(embed_dim, num_heads, bias=bias))
        self.feed_forward = FeedForward(embed_dim, hidden_dim, activation=activation, bias=bias)
        for name in (*self.attentions, "feed_forward"):
            self.add_module(f"{name}_norm", nn.LayerNorm(embed_dim, eps=norm_eps, bias=bias))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        mask: MASK | None = None,
        return_weights: bool = False,
        cache: KeyValueCache | None = None,
    ) -> (
        Float[Tensor, "batch tokens width"]
        | tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch heads tokens keys"]]
    ):
        """Mix the tokens by attention, then change each by itself.

        Args:
            x: (batch, tokens, embed_dim).
            mask: True = may be attended to; shapes as in `MultiHeadAttention`.
            return_weights: also return the attention weights (batch, heads, tokens, keys).
            cache: earlier tokens' keys and values, as in `MultiHeadAttention`.
        """

        def look(y: Tensor) -> Branch:
            return self.attention(y, mask=mask, return_weights=return_weights, cache=cache)

        x, weights = self.residual_sum(x, look, self.attention_norm)
        x, _ = self.residual_sum(x, self.feed_forward, self.feed_forward_norm)
        return x if weights is None else (x, weights)

    def residual_sum(
        self,
        x: Float[Tensor, "batch tokens width"],
        branch: Callable[[Tensor], Branch],
        norm: nn.Module,
    ) -> tuple[Float[Tensor, "batch tokens width"], Tensor | None]:
        """LN(x + branch(x)) in post-LN, x + branch(LN(x)) in pre-LN.

        Returns:
            the sum, and the attention weights if the branch returns them beside its output.
        """
        added = branch(norm(x) if self.norm_first else x)
        added, weights = added if isinstance(added, tuple) else (added, None)
        x = x + self.dropout(added)
        return (x if self.norm_first else norm(x)), weights

    @classmethod
    def from_torch(
        cls, layer: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer
    ) -> "TransformerBlock":
        """The same block with the weights of PyTorch's layer, in either order.

        Raises:
            ValueError: if its activation is neither relu nor gelu.
        """
        names = {F.relu: "relu", F.gelu: "gelu"}
        if layer.activation not in names:
            raise ValueError(f"activation must be F.relu or F.gelu, got {layer.activation}")
        ours = cls(
            layer.self_attn.embed_dim,
            layer.self_attn.num_heads,
            hidden_dim=layer.linear1.out_features,
            norm_first=layer.norm_first,
            dropout=layer.dropout1.p,
            activation=names[layer.activation],
            norm_eps=layer.norm1.eps,
            bias=layer.linear1.bias is not None,
        ).to(layer.linear1.weight)
        ours.attention = MultiHeadAttention.from_torch(layer.self_attn)
        ours.feed_forward.expand.load_state_dict(layer.linear1.state_dict())
        ours.feed_forward.contract.load_state_dict(layer.linear2.state_dict())
        ours.attention_norm.load_state_dict(layer.norm1.state_dict())
        ours.feed_forward_norm.load_state_dict(layer.norm2.state_dict())
        return ours
