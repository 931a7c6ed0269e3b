"""Networks that also tell what they looked at, for the page."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcourse.transformers import Bert


class WatchedBert(nn.Module):
    """A BERT with its head for masked words, and all its attention weights.

    Args:
        bert: the model, with heads.
        pad_id: the number that fills up a text; nobody looks at it.

    Raises:
        ValueError: a model without heads.
    """

    def __init__(self, bert: Bert, pad_id: int = 0) -> None:
        super().__init__()
        if bert.mlm is None:
            raise ValueError("need a model with heads, got one made with heads=False")
        self.bert, self.pad_id = bert, pad_id

    def forward(self, ids: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        """What stands at every place, and who looked at whom.

        Args:
            ids, segments: (batch, tokens), as for `Bert`.

        Returns:
            logits (batch, tokens, vocabulary) and weights (batch, layers, heads, tokens, tokens).
        """
        bert, mask = self.bert, (ids != self.pad_id)[:, None]
        x = bert.dropout(bert.embeddings(ids, segments))
        weights = []
        for block in bert.blocks:
            x, seen = block(x, mask, return_weights=True)
            weights.append(seen)
        assert bert.mlm is not None
        return bert.mlm(x, bert.embeddings.token.weight), torch.stack(weights, dim=1)
