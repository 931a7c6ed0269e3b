"""Exercise sheets: releasing them, checking answers in the notebook, grading submissions."""

from mmcourse.grading.checks import check, rand, randint, randn, student
from mmcourse.grading.expect import expect

__all__ = ["check", "expect", "rand", "randint", "randn", "student"]
