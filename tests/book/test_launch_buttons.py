"""Launch buttons: by the theme, to the .ipynb, and only where it is known where the course is."""

import importlib
import re
from pathlib import Path

import pytest
from sphinx.errors import ExtensionError
from tiny_book import ROOT, html, sphinx

mmcourse_launch = importlib.import_module("mmcourse_launch")

LESSON = """---
jupytext:
  formats: ipynb,md:myst
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3}
---

# Lesson

```{code-cell} ipython3
print(1)
```
"""


def build(folder: Path, settings: str) -> tuple[str, str]:
    """Build a book of one lesson with the theme; its page and the warnings."""
    (folder / "pyproject.toml").write_text(f"[tool.mmcourse]\n{settings}", encoding="utf-8")
    (folder / "lesson.md").write_text(LESSON, encoding="utf-8")
    (folder / "lesson.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4}')
    (folder / "index.md").write_text("# Front\n\n```{toctree}\nlesson\n```\n")
    options = {
        "extensions": ["myst_nb", "mmcourse_launch"],
        "html_theme": "sphinx_book_theme",
        "html_theme_options": {"repository_branch": "main", "path_to_docs": ""},
        "exclude_patterns": ["**.ipynb", "_build"],
        "nb_execution_mode": "off",
        "suppress_warnings": ["myst-nb.lexer"],  # that of code which was not run
    }
    warnings = sphinx(folder, options)
    return html(folder, "lesson"), warnings


def links(page: str) -> set[str]:
    return set(re.findall(r'href="(https?://[^"]+)"', page))


def test_without_a_repository_there_are_no_buttons_but_the_download(tmp_path):
    page, said = build(tmp_path, 'repository = ""\n')
    assert not said
    for word in ("colab", "mybinder", "fa-rocket", "btn-source-repository-button"):
        assert word not in page.lower()
    assert 'href="_sources/lesson.ipynb"' in page
    assert (tmp_path / "_build" / "html" / "_sources" / "lesson.ipynb").is_file()


def test_with_a_repository_they_lead_to_the_notebook(tmp_path):
    settings = 'repository = "https://github.com/someone/mmcourse"\n'
    page, said = build(tmp_path, settings + 'jupyterhub = "https://hub.example.org"\n')
    assert not said
    found = links(page)
    place = "someone/mmcourse"
    assert f"https://colab.research.google.com/github/{place}/blob/main/lesson.ipynb" in found
    assert f"https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/lesson.ipynb" in found
    hub = next(link for link in found if link.startswith("https://hub.example.org/"))
    assert "urlpath=lab/tree/mmcourse/lesson.ipynb" in hub
    assert f"https://github.com/{place}" in found
    assert 'href="_sources/lesson.ipynb"' in page


def test_colab_is_offered_for_github_alone_and_a_hub_only_where_there_is_one(tmp_path):
    page, said = build(tmp_path, 'repository = "https://gitlab.com/someone/mmcourse"\n')
    assert not said
    assert "mybinder.org/v2/gl/someone%2Fmmcourse/main" in page
    assert "colab.research" not in page
    assert "JupyterHub" not in page


@pytest.mark.parametrize(
    "wrong", ["someone/mmcourse", "https://example.org", "https://github.com/x"]
)
def test_a_wrong_address_is_one_clear_line(tmp_path, wrong):
    with pytest.raises(ExtensionError, match="repository must be like"):
        build(tmp_path, f'repository = "{wrong}"\n')


def test_the_books_own_configuration_names_no_other_place() -> None:
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert not re.search(r"https?://(github|mybinder|colab)", config)
