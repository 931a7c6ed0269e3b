"""Launch buttons, by the theme's own settings, where it is known where the course is published.

`[tool.mmcourse]` in pyproject.toml names the repository and, if there is one, a JupyterHub. The
buttons lead to the lesson's .ipynb, whose first cell installs the package from there. Without a
repository there are none, but the notebook can be downloaded.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from mmcourse.grading.launch import published

REPOSITORY = re.compile(r"https://(github|gitlab)\.com/[\w.-]+/[\w.-]+")
HUB = re.compile(r"https?://[^\s?#]+")


def checked(root: Path, name: str, form: re.Pattern[str], example: str) -> str:
    """An address that is empty or has the right form."""
    value = published(root, name)
    if value and not form.fullmatch(value):
        raise ExtensionError(f"mmcourse: {name} must be like {example}, got {value!r}")
    return value


def set_buttons(app: Sphinx, config) -> None:
    """Fill in the theme's options, of the one theme that has them."""
    if config.html_theme != "sphinx_book_theme":
        return
    root = Path(app.srcdir)
    example = "https://github.com/NAME/mmcourse"
    repository = checked(root, "repository", REPOSITORY, example)
    hub = checked(root, "jupyterhub", HUB, "https://hub.example.org")
    options = dict(config.html_theme_options)
    options.update(repository_url=repository, use_repository_button=bool(repository))
    options["launch_buttons"] = {}
    if repository:
        options["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            # Colab opens notebooks from GitHub alone; the theme warns of any other place.
            "colab_url": "https://colab.research.google.com" if "github" in repository else "",
            "jupyterhub_url": hub,
        }
    config.html_theme_options = options


def offer_notebook(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Offer the executed notebook for download, which the theme does with launch buttons only."""
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
    if "kernelspec" not in app.env.metadata.get(page, {}) or not executed.is_file():
        return
    target = Path(app.outdir) / "_sources" / f"{page}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(executed, target)
    context["ipynb_source"] = f"{page}.ipynb"


def setup(app: Sphinx) -> None:
    """Set the options before the theme reads them (at "builder-inited")."""
    app.connect("config-inited", set_buttons)
    # before the theme makes its download button, which listens to the same event at 501
    app.connect("html-page-context", offer_notebook, priority=450)
