"""The grader is tested at the level it is used at: with bubblewrap, wherever it can be had."""

import os
import shutil
import subprocess

import pytest


@pytest.fixture(scope="session", autouse=True)
def bubblewrap() -> None:
    """As root on a Debian system, install bubblewrap if it is missing (elsewhere: doctor says)."""
    if shutil.which("bwrap") or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "bubblewrap"]):
        subprocess.run(command, capture_output=True, check=False)
