"""The plainest network, whose width is the one thing that is turned."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """Layers of ReLUs of equal width, then one linear layer.

    Args:
        inputs: numbers per example after flattening, ≥ 1.
        width: units in each hidden layer, ≥ 1.
        outputs: classes, ≥ 1.
        hidden_layers: ≥ 1.

    Raises:
        ValueError: a size below 1.

    Source: the networks of Zhang et al. 2017, arXiv:1611.03530, and Arpit et al. 2017,
        arXiv:1706.05394, of any width.
    """

    def __init__(self, inputs: int, width: int, outputs: int, *, hidden_layers: int = 1) -> None:
        super().__init__()
        _check(inputs, width, outputs, hidden_layers)
        sizes = [inputs, *[width] * hidden_layers]
        hidden = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.hidden, self.last = nn.ModuleList(hidden), nn.Linear(width, outputs)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch outputs"]:
        """Logits (batch, outputs) of pictures or vectors.

        Raises:
            ValueError: another number of inputs.
        """
        x = x.flatten(1)
        if x.shape[1] != self.hidden[0].in_features:
            raise ValueError(f"need {self.hidden[0].in_features} inputs, got {x.shape[1]}")
        for layer in self.hidden:
            x = layer(x).relu()
        return self.last(x)


def mlp_parameters(inputs: int, width: int, outputs: int, *, hidden_layers: int = 1) -> int:
    """How many numbers an `MLP` holds, biases included.

    (inputs + 1) m + (layers − 1)(m + 1) m + (m + 1) outputs, for width m

    Raises:
        ValueError: a size below 1.

    Source: counting.
    """
    _check(inputs, width, outputs, hidden_layers)
    between = (hidden_layers - 1) * (width + 1) * width
    return (inputs + 1) * width + between + (width + 1) * outputs


def _check(*sizes: int) -> None:
    if min(sizes) < 1:
        raise ValueError(
            f"inputs, width, outputs and hidden_layers must be at least 1, got {sizes}"
        )
