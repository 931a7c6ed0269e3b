"""The Vision Transformer: a picture cut into patches and read like a sentence."""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.transformers.block import TransformerBlock
from mmcourse.transformers.patches import PatchEmbedding, resize_positions
from mmcourse.weights import load_strict, read_checkpoint, read_tensors


class ViT(nn.Module):
    """An encoder of pictures: patches, a class token, learned positions, pre-LN blocks.

    z₀ = [class; patches E] + positions;   z ← block(z);   logits = head(LN(z)[class])

    Args:
        image_size: height and width of the pictures in pixels.
        patch_size: side of a patch; divides `image_size`.
        channels: 3 for colour, 1 for grey.
        embed_dim, num_layers, num_heads: width, number of blocks, heads in each.
        hidden_dim: width inside the feed-forward networks, 4 · `embed_dim` by default.
        num_classes: logits; 0 for no head, then the pooled vector comes out.
        pool: "cls" reads the class token, "mean" the mean of the patch tokens.
        dropout: share dropped after the positions and in each branch, in [0, 1).
        activation: see `FeedForward`.
        norm_eps: added to the variance inside the norms.

    Raises:
        ValueError: for sizes that do not fit or an unknown `pool`.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, §3.1. The defaults are ViT-B/16.
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        patch_size: int = 16,
        channels: int = 3,
        embed_dim: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        hidden_dim: int | None = None,
        num_classes: int = 1000,
        pool: str = "cls",
        dropout: float = 0.0,
        activation: str = "gelu",
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        _check_sizes(image_size, patch_size, channels, num_layers, num_classes, pool)
        self.image_size, self.pool = image_size, pool
        options = {"hidden_dim": hidden_dim, "dropout": dropout, "activation": activation}
        self.blocks = nn.Sequential(
            *(
                TransformerBlock(
                    embed_dim, num_heads, norm_first=True, norm_eps=norm_eps, **options
                )
                for _ in range(num_layers)
            )
        )
        self.patches = PatchEmbedding(patch_size, channels, embed_dim)
        count = (image_size // patch_size) ** 2
        self.class_token = nn.Parameter(torch.zeros(embed_dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1 + count, embed_dim))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.head = nn.Linear(embed_dim, num_classes) if num_classes else nn.Identity()
        for weight in self.head.parameters():  # a new network holds every class equally likely
            nn.init.zeros_(weight)

    def embed(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens embed_dim"]:
        """The tokens that enter the first block, (batch, 1 + patches, width)."""
        self._check(images)
        tokens = self.patches(images)
        first = self.class_token.expand(len(tokens), 1, -1)
        tokens = torch.cat([first, tokens], dim=1)  # (batch, 1 + patches, width)
        return self.dropout(tokens + self.positions)

    def features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens embed_dim"]:
        """All tokens after the last norm, the class token first."""
        return self.norm(self.blocks(self.embed(images)))

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits (batch, classes) of pictures in [-1, 1].

        Raises:
            ValueError: for integer pictures, or another size or number of channels.
        """
        tokens = self.blocks(self.embed(images))
        pooled = tokens[:, 0] if self.pool == "cls" else tokens[:, 1:].mean(dim=1)
        return self.head(self.norm(pooled))

    def attention(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "layers batch heads tokens tokens"]:
        """Who looks at whom: the weights of every layer and head; token 0 is the class token."""
        tokens, seen = self.embed(images), []
        for block in self.blocks:
            tokens, weights = block(tokens, return_weights=True)
            seen.append(weights)
        return torch.stack(seen)

    def resized(self, image_size: int) -> "ViT":
        """A copy for pictures of another size: more or fewer patches, positions stretched.

        Raises:
            ValueError: if the patch size does not divide `image_size`.
        """
        patch = self.patches.patch_size
        if image_size < patch or image_size % patch:
            raise ValueError(f"image_size must be a multiple of {patch}, got {image_size}")
        other, side = copy.deepcopy(self), image_size // patch
        other.image_size = image_size
        stretched = resize_positions(self.positions.detach(), side, side)
        other.positions = nn.Parameter(stretched.clone())
        return other

    def _check(self, images: Tensor) -> None:
        size, channels = self.image_size, self.patches.channels
        wanted = (channels, size, size)
        if not images.is_floating_point() or tuple(images.shape[1:]) != wanted:
            raise ValueError(
                f"images must be floating point of shape (batch, {channels}, {size}, {size}), "
                f"got {images.dtype} of shape {tuple(images.shape)} "
                "(another size: see `resized`)"
            )

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "ViT":
        """Load a published `ViTForImageClassification` checkpoint (config.json, safetensors).

        Returns:
            The model in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.transformers.vit_checkpoint import from_huggingface

        config, tensors = read_checkpoint(path_or_hub_id)
        return cls._loaded(*from_huggingface(config, tensors))

    @classmethod
    def from_timm(
        cls, source: Mapping[str, Tensor] | str | Path, *, num_heads: int | None = None
    ) -> "ViT":
        """Load the state dict of a timm `VisionTransformer`; its sizes follow from the shapes.

        Args:
            source: the state dict, a .safetensors file of it, or a checkpoint folder or hub id.
            num_heads: only the heads leave no trace in the shapes; by default those of the
                published widths (192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16).

        Returns:
            The model in evaluation mode, with timm's eps of 1e-6 in the norms.

        Raises:
            ValueError: no such file, another architecture, or an unknown number of heads.
        """
        from mmcourse.transformers.vit_checkpoint import from_timm

        if not isinstance(source, Mapping):
            one_file = Path(source).is_file()
            source = read_tensors(source) if one_file else read_checkpoint(source)[1]
        return cls._loaded(*from_timm(source, num_heads))

    @classmethod
    def _loaded(cls, options: Mapping, tensors: Mapping[str, Tensor]) -> "ViT":
        model = cls(**options)
        load_strict(model, tensors)
        return model.eval()


def _check_sizes(
    image_size: int, patch_size: int, channels: int, num_layers: int, num_classes: int, pool: str
) -> None:
    if min(image_size, patch_size, channels, num_layers, num_classes + 1) < 1:
        raise ValueError(
            "sizes must be positive (num_classes may be 0), got image_size "
            f"{image_size}, patch_size {patch_size}, channels {channels}, num_layers "
            f"{num_layers}, num_classes {num_classes}"
        )
    if image_size % patch_size:
        raise ValueError(f"patch_size must divide {image_size}, got {patch_size}")
    if pool not in ("cls", "mean"):
        raise ValueError(f'pool must be "cls" or "mean", got {pool!r}')
