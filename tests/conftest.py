"""Every test runs with the package's shape annotations checked at run time."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from jaxtyping import install_import_hook
from typechecking import SHAPED

install_import_hook(SHAPED, "typechecking.checked")

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

torch.set_num_threads(1)

if not os.environ.get("CI"):  # there hypothesis itself chooses: no deadline, no chance
    settings.register_profile("here", deadline=None)  # a busy machine is no mistake
    settings.load_profile("here")


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)
