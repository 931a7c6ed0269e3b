"""BERT: a stack of encoder blocks that reads in no direction, and its two pre-training heads."""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.ids import check_ids
from mmcourse.transformers.block import ACTIVATIONS, TransformerBlock
from mmcourse.transformers.masking import IGNORED
from mmcourse.weights import load_strict, read_checkpoint

IDS = Int[Tensor, "batch tokens"]
MASK = Bool[Tensor, "batch tokens"] | Int[Tensor, "batch tokens"]


class BertOutput(NamedTuple):
    """The last block's vectors and the answers of the two heads (None without heads)."""

    hidden: Float[Tensor, "batch tokens width"]
    mlm_logits: Float[Tensor, "batch tokens vocab"] | None
    nsp_logits: Float[Tensor, "batch 2"] | None


class BertEmbeddings(nn.Module):
    """What BERT reads: one sum of three learned vectors for each token.

    x = LN(token[id] + segment[0 or 1] + position[place])

    Source: Devlin et al. 2019, arXiv:1810.04805, figure 2.
    """

    def __init__(
        self, vocab_size: int, max_positions: int, num_segments: int, width: int, norm_eps: float
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab_size, width)
        self.segment = nn.Embedding(num_segments, width)
        self.position = nn.Embedding(max_positions, width)
        self.norm = nn.LayerNorm(width, eps=norm_eps)

    def forward(self, input_ids: IDS, token_type_ids: IDS) -> Float[Tensor, "batch tokens width"]:
        """The normalised sum for each token."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        # (batch, tokens, width) twice, and (tokens, width) for every sentence alike
        total = self.token(input_ids) + self.segment(token_type_ids) + self.position(places)
        return self.norm(total)


class Bert(nn.Module):
    """BERT with its two heads: masked words (MLM) and next sentence (NSP).

    hidden = blocks(embeddings);  mlm = LN(gelu(hidden W₁ + b₁)) Eᵀ + b, with E the token
    embeddings themselves (tied);  nsp = tanh(hidden[CLS] W₂ + b₂) W₃ + b₃.

    Args:
        vocab_size: number of tokens.
        embed_dim, num_heads, num_layers: 768, 12, 12 in the base model; 1024, 16, 24 in large.
        hidden_dim: inside the feed-forward networks; 4 · embed_dim by default.
        max_positions: longest sequence.
        num_segments: kinds of `token_type_ids`.
        dropout: on the embeddings and each branch, in [0, 1).
        activation: of the blocks and the MLM head; "gelu" is the exact one, by erf.
        norm_eps: 1e-12 in BERT, smaller than PyTorch's 1e-5.
        heads: False leaves both heads (and their logits) out.

    Raises:
        ValueError: for sizes that do not fit.

    Source: Devlin et al. 2019, arXiv:1810.04805; post-LN blocks. No dropout on the attention
    weights, unlike the original.
    """

    def __init__(
        self,
        vocab_size: int = 30522,
        *,
        embed_dim: int = 768,
        num_heads: int = 12,
        num_layers: int = 12,
        hidden_dim: int | None = None,
        max_positions: int = 512,
        num_segments: int = 2,
        dropout: float = 0.1,
        activation: str = "gelu",
        norm_eps: float = 1e-12,
        heads: bool = True,
    ) -> None:
        super().__init__()
        if min(vocab_size, num_layers, max_positions, num_segments) < 1:
            raise ValueError(
                "vocab_size, num_layers, max_positions and num_segments must be at least 1, "
                f"got {vocab_size}, {num_layers}, {max_positions}, {num_segments}"
            )
        sizes = (vocab_size, max_positions, num_segments, embed_dim, norm_eps)
        self.embeddings = BertEmbeddings(*sizes)
        self.dropout = nn.Dropout(dropout)
        options = {"hidden_dim": hidden_dim, "dropout": dropout, "activation": activation}
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_dim, num_heads, norm_eps=norm_eps, **options)
            for _ in range(num_layers)
        )
        self.pooler = nn.Linear(embed_dim, embed_dim)
        self.mlm = _MaskedWordHead(embed_dim, vocab_size, activation, norm_eps) if heads else None
        self.nsp = nn.Linear(embed_dim, 2) if heads else None
        self.apply(_initialise)

    def layers(
        self,
        input_ids: IDS,
        token_type_ids: IDS | None = None,
        attention_mask: MASK | None = None,
    ) -> list[Float[Tensor, "batch tokens width"]]:
        """The token vectors after the embeddings and after each block: num_layers + 1 of them.

        Arguments and errors as for `forward`.
        """
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        self._check(input_ids, token_type_ids)
        mask = None if attention_mask is None else _keys(attention_mask, input_ids)
        x = self.dropout(self.embeddings(input_ids, token_type_ids))
        found = [x]
        for block in self.blocks:
            x = block(x, mask)
            found.append(x)
        return found

    def pool(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        """The vector of [CLS], once more through a layer and tanh: for whole sentences."""
        return self.pooler(hidden[:, 0]).tanh()

    def forward(
        self,
        input_ids: IDS,
        token_type_ids: IDS | None = None,
        attention_mask: MASK | None = None,
    ) -> BertOutput:
        """Read token numbers; every token looks at every other one, on both sides.

        Args:
            input_ids: (batch, tokens), numbers below vocab_size.
            token_type_ids: (batch, tokens), the segments; all 0 by default.
            attention_mask: (batch, tokens), True (or 1) = a real token, False (0) = padding.

        Returns:
            hidden (batch, tokens, width), mlm_logits (batch, tokens, vocab_size) and
            nsp_logits (batch, 2): column 0 is IsNext, column 1 NotNext.

        Raises:
            ValueError: numbers out of range, a sequence that is empty or longer than
                max_positions, or a mask of another shape or with a row that hides everything.
        """
        hidden = self.layers(input_ids, token_type_ids, attention_mask)[-1]
        if self.mlm is None or self.nsp is None:
            return BertOutput(hidden, None, None)
        words = self.mlm(hidden, self.embeddings.token.weight)
        return BertOutput(hidden, words, self.nsp(self.pool(hidden)))

    def _check(self, input_ids: Tensor, token_type_ids: Tensor) -> None:
        parts = self.embeddings
        if input_ids.ndim != 2 or not 1 <= input_ids.shape[1] <= parts.position.num_embeddings:
            raise ValueError(
                f"input_ids must be (batch, 1 … {parts.position.num_embeddings} tokens), "
                f"got shape {tuple(input_ids.shape)}"
            )
        if token_type_ids.shape != input_ids.shape:
            raise ValueError(
                f"token_type_ids must have the shape {tuple(input_ids.shape)} of input_ids, "
                f"got {tuple(token_type_ids.shape)}"
            )
        check_ids(input_ids, parts.token.num_embeddings, name="input_ids")
        check_ids(token_type_ids, parts.segment.num_embeddings, name="token_type_ids")

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path, *, heads: bool = True) -> "Bert":
        """Load a published BERT (config.json and safetensors), such as "bert-base-uncased".

        Args:
            path_or_hub_id: a folder as transformers' `BertForPreTraining` writes it, or a hub id.
            heads: False for a file that holds the encoder alone (`BertModel`).

        Returns:
            The model in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.transformers.bert_checkpoint import arguments, current_names

        config, tensors = read_checkpoint(path_or_hub_id)
        model = cls(**arguments(config), heads=heads)
        load_strict(model, current_names(tensors, heads=heads))
        return model.eval()


class _MaskedWordHead(nn.Module):
    """LN(activation(x W + b)), times each word's embedding, plus a bias for each word."""

    def __init__(self, width: int, vocab_size: int, activation: str, norm_eps: float) -> None:
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.activation = ACTIVATIONS[activation]
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        return F.linear(self.norm(self.activation(self.transform(x))), words, self.bias)


def pretraining_loss(
    output: BertOutput, mlm_labels: IDS, nsp_labels: Int[Tensor, "batch"]
) -> Float[Tensor, ""]:
    """The mean over the selected words plus the mean over the pairs.

    L = mean −log p(true word | selected) + mean −log p(IsNext or NotNext)

    Args:
        output: of `Bert`, with heads.
        mlm_labels: (batch, tokens), −100 where nothing is to be predicted. If nothing is
            anywhere, the first mean counts 0.
        nsp_labels: (batch,), 0 = IsNext, 1 = NotNext.

    Raises:
        ValueError: a model without heads, or labels of another shape or range.

    Source: Devlin et al. 2019, arXiv:1810.04805, appendix A.2.
    """
    words, pairs = output.mlm_logits, output.nsp_logits
    if words is None or pairs is None:
        raise ValueError("need a model with heads, got one made with heads=False")
    for name, labels, logits in (("mlm", mlm_labels, words), ("nsp", nsp_labels, pairs)):
        if labels.shape != logits.shape[:-1]:
            raise ValueError(
                f"{name}_labels must have shape {tuple(logits.shape[:-1])}, "
                f"got {tuple(labels.shape)}"
            )
        span = f"lie in 0 … {{last}} (or be {IGNORED})"
        check_ids(labels[labels != IGNORED], logits.shape[-1], name=f"{name}_labels", span=span)
    return mean_loss(words.flatten(0, 1), mlm_labels.flatten()) + mean_loss(pairs, nsp_labels)


def mean_loss(
    logits: Float[Tensor, "rows classes"], labels: Int[Tensor, "rows"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the labelled rows alone; 0 where no row is labelled."""
    rows = labels != IGNORED
    total = F.cross_entropy(logits[rows], labels[rows].long(), reduction="sum")
    return total / rows.sum().clamp_min(1)


def _keys(attention_mask: Tensor, input_ids: Tensor) -> Bool[Tensor, "batch 1 tokens"]:
    """The mask for the blocks: the same keys are open to every query of a sentence."""
    if attention_mask.shape != input_ids.shape or attention_mask.is_floating_point():
        raise ValueError(
            f"attention_mask must be bool (or 0 and 1) of shape {tuple(input_ids.shape)}, "
            f"got {attention_mask.dtype} of shape {tuple(attention_mask.shape)}"
        )
    real = attention_mask == 1
    if not bool((real | (attention_mask == 0)).all()):
        raise ValueError("attention_mask must hold 0 and 1 alone, got other numbers")
    if not bool(real.any(dim=1).all()):
        row = int((~real.any(dim=1)).int().argmax())
        raise ValueError(f"attention_mask must leave a token in every row, got none in row {row}")
    return real[:, None]


def _initialise(module: nn.Module) -> None:
    """Normal weights of standard deviation 0.02 and biases 0, as the paper's code has them."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
