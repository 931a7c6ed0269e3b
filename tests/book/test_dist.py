"""`make dist`: the zip and the PDF, of a few pages of the built book."""

import importlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIST = ROOT / "book" / "_dist"
sys.path.insert(0, str(DIST))
contents, offline = importlib.import_module("contents"), importlib.import_module("offline")

LESSON = "notebooks/31_attention"
TOC = """root: book/preface
parts:
  - caption: 3 · Transformers
    chapters:
      - file: book/chapters/03_transformers
      - file: notebooks/31_attention
  - caption: Reference
    chapters:
      - file: book/glossary
"""


# ---- the zip ---------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course with a built book of one page, and all that must not come along."""
    files = {
        "_build/html/index.html": "<h1>Book</h1>",
        "_build/html/_static/a.css": "",
        "_build/html/_sources/notebooks/00_a.ipynb": "{}",
        "_build/html/.buildinfo": "secret",
        "_build/html/reports/err.log": "secret",
        "_build/html/_static/__pycache__/a.pyc": "secret",
        "_build/.jupyter_cache/x/global.db": "secret",
        "notebooks/00_a.ipynb": "{}",
        "notebooks/00_a.md": "# A",
        "notebooks/.ipynb_checkpoints/00_a.ipynb": "secret",
        "exercises/00_a.ipynb": "{}",
        "solutions/00_a.md": "secret",
        "LICENSE": "MIT",
        "requirements.txt": "einops==1",
        "mmcourse-1.0-py3-none-any.whl": "wheel",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def pack(course: Path, name: str = "book-1.0.zip") -> Path:
    wheel = course / "mmcourse-1.0-py3-none-any.whl"
    return offline.write_zip(course, course / "_build" / "html", wheel, course / name, "1.0")


def test_the_zip_has_the_book_and_no_cache(course: Path) -> None:
    with zipfile.ZipFile(pack(course)) as made:
        names = [name.removeprefix("book-1.0/") for name in made.namelist()]
        assert names == sorted(names)
        assert set(names) == {
            "START_HERE.html", "LICENSE", "requirements.txt", "mmcourse-1.0-py3-none-any.whl",
            "book/index.html", "book/_static/a.css", "book/_sources/notebooks/00_a.ipynb",
            "notebooks/00_a.ipynb", "notebooks/00_a.md", "exercises/00_a.ipynb",
        }  # fmt: skip
        assert not [name for name in names if b"secret" in made.read(f"book-1.0/{name}")]


def test_every_link_of_the_start_page_leads_somewhere(course: Path) -> None:
    with zipfile.ZipFile(pack(course)) as made:
        page = made.read("book-1.0/START_HERE.html").decode()
        names = made.namelist()
    for link in re.findall(r'href="([^"]+)"', page):
        assert any(name.startswith(f"book-1.0/{link}") for name in names), link
    assert "mmcourse-1.0-py3-none-any.whl" in page
    assert "Version 1.0," in page


def test_the_same_files_give_the_same_zip(course: Path, monkeypatch) -> None:
    first = pack(course).read_bytes()
    for path in course.rglob("*"):
        path.touch()
    (course / "LICENSE").chmod(0o600)
    assert pack(course, "book-1.0.zip").read_bytes() == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    with zipfile.ZipFile(pack(course)) as made:
        assert {entry.date_time for entry in made.infolist()} == {(2026, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("kind", ["zip", "pdf"])
def test_without_a_book_it_says_so_in_one_line(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, str(DIST), "--html", str(tmp_path / "html"), "--out", str(tmp_path)]
    done = subprocess.run([*command, kind], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "make book" in done.stderr


# ---- the PDF ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of four of the built pages."""
    root = tmp_path_factory.mktemp("small")
    (root / "book").mkdir()
    (root / "book" / "_toc.yml").write_text(TOC, encoding="utf-8")
    (root / "_config.yml").write_text("title: A small book\nauthor: Somebody\n")
    return root


@pytest.fixture(scope="module")
def pdf(book: Path, small: Path):
    """Its PDF, read."""
    paper = importlib.import_module("paper")
    from pypdf import PdfReader

    return PdfReader(paper.write_pdf(small, book, small / "book.pdf", "1.0"))


def bookmarks(pdf) -> list:
    """(title, page from 1) of every bookmark; those below one are a list after it."""

    def plain(items):
        return [
            plain(item)
            if isinstance(item, list)
            else (item.title, pdf.get_destination_page_number(item) + 1)
            for item in items
        ]

    return plain(pdf.outline)


def words(page) -> str:
    return " ".join(page.extract_text().split())


@pytest.mark.browser
@pytest.mark.slow
def test_bookmarks_and_page_numbers(pdf) -> None:
    top = bookmarks(pdf)
    names = [item[0] for item in top if isinstance(item, tuple)]
    assert names[0] == "Contents"
    assert names[2:] == ["3 · Transformers", "Reference"]
    chapter = next(item for item in top if isinstance(item, list))
    assert [title for title, _ in chapter][1] == "31 · Attention"
    start = chapter[1][1]
    assert "31 · Attention" in words(pdf.pages[start - 1])
    for number, page in enumerate(pdf.pages[1:], start=2):
        assert words(page).endswith(f" {number}"), words(page)[-60:]
    assert re.search(rf"31 · Attention ?{start}\b", words(pdf.pages[1]))
    assert "A small book" in words(pdf.pages[0])
    assert pdf.metadata.title == "A small book"
    for page in pdf.pages:  # A4, which Chromium's versions round to points in their own ways
        assert abs(page.mediabox.width - 595.28) < 1
        assert abs(page.mediabox.height - 841.89) < 1.2


@pytest.mark.browser
@pytest.mark.slow
def test_links_stay_within_the_document_or_lead_to_the_web(pdf) -> None:
    inside, outside = 0, set()
    for page in pdf.pages:
        for reference in page.get("/Annots", []):
            link = reference.get_object()
            if address := link.get("/A", {}).get("/URI"):
                outside.add(str(address))
            else:
                assert pdf.get_page_number(link["/Dest"][0].get_object()) is not None
                inside += 1
    assert inside > 20
    assert all(address.startswith("https://") for address in outside), outside
    assert not [address for address in outside if "book.invalid" in address]


@pytest.mark.browser
@pytest.mark.slow
def test_paper_shows_the_text_and_nothing_of_the_screen(pdf, small: Path) -> None:
    text = " ".join(words(page) for page in pdf.pages)
    for word in ("Show code cell source", "On this page", "Skip to main", "Back to top"):
        assert word not in text
    # the answers stand at the end, behind what they belong to
    assert text.index("Check yourself") < text.index("Answers") < text.index("Not this.")
    assert "Interactive in the book’s pages" in text
    assert not re.search(rb"file://|/tmp/", (small / "book.pdf").read_bytes())


@pytest.mark.browser
@pytest.mark.slow
def test_a_widget_is_a_picture(pdf) -> None:
    place = next(p for p in pdf.pages if "Interactive in the book’s pages" in words(p))
    sizes = [image.image.size for image in place.images]
    assert any(width > 1000 for width, _ in sizes), sizes


@pytest.mark.browser
@pytest.mark.slow
def test_a_widget_that_is_not_shown_stops_the_print(book: Path, small: Path, tmp_path) -> None:
    paper = importlib.import_module("paper")
    page = tmp_path / "broken.html"
    page.write_text(
        "<h1>Broken</h1><article class='bd-article'>"
        '<script type="application/vnd.jupyter.widget-view+json">{}</script>'
        '<div class="mm-host"><p class="mm-failed">No</p></div></article>'
    )
    one = contents.Page("broken", "Broken", "", page)
    with paper.printer() as context, pytest.raises(contents.Trouble, match="broken: 1 of its wid"):
        paper.print_pages(context, [one])


def test_pages_come_in_the_order_of_the_table_of_contents(book: Path, small: Path) -> None:
    pages = contents.read_pages(small / "book" / "_toc.yml", book)
    assert [page.name for page in pages][2] == LESSON
    assert pages[2].title == "31 · Attention"
    assert [page.chapter for page in pages] == ["", *["3 · Transformers"] * 2, "Reference"]
