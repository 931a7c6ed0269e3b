"""1,797 real handwritten digits of 8 x 8 pixels, shipped with scikit-learn."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from mmcourse.data.scenes import one_of


class Digits(Dataset):
    """Handwritten digits; item `index` is a dict with `image` (1, 8, 8) and `label`.

    Attributes:
        images: (n, 1, 8, 8) in [-1, 1], -1 = paper.
        labels: (n,) the digit.
    """

    def __init__(self, images: Float[Tensor, "n 1 8 8"], labels: Int[Tensor, " n"]):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        return {"image": self.images[index], "label": int(self.labels[index])}


def digits(split: str | None = None) -> Digits:
    """Load the handwritten digits.

    Args:
        split: "test" is every fifth digit (360), "train" the others (1,437), None all 1,797.

    Returns:
        the data set.

    Raises:
        ValueError: for another split.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998),
    test part, as in `sklearn.datasets.load_digits`; grey levels 0–16 become [-1, 1].
    """
    one_of("split", split, (None, "train", "test"))
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / 8 - 1
    targets = torch.from_numpy(labels).long()
    if split is None:
        return Digits(images, targets)
    is_test = torch.arange(len(targets)) % 5 == 0
    chosen = is_test if split == "test" else ~is_test
    return Digits(images[chosen], targets[chosen])
