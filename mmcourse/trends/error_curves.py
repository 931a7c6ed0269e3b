"""How to read an error curve: the interpolation threshold, the peak, where to stop."""

from collections.abc import Sequence
from typing import NamedTuple


class Peak(NamedTuple):
    """The second rise of a curve, see `find_peak`.

    Attributes:
        size, error: where the peak is and how high.
        valley: the lowest error before it.
        final: the error at the largest size.
        ratio: error / final; infinite if the final error is 0.
    """

    size: int
    error: float
    valley: float
    final: float
    ratio: float


def interpolation_threshold(
    sizes: Sequence[int], train_error: Sequence[float], *, tolerance: float = 0.0
) -> int | None:
    """The smallest size from which on the training set is fitted; None if that never happens.

    A size counts only if all larger ones fit as well: one lucky fit before is not the threshold.

    Args:
        sizes: increasing.
        train_error: at each size.
        tolerance: how much error still counts as fitted, ≥ 0.

    Raises:
        ValueError: lists that are empty or differ in length, sizes that do not increase, or a
            tolerance below 0.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, definition 1: there the largest number of
        examples that a procedure fits, here seen from the size.
    """
    _check_curve(sizes, train_error)
    if tolerance < 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    found = None
    for size, error in zip(reversed(sizes), reversed(train_error), strict=True):
        if not error <= tolerance:
            break
        found = size
    return found


def effective_complexity(
    counts: Sequence[int], train_error: Sequence[float], *, tolerance: float = 0.0
) -> int:
    """How many examples a procedure can fit: the largest count with training error ≤ tolerance.

    Args:
        counts: numbers of examples, increasing.
        train_error: at each count.
        tolerance: ε of the definition, ≥ 0.

    Returns:
        the count, 0 if none is fitted.

    Raises:
        ValueError: as `interpolation_threshold`.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, definition 1 (effective model complexity).
    """
    _check_curve(counts, train_error)
    if tolerance < 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    fitted = [n for n, error in zip(counts, train_error, strict=True) if error <= tolerance]
    return max(fitted, default=0)


def find_peak(sizes: Sequence[int], test_error: Sequence[float]) -> Peak | None:
    """Where the error, having come down, rises highest above its lowest value so far.

    The largest error of all will not do: the smallest model may well be the worst.

    Args:
        sizes: increasing.
        test_error: at each size.

    Returns:
        the peak, or None if the error never rises.

    Raises:
        ValueError: lists that are empty or differ in length, or sizes that do not increase.

    Source: none; it makes "rises and falls again" a number.
    """
    _check_curve(sizes, test_error)
    lowest, best = test_error[0], (0.0, 0, 0.0)
    for i, error in enumerate(test_error):
        if error - lowest > best[0]:
            best = (error - lowest, i, lowest)
        lowest = min(lowest, error)
    rise, i, valley = best
    if rise == 0:
        return None
    final = test_error[-1]
    ratio = test_error[i] / final if final else float("inf")
    return Peak(sizes[i], test_error[i], valley, final, ratio)


def early_stopping(errors: Sequence[float], *, patience: int) -> int:
    """Which evaluation would have been kept: the best before `patience` in a row bring nothing.

    Args:
        errors: of held-out examples, in order of time; not of the test set.
        patience: evaluations without a new best after which training stops, ≥ 1.

    Returns:
        index of the best evaluation so far when training stops. A later, deeper valley is never
        seen.

    Raises:
        ValueError: no error, or patience below 1.

    Source: Prechelt 1998, "Early Stopping – But When?".
    """
    if not errors or patience < 1:
        raise ValueError(f"need errors and patience ≥ 1, got {len(errors)} and {patience}")
    best = 0
    for i, error in enumerate(errors):
        if error < errors[best]:
            best = i
        elif i - best >= patience:
            break
    return best


def _check_curve(sizes: Sequence[int], errors: Sequence[float]) -> None:
    if not sizes or len(sizes) != len(errors) or list(sizes) != sorted(set(sizes)):
        raise ValueError(
            "need an error for each of some sizes that increase, "
            f"got {len(errors)} for {list(sizes)}"
        )
