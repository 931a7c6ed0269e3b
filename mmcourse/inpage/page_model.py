"""A lesson's networks for its widget: run by a kernel, or by the page itself."""

from __future__ import annotations

import base64
import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

MIME = "application/vnd.mmcourse.model+json"
BUILDING = "MMCOURSE_BUILD"  # set while the book is built: only then are graphs made


class Method(nn.Module):
    """A method of a module as a network of its own, such as the decoder of an autoencoder."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module, self.name = module, name

    def forward(self, *inputs: Tensor) -> Any:
        """What the method returns."""
        return getattr(self.module, self.name)(*inputs)


@dataclass
class Part:
    """A network, inputs for an example (their shapes are fixed), and names of its outputs."""

    network: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = ("out",)


@dataclass
class PageModel:
    """Networks that a widget asks again and again, whatever runs them.

    In a notebook the widget asks the kernel, which calls `run`. While the book is built, `files`
    gives the same networks as ONNX graphs; the page loads them when its reader asks for it.

    Args:
        name: of the files in the book; one of its kind.
        parts: name → `Part`.
    """

    name: str
    parts: dict[str, Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").isalnum() or not self.name.islower():
            raise ValueError(f"a name has small letters, digits and -, got {self.name!r}")
        if not self.parts:
            raise ValueError("a model needs at least one part, got none")

    @torch.no_grad()
    def run(self, part: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a part computes, by name of its outputs.

        Raises:
            ValueError: there is no such part, or an input is missing or of another shape.
        """
        if part not in self.parts:
            raise ValueError(f"the model has the parts {', '.join(self.parts)}, got {part!r}")
        wanted = self.parts[part]
        device = next((p.device for p in wanted.network.parameters()), torch.device("cpu"))
        given = []
        for name, example in wanted.inputs.items():
            if name not in inputs or inputs[name].shape != example.shape:
                found = tuple(inputs[name].shape) if name in inputs else "nothing"
                raise ValueError(f"{name} must be {tuple(example.shape)}, got {found}")
            given.append(inputs[name].to(device, example.dtype))
        found = wanted.network.eval()(*given)
        named = (found,) if isinstance(found, Tensor) else found
        return {n: one.float().cpu() for n, one in zip(wanted.outputs, named, strict=True)}

    def files(self) -> dict[str, Any]:
        """What a cell's output holds of the graphs, {} unless a book is being built."""
        if not os.environ.get(BUILDING):
            return {}
        from mmcourse.inpage.onnx_graph import graph

        made = {}
        for name, part in self.parts.items():
            network = copy.deepcopy(part.network).cpu().eval()
            inputs = {key: value.cpu() for key, value in part.inputs.items()}
            data, _ = graph(network, inputs, part.outputs)
            made[name] = base64.b64encode(data).decode()
        return {MIME: {"name": self.name, "parts": made}}
