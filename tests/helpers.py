"""Small things that several tests share."""

import importlib.util
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

ROOT = Path(__file__).parents[1]
# With the shape checks on, a wrong shape meets them before the function's own message.
BadInput = (ValueError, TypeCheckError)


def randomise(module: nn.Module, seed: int = 0, scale: float = 0.3) -> nn.Module:
    """Give every weight a random value: zeros and ones hide bugs."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=source) * scale)
    return module


def unchecked(module: str) -> object:
    """A module of the package as users get it: without the test run's shape checks."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(f"unchecked_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def rejects(message: str):  # type: ignore[no-untyped-def]
    """Expect a ValueError whose text contains `message` (a regular expression)."""
    return pytest.raises(ValueError, match=message)
