"""The mathematics that the widgets share, run under node, against Python."""

from typing import Any

import numpy as np
import pytest
import torch
from widgets_page import MAKERS

from mmcourse.widgets.base import compose, halves, pixels

WIDGETS = [make()._files for make in MAKERS]


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(
        torch.as_tensor(actual, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=tolerance,
        atol=tolerance,
    )


def test_softmax(run, generator: torch.Generator) -> None:
    scores = torch.randn(50, 7, generator=generator, dtype=torch.float64) * 20
    for temperature in (0.5, 1.0, 3.0):
        actual = run(f"x.map((row) => m.softmax(row, {temperature}))", scores.tolist())
        close(actual, torch.softmax(scores / temperature, dim=-1))


def test_softmax_of_nothing_is_zero(run) -> None:
    assert run("m.softmax([-Infinity, -Infinity])") == [0, 0]
    close(run("m.softmax([-Infinity, 1000, 1000])"), [0, 0.5, 0.5])


def test_half_precision_is_read_exactly(run) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = bits.view(np.float16).astype(float)
    finite = np.isfinite(values)
    actual = run("x.map(m.half)", bits[finite].tolist())
    assert np.array_equal(np.array(actual), values[finite])


def test_what_python_writes_is_what_the_page_reads(run, generator: torch.Generator) -> None:
    weights = torch.rand(40, generator=generator, dtype=torch.float64).numpy()
    weights[:3] = [0, 1e-9, 1]
    data = list(halves(weights))
    actual = np.array(run("Array.from(m.halves(new DataView(Uint8Array.from(x).buffer)))", data))
    close(actual, weights, 1e-3)
    assert actual[0] == 0, "masked stays masked"
    assert actual[1] > 0, "small is not masked"


def test_bytes_of_pictures(run) -> None:
    values = np.linspace(-1, 1, 300)
    expected = pixels(values.reshape(1, 1, 300), "image", "channels, height, width").flatten()
    actual = np.array(run("Array.from(m.toBytes(x))", values.tolist()))
    assert np.abs(actual - expected).max() <= 1, "rounding of halves may differ"
    back = run("Array.from(m.fromBytes(x))", list(range(256)))
    assert run("Array.from(m.toBytes(x))", back) == list(range(256))


def test_largest(run) -> None:
    assert run("m.largest([0.1, 0.6, 0.3], 2)") == [[1, 0.6], [2, 0.3]]


@pytest.mark.parametrize("widget", WIDGETS)
def test_modules_stand_alone(run, widget: str) -> None:
    assert run("Object.keys(m.default)", widget=widget) == ["render"]
    code = compose(widget, "js")
    assert "import " not in code
    assert "http" not in code.replace("http://www.w3.org/2000/svg", "")
