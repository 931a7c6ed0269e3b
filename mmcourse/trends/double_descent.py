"""Double descent: random-feature regression over its size, its examples and its time."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mmcourse.trends.memorization import Examples, Labels
from mmcourse.trends.random_features import gradient_descent, min_norm, random_features, ridge

Directions = Float[Tensor, "features inputs"]


class Curve(NamedTuple):
    """Errors along something that grows.

    Attributes:
        sizes: the features, examples or steps, increasing.
        train_error, test_error: share of wrong answers, in [0, 1]; labels as they are given.
        train_loss, test_loss: squared distance to the one-hot targets, mean over examples.
    """

    sizes: list[int]
    train_error: list[float]
    test_error: list[float]
    train_loss: list[float]
    test_loss: list[float]


def one_hot_targets(labels: Labels, num_classes: int) -> Float[Tensor, "count classes"]:
    """What the regression aims at: 1 for the class, 0 for the others, minus the mean 1/classes.

    Args:
        labels: (count,), 0 … num_classes − 1.
        num_classes: ≥ 2.

    Returns:
        (count, num_classes), float64, rows that add up to 0.

    Raises:
        ValueError: fewer than two classes, or a label outside them.

    Source: regression as in Belkin et al. 2019, arXiv:1812.11118, who use it on MNIST.
    """
    if num_classes < 2 or (
        len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes
    ):
        raise ValueError(f"need labels in 0 … num_classes − 1 for ≥ 2 classes, got {num_classes}")
    return F.one_hot(labels, num_classes).double() - 1 / num_classes


def model_wise(
    train: Examples,
    test: Examples,
    sizes: Sequence[int],
    *,
    directions: Directions,
    num_classes: int,
    penalty: float = 0.0,
) -> Curve:
    """Errors of random-feature regression as the number P of features grows, examples fixed.

    The model of P features uses the first P directions; penalty 0 is the minimum-norm answer.

    Args:
        train: examples whose labels may be noisy; inputs are flattened.
        test: other examples; keep their labels clean.
        sizes: P, increasing, at most the number of directions.
        directions: see `draw_directions`.
        num_classes: ≥ 2.
        penalty: of `ridge`, ≥ 0.

    Raises:
        ValueError: sizes that do not increase or that directions do not suffice for, and what
            the regression refuses.

    Source: Belkin et al. 2019, arXiv:1812.11118, figure 2; Nakkiran et al. 2019,
        arXiv:1912.02292, §5.
    """
    _check_sizes(sizes, len(directions), "directions")
    targets = one_hot_targets(train.labels, num_classes)
    rows: list[tuple[float, ...]] = []
    for size in sizes:
        seen = _features(train, directions[:size])
        weights = _fit(seen, targets, penalty)
        rows.append(_errors(weights, seen, train, directions[:size], test, num_classes))
    return _curve(sizes, rows)


def sample_wise(
    train: Examples,
    test: Examples,
    counts: Sequence[int],
    *,
    directions: Directions,
    num_classes: int,
    penalty: float = 0.0,
) -> Curve:
    """Errors of one random-feature model as the number of training examples grows.

    The first `count` examples are used; where their number meets the number of features, more
    data can hurt.

    Args:
        train: at least as many examples as the largest count, in random order.
        test: other examples.
        counts: increasing.
        directions: all are used.
        num_classes: ≥ 2.
        penalty: of `ridge`, ≥ 0.

    Raises:
        ValueError: counts that do not increase or exceed the examples, and what the regression
            refuses.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, §7.
    """
    _check_sizes(counts, len(train.labels), "examples")
    rows: list[tuple[float, ...]] = []
    for count in counts:
        part = Examples(train.inputs[:count], train.labels[:count])
        seen = _features(part, directions)
        weights = _fit(seen, one_hot_targets(part.labels, num_classes), penalty)
        rows.append(_errors(weights, seen, part, directions, test, num_classes))
    return _curve(counts, rows)


def epoch_wise(
    train: Examples,
    test: Examples,
    steps: Sequence[int],
    *,
    directions: Directions,
    num_classes: int,
    step_size: float,
) -> Curve:
    """Errors of one random-feature model along gradient descent from zero.

    Args:
        train, test: examples.
        steps: the times to look at, increasing, from 1.
        directions: all are used.
        num_classes: ≥ 2.
        step_size: of `gradient_descent`.

    Raises:
        ValueError: steps that do not increase, and what `gradient_descent` refuses.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, §6, looks at networks along training.
    """
    _check_sizes(steps, None, "steps")
    seen = _features(train, directions)
    targets = one_hot_targets(train.labels, num_classes)
    path = gradient_descent(seen, targets, step_size=step_size, steps=steps)
    rows = [_errors(weights, seen, train, directions, test, num_classes) for weights in path]
    return _curve(steps, rows)


def _features(examples: Examples, directions: Tensor) -> Tensor:
    return random_features(examples.inputs.flatten(1), directions)


def _fit(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    return ridge(features, targets, penalty) if penalty else min_norm(features, targets)


def _errors(
    weights: Tensor,
    seen: Tensor,
    train: Examples,
    directions: Tensor,
    test: Examples,
    num_classes: int,
) -> tuple[float, ...]:
    """Train error, test error, train loss, test loss."""
    outputs = (seen @ weights, _features(test, directions) @ weights)
    labels = (train.labels, test.labels)
    pairs = list(zip(outputs, labels, strict=True))
    wrong = [(out.argmax(dim=1) != label).double().mean().item() for out, label in pairs]
    squares = [(out - one_hot_targets(label, num_classes)).square() for out, label in pairs]
    return (*wrong, *(square.sum(dim=1).mean().item() for square in squares))


def _curve(sizes: Sequence[int], rows: Sequence[tuple[float, ...]]) -> Curve:
    return Curve(list(sizes), *(list(column) for column in zip(*rows, strict=True)))


def _check_sizes(sizes: Sequence[int], most: int | None, what: str) -> None:
    if not sizes or list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
        raise ValueError(f"need sizes of at least 1 that increase, got {list(sizes)}")
    if most is not None and sizes[-1] > most:
        raise ValueError(f"the largest size, {sizes[-1]}, exceeds the {most} {what}")
