"""Networks that also tell what they looked at, for the page."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcourse.diffusion.unet_attention import CrossAttention
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


class WatchedUNet(nn.Module):
    """A U-Net that also tells where each word is read.

    Returns the prediction, and the weights (batch, rows, columns, words), the mean over heads and
    over the cross-attention layers with as many places as z.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, z: Tensor, step: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The prediction, and where each word is read."""
        maps: list[Tensor] = []

        def look(layer: CrossAttention, inputs: tuple[Tensor, Tensor]) -> None:
            if inputs[0].shape[1] == z.shape[2] * z.shape[3]:
                maps.append(layer.weights(*inputs).mean(dim=1))

        layers = [m for n, m in self.unet.named_modules() if n.endswith("attn2")]
        hooks = [layer.register_forward_pre_hook(look) for layer in layers]  # type: ignore
        try:
            found = self.unet(z, step, context)
        finally:
            for hook in hooks:
                hook.remove()
        mean = torch.stack(maps).mean(dim=0)
        return found, mean.reshape(len(z), *z.shape[2:], -1)
