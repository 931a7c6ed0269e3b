"""A browser for the tests of the widgets."""

from collections.abc import Iterator

import pytest
from browser import launch
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file of tests."""
    with launch() as chromium:
        yield chromium
