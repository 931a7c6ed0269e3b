"""One network as an ONNX file: exported, its weights stored as halves, compared with PyTorch."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OPSET = 18
SMALL = 256  # numbers; what has fewer stays in single precision
CLOSE = 1e-4


class ExportError(ValueError):
    """A graph that does not compute what the network computes."""


def write_graph(network: nn.Module, inputs: Mapping[str, Tensor], file: Path) -> float:
    """Export a network for inputs of these shapes, and check what the file computes.

    Weights are stored as halves and widened when the file is loaded: half the size, and exact
    where the checkpoint itself holds halves, as the package's do.

    Args:
        network: in evaluation mode; one output.
        inputs: name → example, in the order of the network's arguments. Shapes are fixed.
        file: written anew.

    Returns:
        The largest difference to PyTorch's output on the example.

    Raises:
        ExportError: it is above 1e-4.
    """
    import onnx

    with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["out"],
            opset_version=OPSET,
            dynamo=True,
        )
        expected = network(*inputs.values())
    assert program is not None
    model = program.model_proto
    store_halves(model)
    for node in model.graph.node:  # where it stood in the source concerns nobody
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, file)
    apart = difference(file, inputs, expected)
    if not apart <= CLOSE:
        raise ExportError(f"{file.name} differs from PyTorch by {apart:.2g} (at most {CLOSE:g})")
    return apart


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


def difference(file: Path, inputs: Mapping[str, Tensor], expected: Tensor) -> float:
    """The largest difference between what the file computes and what is expected."""
    from onnx.reference import ReferenceEvaluator

    feeds = {name: value.numpy() for name, value in inputs.items()}
    found = ReferenceEvaluator(str(file)).run(None, feeds)[0]
    return float(np.abs(np.asarray(found) - expected.numpy()).max())
