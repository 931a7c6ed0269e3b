"""The handwritten digits."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from mmcourse.data import digits


def test_all_digits_are_those_of_scikit_learn():
    data, source = digits(), load_digits()
    assert data.images.shape == (1797, 1, 8, 8)
    assert data.images.dtype == torch.float32
    assert (data.images.amin(), data.images.amax()) == (-1, 1)
    grey = torch.from_numpy(source.images).float()
    torch.testing.assert_close((data.images[:, 0] + 1) * 8, grey, rtol=0, atol=0)
    assert data.labels.tolist() == source.target.tolist()


def test_splits_are_fixed_disjoint_and_complete():
    everything, train, test = digits(), digits("train"), digits("test")
    assert (len(train), len(test)) == (1437, 360)
    torch.testing.assert_close(test.images, everything.images[::5], rtol=0, atol=0)
    rest = [index for index in range(1797) if index % 5]
    torch.testing.assert_close(train.images, everything.images[rest], rtol=0, atol=0)
    assert set(test.labels.tolist()) == set(train.labels.tolist()) == set(range(10))


def test_it_is_a_map_style_data_set():
    batch = next(iter(DataLoader(digits("test"), batch_size=8)))
    assert batch["image"].shape == (8, 1, 8, 8)
    assert batch["label"].tolist() == digits("test").labels[:8].tolist()


def test_another_split_is_refused():
    with pytest.raises(ValueError, match="split must be one of None, 'train', 'test'; got 'valid'"):
        digits("valid")
