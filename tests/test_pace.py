"""The measure of a machine's pace: steady, silent, and without traces."""

import pytest
import torch

from mmcourse import pace


def test_a_measure_is_steady_and_grows_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([9.0, 3.0, 1.0, 2.0, 8.0, 4.0])
    monkeypatch.setattr(pace, "_work", lambda: next(times))
    assert pace.reference_seconds(5) == 4.0  # the upper middle one of six


def test_it_leaves_threads_and_random_numbers_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    assert 0 < pace.reference_seconds(1) < 5
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_come_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> float:
        raise RuntimeError("no memory")

    monkeypatch.setattr(pace, "_work", fails)
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no memory"):
        pace.reference_seconds(2)
    assert torch.get_num_threads() == threads


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="repeats"):
        pace.reference_seconds(0)
