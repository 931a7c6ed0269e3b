"""One network as an ONNX graph: traced, its weights stored as halves, compared with PyTorch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OPSET = 17
SMALL = 256  # numbers; what has fewer stays in single precision
CLOSE = 1e-4


class ExportError(ValueError):
    """A graph that does not compute what the network computes."""


def graph(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str] = ("out",),
    *,
    halves: bool = False,
) -> tuple[bytes, float]:
    """Trace a network for inputs of these shapes, and check what the graph computes.

    Args:
        network: in evaluation mode.
        inputs: name → example, in the order of the network's arguments. Shapes are fixed.
        outputs: a name for each output.
        halves: store weights as halves, widened when the file is loaded: half the size, and exact
            where the weights are halves already, as those of the package's checkpoints.

    Returns:
        The ONNX file, and the largest difference to PyTorch's outputs on the example.

    Raises:
        ExportError: it is above 1e-4.
    """
    import onnx

    traced = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks of shapes become constants: shapes are fixed here
        expected = network(*inputs.values())
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            traced,  # type: ignore[arg-type]  # written to as a file
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,  # tracing: ten times faster, and branches on shapes are no obstacle
        )
    model = onnx.load_from_string(traced.getvalue())
    if halves:
        store_halves(model)
    for node in model.graph.node:  # where it stood in the source concerns nobody
        node.ClearField("doc_string")
    data = model.SerializeToString()
    apart = difference(data, inputs, (expected,) if isinstance(expected, Tensor) else expected)
    if not apart <= CLOSE:
        name = type(network).__name__
        raise ExportError(f"{name} as a graph differs by {apart:.2g} (at most {CLOSE:g})")
    return data, apart


def store_halves(model: Any) -> None:
    """Store every large single-precision weight as halves, and widen it where it is used."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    first = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *first])


def difference(data: bytes, inputs: Mapping[str, Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference between what a graph computes and what is expected."""
    from onnx.reference import ReferenceEvaluator

    feeds = {name: value.numpy() for name, value in inputs.items()}
    found = ReferenceEvaluator(data).run(None, feeds)
    return max(
        float(np.abs(np.asarray(one) - wanted.numpy()).max())
        for one, wanted in zip(found, expected, strict=True)
    )
