"""The U-Net that predicts the noise: down to a small picture, up again, with shortcuts across."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.diffusion.unet_attention import SpatialTransformer
from mmcourse.diffusion.unet_blocks import (
    Downsample,
    ResBlock,
    SelfAttention2d,
    TimeMLP,
    Upsample,
    group_norm,
    silu_,
    time_embedding,
    zeroed,
)
from mmcourse.diffusion.unet_levels import (
    DownLevel,
    MakeAttention,
    MakeBlock,
    MiddleLevel,
    UpLevel,
)
from mmcourse.weights import load_strict, read_checkpoint


class UNet(nn.Module):
    """The network ε_θ(x_t, t): an image in, an image of the same size out.

    Source: Ho et al. 2020, arXiv:2006.11239, appendix B, after Ronneberger et al. 2015. The
        default is its CIFAR-10 network of 35,746,307 parameters (trained with dropout 0.1).
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int | None = None,
        channels: Sequence[int] = (128, 256, 256, 256),
        attention: Sequence[bool] = (False, True, False, False),
        middle_attention: bool = True,
        blocks_per_level: int = 2,
        head_dim: int | None = None,
        groups: int = 32,
        eps: float = 1e-6,
        dropout: float = 0.0,
        num_classes: int | None = None,
        context_dim: int | None = None,
        num_heads: int = 8,
        cosine_first: bool = False,
        frequency_shift: float = 1.0,
        downsample_padding: int = 1,
    ) -> None:
        """Build the network.

        Args:
            in_channels: of the image.
            out_channels: of the prediction; None = in_channels.
            channels: width of each level, the first at full size; each next level halves it.
            attention: whether a level has self-attention, one flag a level.
            middle_attention: whether the middle has self-attention.
            blocks_per_level: ResNet blocks a level on the way down; one more on the way up.
            head_dim: channels per attention head; None = a single head.
            groups: of every GroupNorm; must divide every width.
            eps: of every GroupNorm.
            dropout: inside ResNet blocks, in [0, 1).
            num_classes: learn an embedding per class, added to the time; None = no classes.
            context_dim: width of the words; attention then is a `SpatialTransformer`, which
                looks at the picture and reads the words. None = no words.
            num_heads: heads of these, in place of head_dim.
            cosine_first: layout of the time embedding, see `time_embedding`.
            frequency_shift: frequencies of the time embedding, see `time_embedding`.
            downsample_padding: 1, or 0 to pad right and bottom only.

        Raises:
            ValueError: levels and flags differ in number, a width does not fit the groups, or
                both classes and words are wanted.
        """
        super().__init__()
        _check_levels(channels, attention, blocks_per_level, dropout)
        _check_one(num_classes, context_dim)
        time_width = 4 * channels[0]
        self.embed_dim, self.downsamplings = channels[0], len(channels) - 1
        self.cosine_first, self.frequency_shift = cosine_first, frequency_shift
        self.context_dim, self.in_channels = context_dim, in_channels
        self.time_embedding = TimeMLP(channels[0], time_width)
        if num_classes is not None:
            self.class_embedding = nn.Embedding(num_classes, time_width)
        time_embedding(torch.zeros(1), channels[0], frequency_shift=frequency_shift)  # may raise

        options = {"time_width": time_width, "groups": groups, "eps": eps, "dropout": dropout}
        block = functools.partial(ResBlock, **options)
        attend = _looker(head_dim, groups, eps)
        if context_dim is not None:
            attend = _reader(context_dim, num_heads, groups)
        makers = [attend if wanted else None for wanted in attention]
        self.conv_in = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self._build_levels(channels, makers, blocks_per_level, block, downsample_padding)
        self.mid_block = MiddleLevel(channels[-1], block, attend if middle_attention else None)
        self.conv_norm_out = group_norm(groups, channels[0], eps)
        self.conv_out = zeroed(nn.Conv2d(channels[0], out_channels or in_channels, 3, padding=1))

    def _build_levels(
        self,
        channels: Sequence[int],
        makers: Sequence[MakeAttention | None],
        blocks: int,
        make_block: MakeBlock,
        padding: int,
    ) -> None:
        """The way down, and the way up that mirrors it."""
        last = len(channels) - 1
        skips, width = [channels[0]], channels[0]
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for level, out in enumerate(channels):
            down = Downsample(out, padding=padding) if level < last else None
            self.down_blocks.append(DownLevel(width, out, blocks, make_block, makers[level], down))
            skips += [out] * (blocks + (level < last))
            width = out
        for level in reversed(range(len(channels))):
            out = channels[level]
            taken = [skips.pop() for _ in range(blocks + 1)]
            up = Upsample(out) if level > 0 else None
            self.up_blocks.append(UpLevel(width, taken, out, make_block, makers[level], up))
            width = out

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        step: Int[Tensor, "batch"] | int,
        context: Int[Tensor, "batch"] | Float[Tensor, "batch words context_dim"] | None = None,
    ) -> Float[Tensor, "batch out height width"]:
        """Predict the noise in x_t.

        Args:
            x: noisy images; height and width divisible by 2^(levels − 1).
            step: code indices (batch,), or one for all.
            context: class of each image (batch,), −1 = no class, None = no class for any; or,
                with `context_dim`, the words (batch, words, context_dim), which it then needs.

        Returns:
            ε̂ (batch, out_channels, height, width).

        Raises:
            ValueError: the size does not divide, or the context is not what the network reads.
        """
        _check_images(x, 2**self.downsamplings)
        words = self._words(x, context)
        time = self._embed(x, step, context if words is None else None)
        x = self.conv_in(x)
        skips = [x]
        for level in self.down_blocks:
            x = level(x, time, words, skips)
        x = self.mid_block(x, time, words)
        for level in self.up_blocks:
            x = level(x, time, words, skips)
        return self.conv_out(silu_(self.conv_norm_out(x)))

    def _words(self, x: Tensor, context: Tensor | None) -> Tensor | None:
        """The context, where it is words and fits."""
        if self.context_dim is None:
            return None
        wanted = f"float words (batch {len(x)}, words, {self.context_dim})"
        if context is None or not context.is_floating_point() or context.ndim != 3:
            found = None if context is None else f"{context.dtype} {tuple(context.shape)}"
            raise ValueError(f"context must be {wanted}, got {found}")
        if context.shape[0] != len(x) or context.shape[2] != self.context_dim:
            raise ValueError(f"context must be {wanted}, got {tuple(context.shape)}")
        return context

    def _embed(self, x: Tensor, step: Tensor | int, context: Tensor | None) -> Tensor:
        """Time, and class if there is one, as one vector per image."""
        if not isinstance(step, Tensor):
            step = torch.full((len(x),), step, device=x.device)
        waves = time_embedding(
            step,
            self.embed_dim,
            cosine_first=self.cosine_first,
            frequency_shift=self.frequency_shift,
        )
        time = self.time_embedding(waves.to(x.dtype))
        if context is None:
            return time
        if not hasattr(self, "class_embedding"):
            raise ValueError("context was given, but this U-Net was built without num_classes")
        known = (context >= 0).unsqueeze(1)  # (batch,) -> (batch, 1)
        return time + self.class_embedding(context.clamp(min=0)) * known

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "UNet":
        """Load a published `UNet2DModel` or `UNet2DConditionModel` (config.json, safetensors).

        Args:
            path_or_hub_id: a folder, or a hub id such as "google/ddpm-cifar10-32". Of the
                conditional ones, those with the layout of Stable Diffusion 1.x.

        Returns:
            The network in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.diffusion.unet_checkpoint import arguments, current_names

        config, tensors = read_checkpoint(path_or_hub_id)
        model = cls(**arguments(config))
        load_strict(model, current_names(tensors))
        return model.eval()


def _looker(head_dim: int | None, groups: int, eps: float) -> MakeAttention:
    """Makes self-attention: the picture looks at itself."""
    return lambda width: SelfAttention2d(width, head_dim=head_dim, groups=groups, eps=eps)


def _reader(context_dim: int, num_heads: int, groups: int) -> MakeAttention:
    """Makes cross-attention: the picture also reads words."""
    options = {"num_heads": num_heads, "context_dim": context_dim, "groups": groups}
    return lambda width: SpatialTransformer(width, **options)


def _check_levels(
    channels: Sequence[int], attention: Sequence[Any], blocks: int, dropout: float
) -> None:
    if len(channels) == 0 or len(channels) != len(attention):
        raise ValueError(
            f"attention must have one flag per level, got {len(attention)} for {len(channels)}"
        )
    if blocks < 1:
        raise ValueError(f"blocks_per_level must be at least 1, got {blocks}")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")


def _check_one(num_classes: int | None, context_dim: int | None) -> None:
    if None not in (num_classes, context_dim):
        raise ValueError("a U-Net takes classes or words: num_classes or context_dim, not both")


def _check_images(x: Tensor, factor: int) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"x must be float images (batch, channels, height, width), "
            f"got {x.dtype} {tuple(x.shape)}"
        )
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(
            f"height and width must be divisible by {factor}, got {x.shape[2]} × {x.shape[3]}"
        )
