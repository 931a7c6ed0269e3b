"""The linear probe: how much of an answer a straight cut through frozen features can read."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = Float[Tensor, "batch width"]
LABELS = Int[Tensor, " batch"]


def linear_probe(
    features: FEATURES,
    labels: LABELS,
    *,
    num_classes: int | None = None,
    strength: float = 1.0,
    standardise: bool = True,
    max_iter: int = 300,
) -> nn.Linear:
    """Fit multinomial logistic regression on features that stay as they are.

    min over W, b of  strength · Σᵢ −log softmax(W fᵢ + b)[yᵢ]  +  ½ ‖W‖²

    The problem is convex: L-BFGS finds its one optimum, and nothing depends on a seed. With
    `standardise`, mean and deviation of each feature, taken from these features alone, are
    divided out before the fit and folded into the layer after it, so that the probe reads raw
    features. A feature that never changes gets no weight.

    Args:
        features: (batch, width), of the *training* part; gradients do not flow into them.
        labels: (batch,), whole numbers from 0 to `num_classes` − 1.
        num_classes: by default the largest label + 1, and at least two.
        strength: the trust in the data against the penalty (scikit-learn's C), > 0.
        standardise: bring every feature to mean 0 and deviation 1 first.
        max_iter: most steps of L-BFGS, ≥ 1.

    Returns:
        a frozen layer from width to classes in the features' dtype; its argmax is the guess.

    Raises:
        ValueError: shapes that do not fit, fewer than two examples, features that are not
            finite, labels out of range, or numbers that are not positive.

    Source: Alain & Bengio 2016, arXiv:1610.01644; as the measure of self-supervision: Zhang et
    al. 2016, arXiv:1603.08511, §3.2.
    """
    classes = _classes(features, labels, num_classes)
    if not strength > 0 or max_iter < 1:
        raise ValueError(f"strength and max_iter must be positive, got {strength}, {max_iter}")
    x = features.detach().double()
    mean, scale = torch.zeros_like(x[0]), torch.ones_like(x[0])
    if standardise:
        mean, scale = x.mean(0), x.std(0, correction=0)
        # What is left of a constant after rounding is no signal.
        scale = torch.where(scale > 1e-7 * (1 + mean.abs()), scale, torch.inf)
    weight, bias = _fit((x - mean) / scale, labels, classes, strength, max_iter)
    with torch.no_grad():
        probe = nn.Linear(x.shape[1], classes, device=x.device, dtype=features.dtype)
        probe.weight.copy_(weight / scale)
        probe.bias.copy_(bias - (weight / scale) @ mean)
    return probe.requires_grad_(False)


def _fit(
    x: Tensor, labels: Tensor, classes: int, strength: float, max_iter: int
) -> tuple[Tensor, Tensor]:
    """Weight (classes, width) and bias (classes,) at the optimum."""
    weight = torch.zeros(classes, x.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=max_iter,
        history_size=20,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        data = F.cross_entropy(F.linear(x, weight, bias), labels)
        loss = data + weight.square().sum() / (2 * strength * len(x))
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(objective)  # pyright: ignore[reportArgumentType]
    return weight.detach(), bias.detach()


@torch.no_grad()
def probe_accuracy(probe: nn.Linear, features: FEATURES, labels: LABELS) -> float:
    """The share of examples whose largest score is that of their label, in [0, 1].

    Args:
        probe: what `linear_probe` returned.
        features: (batch, width), of examples the probe was *not* fitted to.
        labels: (batch,).

    Raises:
        ValueError: shapes that do not fit, or no examples.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1] or len(labels) == 0:
        raise ValueError(
            "features must be (batch, width) and labels (batch,) with batch ≥ 1, got "
            f"{tuple(features.shape)} and {tuple(labels.shape)}"
        )
    if features.shape[1] != probe.in_features:
        raise ValueError(f"the probe reads {probe.in_features} features, got {features.shape[1]}")
    return (probe(features).argmax(1) == labels).double().mean().item()


def _classes(features: Tensor, labels: Tensor, num_classes: int | None) -> int:
    """The number of classes, after a look at all that can be wrong."""
    if features.ndim != 2 or labels.shape != features.shape[:1] or features.shape[1] == 0:
        raise ValueError(
            "features must be (batch, width) and labels (batch,), got "
            f"{tuple(features.shape)} and {tuple(labels.shape)}"
        )
    if len(features) < 2:
        raise ValueError(f"a probe is fitted to at least two examples, got {len(features)}")
    if not features.is_floating_point() or not bool(features.isfinite().all()):
        raise ValueError("features must be finite floating-point numbers, got others")
    low, high = int(labels.min()), int(labels.max())
    classes = max(high + 1, 2) if num_classes is None else num_classes
    if labels.is_floating_point() or low < 0 or high >= classes or classes < 2:
        raise ValueError(
            f"labels must be whole numbers from 0 to num_classes − 1 = {classes - 1}, "
            f"got {labels.dtype} from {low} to {high}"
        )
    return classes
