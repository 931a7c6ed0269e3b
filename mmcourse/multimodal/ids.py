"""One check of token numbers, for every model that looks vectors up by them."""

import torch
from torch import Tensor


def check_ids(
    ids: Tensor,
    count: int,
    *,
    name: str = "ids",
    form: str = "be whole numbers",
    fits: bool = True,
    span: str = "lie in 0 … {last}",
) -> None:
    """Refuse numbers that a table of `count` vectors does not have.

    Args:
        ids: what was given; a tensor without numbers (empty, or on the meta device) has none
            out of range.
        count: how many vectors there are: allowed are 0 … `count` − 1.
        name, form, span: the words of the messages, "`name` must `form`" and "`name` must `span`".
        fits: whether the shape is one that the caller allows.

    Raises:
        ValueError: for another dtype than int64 and int32, a shape that does not fit, or a
            number out of range.
    """
    if not fits or ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"{name} must {form}, got {ids.dtype} of shape {tuple(ids.shape)}")
    if ids.is_meta or not ids.numel():
        return
    low, high = (int(end) for end in ids.aminmax())
    if low < 0 or high >= count:
        raise ValueError(f"{name} must {span.format(last=count - 1)}, got {low} … {high}")
