"""The masked autoencoder: hide most patches of a picture, encode the rest, paint the hidden.

The mask is bool, and **True = removed** (not the convention of attention masks).
"""

from pathlib import Path
from typing import NamedTuple

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmcourse.selfsupervision.mae_masking import (
    masked_loss,
    patch_targets,
    random_masking,
    unshuffle,
)
from mmcourse.transformers.block import TransformerBlock
from mmcourse.transformers.positions import wave_frequencies
from mmcourse.transformers.vit import ViT
from mmcourse.weights import load_strict, read_checkpoint


class MAEOutput(NamedTuple):
    """What `MAE` returns: the loss, a guess for every patch, and which patches were removed."""

    loss: Float[Tensor, ""]
    prediction: Float[Tensor, "batch patches numbers"]
    mask: Bool[Tensor, "batch patches"]


def grid_positions(side: int, embed_dim: int) -> Float[Tensor, "tokens embed_dim"]:
    """Fixed positions on a square grid: the first half of the width tells the column.

    [sin(c ω), cos(c ω), sin(r ω), cos(r ω)],  ωᵢ = 10000^(−4i / embed_dim), i < embed_dim/4,
    for the patch in row r and column c; zeros for the class token, which stands first.

    Returns:
        (1 + side², embed_dim), row by row.

    Raises:
        ValueError: if `embed_dim` is no multiple of 4, or `side` below 1.

    Source: He et al. 2022, arXiv:2111.06377, §3; the order of the halves is that of the
    published weights. Sines and cosines lie in blocks, not in turn as in the Transformer.
    """
    if side < 1 or embed_dim < 4 or embed_dim % 4:
        raise ValueError(f"need side ≥ 1 and embed_dim a multiple of 4, got {side} and {embed_dim}")
    angles = torch.arange(side, dtype=torch.float64)[:, None] * wave_frequencies(embed_dim // 2)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, embed_dim / 2)
    columns = repeat(waves, "c half -> (r c) half", r=side)
    rows = repeat(waves, "r half -> (r c) half", c=side)
    table = torch.cat([columns, rows], dim=1)
    table = torch.cat([torch.zeros(1, embed_dim, dtype=table.dtype), table])
    return table.to(torch.get_default_dtype())


class MAEDecoder(nn.Module):
    """The light half of the autoencoder: mask tokens join, a few blocks, pixels come out.

    Args:
        embed_dim: width of the encoder's tokens, which come in.
        side: patches along a side of the picture.
        numbers: pixels of a patch times channels, which come out.
        decoder_dim, num_layers, num_heads, hidden_dim: its own sizes.
        activation, norm_eps: as in `TransformerBlock`.

    Source: He et al. 2022, arXiv:2111.06377, §3 ("MAE decoder").
    """

    positions: Tensor

    def __init__(
        self,
        embed_dim: int,
        side: int,
        numbers: int,
        *,
        decoder_dim: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int | None,
        activation: str,
        norm_eps: float,
    ) -> None:
        super().__init__()
        options = {"hidden_dim": hidden_dim, "activation": activation, "norm_eps": norm_eps}
        self.embed = nn.Linear(embed_dim, decoder_dim)
        self.mask_token = nn.Parameter(0.02 * torch.randn(decoder_dim))
        self.register_buffer("positions", grid_positions(side, decoder_dim))
        self.blocks = nn.Sequential(
            *(
                TransformerBlock(decoder_dim, num_heads, norm_first=True, **options)
                for _ in range(num_layers)
            )
        )
        self.norm = nn.LayerNorm(decoder_dim, eps=norm_eps)
        self.predict = nn.Linear(decoder_dim, numbers)

    def forward(
        self,
        latent: Float[Tensor, "batch tokens embed_dim"],
        ids_restore: Int[Tensor, "batch patches"],
    ) -> Float[Tensor, "batch patches numbers"]:
        """A guess for every patch, from the class token and the kept patches."""
        x = self.embed(latent)
        patches = unshuffle(x[:, 1:], self.mask_token, ids_restore)
        x = torch.cat([x[:, :1], patches], dim=1) + self.positions  # (batch, 1 + patches, width)
        return self.predict(self.norm(self.blocks(x)))[:, 1:]


class MAE(nn.Module):
    """A Vision Transformer that learns by painting what was removed.

    The encoder, `encoder`, is a plain `ViT` and sees the kept patches alone; after training
    it is what one keeps. The decoder sees all places, with a mask token at the removed ones.

    Args:
        image_size, patch_size, channels, embed_dim, num_layers, num_heads, hidden_dim: the
            encoder's, as in `ViT`; both widths are multiples of 4.
        decoder_dim, decoder_layers, decoder_heads, decoder_hidden_dim: the decoder's.
        mask_ratio: share of the patches to remove, in (0, 1]; at least one must go.
        norm_pix_loss: whether each patch of the target is normalised by itself.
        activation: see `FeedForward`.
        norm_eps: added to the variance inside the norms (1e-6 in the paper's code).

    Raises:
        ValueError: for sizes that do not fit, or a ratio that removes nothing.

    Source: He et al. 2022, arXiv:2111.06377, §3. The defaults are ViT-B/16.
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
        decoder_dim: int = 512,
        decoder_layers: int = 8,
        decoder_heads: int = 16,
        decoder_hidden_dim: int | None = None,
        mask_ratio: float = 0.75,
        norm_pix_loss: bool = False,
        activation: str = "gelu",
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        shared = {"activation": activation, "norm_eps": norm_eps}
        self.encoder = ViT(
            image_size=image_size,
            patch_size=patch_size,
            channels=channels,
            embed_dim=embed_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            num_classes=0,
            **shared,
        )
        side = image_size // patch_size
        _check_ratio(mask_ratio, side**2)
        self.mask_ratio, self.norm_pix_loss = mask_ratio, norm_pix_loss
        self.encoder.positions = nn.Parameter(grid_positions(side, embed_dim), requires_grad=False)
        nn.init.normal_(self.encoder.class_token, std=0.02)
        sizes = {"decoder_dim": decoder_dim, "num_layers": decoder_layers}
        sizes |= {"num_heads": decoder_heads, "hidden_dim": decoder_hidden_dim}
        numbers = patch_size * patch_size * channels
        self.decoder = MAEDecoder(embed_dim, side, numbers, **sizes, **shared)  # type: ignore

    def encode(
        self,
        images: Float[Tensor, "batch channels height width"],
        noise: Float[Tensor, "batch patches"] | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[
        Float[Tensor, "batch tokens embed_dim"],
        Bool[Tensor, "batch patches"],
        Int[Tensor, "batch patches"],
    ]:
        """The encoder's tokens (class token, then the kept patches), mask and ids_restore.

        Positions are added before patches are removed, so that each keeps its own.
        """
        tokens = self.encoder.embed(images)
        kept, mask, ids_restore = random_masking(
            tokens[:, 1:], self.mask_ratio, noise=noise, generator=generator
        )
        tokens = torch.cat([tokens[:, :1], kept], dim=1)  # (batch, 1 + kept, width)
        return self.encoder.norm(self.encoder.blocks(tokens)), mask, ids_restore

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        noise: Float[Tensor, "batch patches"] | None = None,
        generator: torch.Generator | None = None,
    ) -> MAEOutput:
        """Remove patches, guess them, and score the guesses for the removed ones.

        Args:
            images: (batch, channels, height, width) in [-1, 1].
            noise: (batch, patches); the patches with the smallest numbers are kept. None
                draws it from `generator`.

        Raises:
            ValueError: for pictures or noise of another shape.
        """
        latent, mask, ids_restore = self.encode(images, noise, generator)
        prediction = self.decoder(latent, ids_restore).float()
        target = patch_targets(images, self.encoder.patches.patch_size, self.norm_pix_loss)
        return MAEOutput(masked_loss(prediction, target, mask), prediction, mask)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "MAE":
        """Load a published `ViTMAEForPreTraining` checkpoint (config.json, safetensors).

        Returns:
            The model in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.selfsupervision.mae_checkpoint import from_huggingface

        config, tensors = read_checkpoint(path_or_hub_id)
        options, tensors = from_huggingface(config, tensors)
        model = cls(**options)
        load_strict(model, tensors)
        return model.eval()


def _check_ratio(ratio: float, patches: int) -> None:
    if not 0.0 < ratio <= 1.0 or int(patches * (1 - ratio)) >= patches:
        raise ValueError(
            f"mask_ratio must be in (0, 1] and remove at least one of {patches} patches, "
            f"got {ratio}"
        )
