"""The book's own Sphinx extension: what Jupyter Book does not do by itself.

* the execution cache knows the package: a changed algorithm runs its lessons again;
* nothing is loaded from elsewhere: MathJax, the widgets' host and the Korean glyphs are copied in;
* exercise sheets, which are notebooks but not pages, are offered as downloads;
* Korean words carry their language, for screen readers and for fonts;
* `mmcourse_execute` runs several lessons at once;
* `mmcourse_teaching` counts minutes for instructors, `mmcourse_mistakes` lists mistakes;
* `mmcourse_inpage` puts models and their runtime beside the pages;
* `mmcourse_launch` offers the notebooks on Colab, Binder and JupyterHub, and for download;
* `mmcourse_errata`, `mmcourse_pages` and `mmcourse_style` hold the directives, the check of
  alternative texts, and the look of citations;
* `mmcourse_lessons` and `mmcourse_cheatsheets` make of the lessons, and of `book/lessons.yml`, the
  strip under each title, the lists to tick off and the cheat sheets;
* `mmcourse_ledger`, `mmcourse_figures`, `mmcourse_timings` and `mmcourse_models` make the pages
  to check the book by.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
from pathlib import Path

import mmcourse_cheatsheets
import mmcourse_errata
import mmcourse_execute
import mmcourse_figures
import mmcourse_inpage
import mmcourse_kept
import mmcourse_launch
import mmcourse_ledger
import mmcourse_lessons
import mmcourse_mistakes
import mmcourse_models
import mmcourse_pages
import mmcourse_style
import mmcourse_teaching
import mmcourse_timings
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

PARTS = (
    mmcourse_errata,
    mmcourse_execute,
    mmcourse_launch,
    mmcourse_pages,
    mmcourse_style,
    mmcourse_teaching,
    mmcourse_mistakes,
    mmcourse_lessons,
    mmcourse_cheatsheets,
    mmcourse_inpage,
    mmcourse_kept,
    mmcourse_figures,
    mmcourse_ledger,
    mmcourse_models,
    mmcourse_timings,
)

HANGUL = re.compile(
    r"[\uac00-\ud7a3\u3131-\u318e](?:[\uac00-\ud7a3\u3131-\u318e ]*"
    r"[\uac00-\ud7a3\u3131-\u318e])?"
)
TAG = re.compile(r"(<!--.*?-->|<[^>]*>)", re.DOTALL)
OPAQUE = ("script", "style", "svg", "option", "textarea", "title")

REDIRECT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={target}"></head>
<body><main><h1>{title}</h1><p><a href="{target}">Open the book</a></p></main></body></html>
"""


def source_hash(package: Path) -> str:
    """Name the state of the package's sources: the first 16 hex digits of a SHA-256."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".js", ".css"} and "__pycache__" not in path.parts:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def set_cache_path(app: Sphinx, config) -> None:
    """Give every state of the package its own execution cache, and keep the newest three."""
    folder = Path(app.outdir).parent / ".jupyter_cache"
    current = folder / source_hash(Path(app.srcdir) / "mmcourse")
    current.mkdir(parents=True, exist_ok=True)
    current.touch()
    states = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for old in states[:-3]:
        shutil.rmtree(old, ignore_errors=True)
    config.nb_execution_cache_path = str(current)


def copy_assets(app: Sphinx) -> None:
    """Copy MathJax and the widgets' host beside the pages, so that none is fetched."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "mm"
    target.mkdir(parents=True, exist_ok=True)
    host = Path(app.srcdir) / "mmcourse" / "widgets" / "static_host.js"
    if host.is_file():
        shutil.copy2(host, target / host.name)
    else:
        logger.warning("no %s: widgets would stay blank", host.relative_to(app.srcdir))
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        logger.warning("the package sphinx-mathjax-offline is missing: no maths on the pages")
        return
    source = Path(spec.origin).parent / "static" / "mathjax"
    extensions = Path("input") / "tex" / "extensions"
    (target / "mathjax" / extensions).mkdir(parents=True, exist_ok=True)
    shutil.copy2(source / "tex-svg.js", target / "mathjax" / "tex-svg.js")
    for path in (source / extensions).glob("*.js"):
        shutil.copy2(path, target / "mathjax" / extensions / path.name)


def offer_downloads(app: Sphinx, doctree: nodes.document) -> None:
    """Turn links to notebooks that are not pages (the exercise sheets) into downloads."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        target = node.get("reftarget", "")
        if node.get("refdomain") != "doc" or target in app.env.found_docs:
            continue
        if (Path(app.srcdir) / f"{target}.ipynb").is_file():
            link = addnodes.download_reference(
                "", "", *node.children, reftarget=f"/{target}.ipynb", refdoc=app.env.docname
            )
            node.replace_self(link)


def mark_korean(html: str) -> str:
    """Wrap Korean words of the running text in `<span lang="ko">`."""
    parts, closing = [], ""
    for part in TAG.split(html):
        if part.startswith("<"):
            name = re.match(r"</?\s*([\w-]+)", part)
            tag = name.group(1).lower() if name else ""
            if closing and part.startswith(f"</{closing}"):
                closing = ""
            elif (
                not closing
                and not part.startswith("</")
                and not part.endswith("/>")
                and (tag in OPAQUE or 'class="math' in part)
            ):
                closing = tag
        elif part and not closing:
            part = HANGUL.sub(lambda m: f'<span lang="ko">{m.group()}</span>', part)
        parts.append(part)
    return "".join(parts)


def on_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Mark the Korean words of a page just before it is written."""
    for key in ("body", "toc"):
        if context.get(key):
            context[key] = mark_korean(context[key])


def write_hangul_font(app: Sphinx) -> None:
    """Cut a small web font with just the Korean glyphs that the pages use.

    A machine without a Korean font would otherwise show empty boxes. The font is asked for only
    where no installed one serves (see `mm-book.css`). Source: Noto Sans KR, SIL Open Font License.
    """
    from fontTools import subset

    pages = Path(app.outdir).rglob("*.html")
    used = {c for page in pages for run in HANGUL.findall(page.read_text("utf-8")) for c in run}
    target = Path(app.outdir) / "_static" / "mm" / "hangul.woff"
    stamp = target.with_suffix(".txt")
    text = "".join(sorted(used - {" "}))
    if target.is_file() and stamp.is_file() and stamp.read_text("utf-8") == text:
        return
    spec = importlib.util.find_spec("pylopdf_fonts_ko")
    if spec is None or spec.origin is None or not text:
        return
    options = subset.Options(flavor="woff", layout_features=[], hinting=False)
    font = subset.load_font(str(Path(spec.origin).parent / "NotoSansKR-Regular.otf"), options)
    cutter = subset.Subsetter(options)
    cutter.populate(text=text)
    cutter.subset(font)
    subset.save_font(font, str(target), options)
    stamp.write_text(text, "utf-8")


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Write the front door and the font once all pages are there."""
    if exception is not None or app.builder.name != "html":
        return
    door = REDIRECT.format(title=app.config.html_title, target=f"{app.config.master_doc}.html")
    (Path(app.outdir) / "index.html").write_text(door, "utf-8")
    write_hangul_font(app)


def setup(app: Sphinx) -> dict:
    """Connect everything to Sphinx."""
    # Jupyter Book always sets this value, whose owner (sphinx_comments) is not loaded here
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", set_cache_path)
    app.connect("builder-inited", copy_assets)
    # before Sphinx's own collector of downloads, which listens to the same event at 500
    app.connect("doctree-read", offer_downloads, priority=400)
    app.connect("html-page-context", on_page, priority=900)
    app.connect("build-finished", finish)
    for part in PARTS:
        part.setup(app)
    # another version makes Sphinx read every page again: count it up when more is kept of them
    safe = {"parallel_read_safe": False, "parallel_write_safe": False}
    return {"version": "1", "env_version": 2, **safe}
