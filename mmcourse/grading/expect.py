"""What a check may ask of an answer; every failure is one sentence for the learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmcourse.grading.values import BadValue


class CheckFailed(AssertionError):
    """An answer that is not right yet; the message says why."""


class Expect:
    """The assertions of a check. Torch is imported when one runs, not before."""

    def tensor(self, y: Any, what: str = "the result") -> None:
        """Asks for a torch.Tensor without NaN."""
        import torch

        if not isinstance(y, torch.Tensor):
            raise CheckFailed(f"{what} should be a torch.Tensor, got {_kind(y)}")
        if torch.isnan(y).any():
            raise CheckFailed(f"{what} holds NaN")

    def shape(self, y: Any, shape: Sequence[int], what: str = "the result") -> None:
        """Asks for a tensor of exactly this shape."""
        import torch

        if not isinstance(y, torch.Tensor):
            raise CheckFailed(f"{what} should be a torch.Tensor, got {_kind(y)}")
        if tuple(y.shape) != tuple(shape):
            raise CheckFailed(f"{what} should have shape {tuple(shape)}, got {tuple(y.shape)}")

    def close(
        self, y: Any, ref: Any, rtol: float = 1e-4, atol: float = 1e-5, what: str = "the result"
    ) -> None:
        """Asks for |y − ref| ≤ atol + rtol·|ref|, item by item in nested containers."""
        problem = _difference(y, ref, rtol, atol, what)
        if problem:
            raise CheckFailed(problem)

    def not_close(
        self, y: Any, mistake: Any, message: str, rtol: float = 1e-4, atol: float = 1e-5
    ) -> None:
        """Names a misconception: fails with the message if y is what the mistake would give."""
        if not _difference(y, mistake, rtol, atol, ""):
            raise CheckFailed(message)

    def true(self, condition: Any, message: str) -> None:
        """Asks for a true condition (a bool, or a tensor of one element).

        An object that stays on the learner's side is never true: what it would say is its own.
        """
        if hasattr(condition, "__mmcourse_handle__") or not bool(condition):
            raise CheckFailed(message)

    def raises(
        self, errors: type[BaseException] | str, call: Callable[[], Any], message: str
    ) -> None:
        """Asks that calling raises the error, given as a class or by name."""
        wanted = errors if isinstance(errors, str) else errors.__name__
        try:
            call()
        except (NotImplementedError, CheckFailed, BadValue):
            raise  # not raised by the answer
        except Exception as error:
            names = getattr(error, "names", None) or [c.__name__ for c in type(error).__mro__]
            if wanted in names:
                return
            raise CheckFailed(f"{message} (got {names[0]} instead of {wanted})") from None
        raise CheckFailed(message)


expect = Expect()


def _kind(y: Any) -> str:
    if y is None:
        return "None (is a `return` missing?)"
    if hasattr(y, "__mmcourse_handle__"):  # a tensor that cannot cross, or anything else
        return "one without plain numbers (sparse, meta …)" if y._kind == "Tensor" else y._kind
    return type(y).__name__


def _difference(y: Any, ref: Any, rtol: float, atol: float, what: str) -> str:
    """Why y is not ref, or an empty string."""
    if isinstance(ref, Mapping):
        return _mapping(y, ref, rtol, atol, what)
    if isinstance(ref, (list, tuple)) and not isinstance(y, _array_types()):
        return _sequence(y, ref, rtol, atol, what)
    if isinstance(ref, (str, bytes, set, bool, type(None))):
        same = type(y) is type(ref) and y == ref
        return "" if same else f"{what} should be {ref!r:.80}, got {y!r:.80}"
    return _numbers(y, ref, rtol, atol, what)


def _mapping(y: Any, ref: Mapping[Any, Any], rtol: float, atol: float, what: str) -> str:
    if not isinstance(y, Mapping) or set(y) != set(ref):
        got = sorted(map(str, y)) if isinstance(y, Mapping) else _kind(y)
        return f"{what} should have the keys {sorted(map(str, ref))}, got {got}"
    parts = (_difference(y[k], ref[k], rtol, atol, f"{what}[{k!r}]") for k in ref)
    return next(filter(None, parts), "")


def _sequence(y: Any, ref: Sequence[Any], rtol: float, atol: float, what: str) -> str:
    if not isinstance(y, (list, tuple)):
        return f"{what} should be a {_kind(ref)}, got {_kind(y)}"
    if len(y) != len(ref):
        return f"{what} should have {len(ref)} items, got {len(y)}"
    pairs = enumerate(zip(y, ref, strict=True))
    parts = (_difference(a, b, rtol, atol, f"{what}[{i}]") for i, (a, b) in pairs)
    return next(filter(None, parts), "")


def _array_types() -> tuple[type, ...]:
    import numpy as np
    import torch

    return (torch.Tensor, np.ndarray)


def _numbers(y: Any, ref: Any, rtol: float, atol: float, what: str) -> str:
    """Compares numbers, arrays and tensors in float64 (complex stays complex)."""
    import torch

    if isinstance(ref, torch.Tensor) and ref.ndim and not isinstance(y, torch.Tensor):
        return f"{what} should be a torch.Tensor, got {_kind(y)}"
    try:
        a, b = _as_double(y), _as_double(ref)
    except (TypeError, ValueError, RuntimeError):
        return f"{what} should be a {_kind(ref)}, got {_kind(y)}"
    if a.is_complex() and not b.is_complex():
        return f"{what} should hold real numbers, got complex ones"
    if a.shape != b.shape:
        return f"{what} should have shape {tuple(b.shape)}, got {tuple(a.shape)}"
    bad = ~torch.isclose(a.to(b.dtype), b, rtol=rtol, atol=atol)
    if not bad.any():
        return ""
    if torch.isnan(a).any():
        return f"{what} holds NaN"
    if not b.ndim:
        return f"{what} should be {_short(b)}, got {_short(a)}"
    first = tuple(bad.nonzero()[0].tolist())
    place = ", ".join(map(str, first))
    return (
        f"{what} is wrong at {int(bad.sum())} of {bad.numel()} places; "
        f"at [{place}] it should be {_short(b[first])}, got {_short(a[first])}"
    )


def _short(x: Any) -> str:
    return f"{x.item():.5g}"


def _as_double(x: Any) -> Any:
    import torch

    tensor = x.detach().cpu() if isinstance(x, torch.Tensor) else torch.as_tensor(x)
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
