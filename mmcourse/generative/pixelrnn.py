"""PixelRNN: an LSTM that walks down the rows of a picture, all columns of a row at once."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.generative.autoregressive import MAP, Head, MaskedConv2d
from mmcourse.generative.pixels import IMAGES, LOGITS


def lstm_cell(
    gates: Float[Tensor, "four batch *shape"], cell: Float[Tensor, "batch *shape"]
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "batch *shape"]]:
    """One step of a long short-term memory.

    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g),  h' = σ(o) ⊙ tanh(c')

    Args:
        gates: o, f, i, g before their functions, (4, batch, …).
        cell: c (batch, …).

    Returns:
        h' and c'.

    Raises:
        ValueError: shapes that do not fit.

    Source: van den Oord et al. 2016, arXiv:1601.06759, equation 3.
    """
    if len(gates) != 4 or gates.shape[1:] != cell.shape:
        raise ValueError(f"need (4, …) and (…), got {tuple(gates.shape)} and {tuple(cell.shape)}")
    o, f, i, g = gates
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


class RowLSTM(nn.Module):
    """An LSTM from the top row to the bottom one.

    gates_i = K_is ∗ x_i + K_ss ∗ h_{i−1};  c_i, h_i = lstm_cell(gates_i, c_{i−1})

    K_is is masked; K_ss, over the row above, need not be. Row by row the memory's view grows by
    the kernel's reach to both sides: a triangle above the pixel.

    Args:
        width: channels, in and out, divisible by the colours.
        kernel_size: along the row, odd.
        colours: numbers in a pixel.

    Raises:
        ValueError: sizes that `causal_mask` does not allow.

    Source: van den Oord et al. 2016, arXiv:1601.06759, §3.1.
    """

    def __init__(self, width: int, kernel_size: int = 3, *, colours: int = 1):
        super().__init__()
        self.colours = colours
        self.from_input = MaskedConv2d("B", width, 4 * width, (1, kernel_size), colours=colours)
        self.from_above = nn.Conv1d(
            width, 4 * width, kernel_size, padding=kernel_size // 2, bias=False
        )

    def forward(self, x: MAP) -> MAP:
        """(b, width, h, w) → (b, width, h, w)"""
        hidden = cell = torch.zeros_like(x[:, :, 0])
        rows: list[Tensor] = []
        for row in self.from_input(x).unbind(dim=2):
            gates = rearrange(
                row + self.from_above(hidden), "b (k n c) w -> n b (k c) w", k=self.colours, n=4
            )
            hidden, cell = lstm_cell(gates, cell)
            rows.append(hidden)
        return torch.stack(rows, dim=2)


class PixelRNN(nn.Module):
    """Row LSTMs one on top of the other, with a residual path past each.

    Args:
        levels: grey levels of each number.
        colours: numbers in a pixel: 1, or 3 for red, green, blue.
        width: channels, divisible by the colours.
        layers: row LSTMs.
        kernel_size: of the LSTMs; the first convolution's is `first_kernel`. Both odd.
        first_kernel: see above.
        curves: 0 for a softmax over the levels; else so many curves, see `logistic_levels`.

    Raises:
        ValueError: fewer than 2 levels, or sizes that `causal_mask` does not allow.

    Source: van den Oord et al. 2016, arXiv:1601.06759, table 1 (Row LSTM) and figure 6; the
        LSTMs are as wide as the path past them, not half as wide.
    """

    def __init__(
        self,
        *,
        levels: int = 256,
        colours: int = 1,
        width: int = 32,
        layers: int = 2,
        kernel_size: int = 3,
        first_kernel: int = 7,
        curves: int = 0,
    ):
        super().__init__()
        self.first = MaskedConv2d("A", colours, width, first_kernel, colours=colours)
        self.layers = nn.ModuleList(
            nn.Sequential(
                RowLSTM(width, kernel_size, colours=colours),
                MaskedConv2d("B", width, width, 1, colours=colours),
            )
            for _ in range(layers)
        )
        self.head = Head(width, levels, colours, curves)

    def forward(self, images: IMAGES) -> LOGITS:
        """Logits of every number's level, from earlier ones alone."""
        h = self.first(images)
        for layer in self.layers:
            h = h + layer(h)
        return self.head(h)
