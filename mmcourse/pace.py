"""What a lesson takes, and how fast the machine is meanwhile."""

import time

import torch
import torch.nn.functional as F

from mmcourse.training import Stopwatch, pick_device

# CPU seconds that `reference_seconds` reads on the quiet two-core machine of the budgets.
USUAL = 0.033


def reference_seconds(repeats: int = 9) -> float:
    """CPU seconds that a fixed piece of work takes on one thread: the median of some repeats.

    The work is what lessons do: a convolution, a matrix product and a softmax, forwards and
    backwards. It draws no random number and leaves the number of threads as it was.

    Args:
        repeats: how often it is measured, ≥ 1; once more before that, to warm up.

    Raises:
        ValueError: no repeat.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        took = sorted(_work() for _ in range(repeats + 1))
    finally:
        torch.set_num_threads(threads)
    return took[len(took) // 2]


class lesson_timer:
    """Measures a lesson: make it first, ``report()`` last."""

    def __init__(self) -> None:
        self._pace = reference_seconds()
        self._watch = Stopwatch()

    def report(self) -> None:
        """Print what this run of the lesson took, at what pace, and on which software and device.

        The pace is the mean of the beginning's and the end's: below 1 on a slow or busy machine.
        """
        read = self._watch.read()
        pace = 2 * USUAL / (self._pace + reference_seconds())
        threads = torch.get_num_threads()
        print(
            f"This lesson took {read['wall_s']:.0f} s ({read['cpu_s']:.0f} CPU seconds at "
            f"{pace:.2f} times the usual pace) and at most {read['peak_gb']:.1f} GB of memory\n"
            f"with torch {torch.__version__}, {threads} thread{'s' * (threads > 1)}, "
            f"device {pick_device()}."
        )


def _work() -> float:
    start = time.process_time()
    wave = torch.linspace(-1, 1, 32 * 16 * 16 * 16).sin().reshape(32, 16, 16, 16)
    kernel = torch.linspace(-0.1, 0.1, 32 * 16 * 9).reshape(32, 16, 3, 3).requires_grad_()
    matrix = torch.linspace(-0.1, 0.1, 256 * 256).reshape(256, 256).requires_grad_()
    for _ in range(4):
        found = F.silu(F.conv2d(wave, kernel, padding=1)).reshape(-1, 256)
        loss = (found @ matrix).softmax(dim=-1).square().mean()
        torch.autograd.grad(loss, [kernel, matrix])
    return time.process_time() - start
