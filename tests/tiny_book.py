"""Tiny books, to try the book's extension on."""

import io
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))


def plan(*names: str) -> str:
    """A plan of lessons that need nothing, for `build(…, **{"book/lessons.yml": plan(…)})`."""
    return "".join(f"{name}: {{slides: S3.02–S3.16, needs: [], helps: []}}\n" for name in names)


PLAN = plan("31_attention")
# What no lesson may lack.
OUTCOMES = """
## What you will be able to do

- Work out *attention* by hand.
- Say why there is a $\\sqrt d$.
"""
QUIZ = """
## Check yourself

::::{admonition} Question 1
:class: quiz

:::{dropdown} A) this
**Right.** Yes.
:::

:::{dropdown} B) that
**Not this.** No.
:::
::::
"""
HEAD = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# 31 · Attention
"""
MATHS = "\n## The maths\n\nSome words about it.\n"
LESSON = HEAD + OUTCOMES + MATHS + QUIZ + "\n## Exercise\n\nNone.\n"


def build(folder: Path, *, execution: str = "off", **pages: str) -> str:
    """Build a tiny book and return its warnings.

    Args:
        folder: empty so far.
        execution: `nb_execution_mode`.
        pages: text by name, "notebooks/31_attention"; a name with an ending is just a file.
    """
    (folder / "mmcourse" / "widgets").mkdir(parents=True)
    (folder / "mmcourse" / "widgets" / "static_host.js").write_text("// host\n")
    for name, text in pages.items():
        path = folder / (name if "." in name else f"{name}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    toc = "\n".join(name for name in pages if name != "index" and "." not in name)
    front = f"# Front\n\n```{{toctree}}\n{toc}\n```\n"
    (folder / "index.md").write_text(front + pages.get("index", ""), encoding="utf-8")
    options = {
        "extensions": ["myst_nb", "sphinx_design", "sphinxcontrib.bibtex", "mmcourse_book"],
        "myst_enable_extensions": ["colon_fence", "dollarmath"],
        "exclude_patterns": ["**.ipynb", "_build", "solutions"],
        "bibtex_bibfiles": [],
        "suppress_warnings": ["bibtex"],
        "nb_execution_mode": execution,
        "nb_execution_raise_on_error": True,
    }
    return sphinx(folder, options)


def sphinx(folder: Path, options: dict[str, Any]) -> str:
    """Build what lies in a folder with these settings and return the warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    warnings = io.StringIO()
    with patch_docutils(None), docutils_namespace():
        app = Sphinx(
            folder, None, folder / "_build" / "html", folder / "_build" / "trees", "html",
            confoverrides=options, status=None, warning=warnings,
        )  # fmt: skip
        app.build()
    return warnings.getvalue()


def html(folder: Path, name: str) -> str:
    return (folder / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8")
