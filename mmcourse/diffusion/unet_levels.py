"""The levels of the U-Net: the way down, the middle, and the way up that reads the shortcuts.

A level is given what makes its blocks, so that self-attention, cross-attention or nothing at all
may stand behind each ResNet block.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmcourse.diffusion.unet_blocks import Downsample, Upsample

MakeBlock = Callable[[int, int], nn.Module]
# Makes an attention layer for a number of channels; it is called as layer(x, context).
MakeAttention = Callable[[int], nn.Module]


class DownLevel(nn.Module):
    """ResNet blocks, each followed by attention if there is any, then half the size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        blocks: int,
        make_block: MakeBlock,
        make_attention: MakeAttention | None,
        downsample: Downsample | None,
    ) -> None:
        super().__init__()
        widths = [in_channels, *[out_channels] * (blocks - 1)]
        self.resnets = nn.ModuleList(make_block(width, out_channels) for width in widths)
        made = [] if make_attention is None else [make_attention(out_channels) for _ in widths]
        self.attentions = nn.ModuleList(made)
        self.downsamplers = nn.ModuleList([] if downsample is None else [downsample])

    def forward(
        self, x: Tensor, time: Tensor, context: Tensor | None, skips: list[Tensor]
    ) -> Tensor:
        """Append every intermediate result to `skips`, and return the last."""
        for index, block in enumerate(self.resnets):
            x = block(x, time)
            if self.attentions:
                x = self.attentions[index](x, context)
            skips.append(x)
        for downsample in self.downsamplers:
            x = downsample(x)
            skips.append(x)
        return x


class MiddleLevel(nn.Module):
    """ResNet block, attention, ResNet block at the smallest size."""

    def __init__(
        self, channels: int, make_block: MakeBlock, make_attention: MakeAttention | None
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(make_block(channels, channels) for _ in range(2))
        made = [] if make_attention is None else [make_attention(channels)]
        self.attentions = nn.ModuleList(made)

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        x = self.resnets[0](x, time)
        for attention in self.attentions:
            x = attention(x, context)
        return self.resnets[1](x, time)


class UpLevel(nn.Module):
    """ResNet blocks that read the shortcuts, each followed by attention, then twice the size."""

    def __init__(
        self,
        in_channels: int,
        skip_channels: Sequence[int],
        out_channels: int,
        make_block: MakeBlock,
        make_attention: MakeAttention | None,
        upsample: Upsample | None,
    ) -> None:
        super().__init__()
        widths = [in_channels, *[out_channels] * (len(skip_channels) - 1)]
        self.resnets = nn.ModuleList(
            make_block(width + skip, out_channels)
            for width, skip in zip(widths, skip_channels, strict=True)
        )
        made = [] if make_attention is None else [make_attention(out_channels) for _ in widths]
        self.attentions = nn.ModuleList(made)
        self.upsamplers = nn.ModuleList([] if upsample is None else [upsample])

    def forward(
        self, x: Tensor, time: Tensor, context: Tensor | None, skips: list[Tensor]
    ) -> Tensor:
        """Take as many results off the end of `skips` as there are blocks."""
        for index, block in enumerate(self.resnets):
            x = block(torch.cat([x, skips.pop()], dim=1), time)
            if self.attentions:
                x = self.attentions[index](x, context)
        for upsample in self.upsamplers:
            x = upsample(x)
        return x
