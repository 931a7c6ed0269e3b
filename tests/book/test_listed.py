"""The lists of all figures and of all timings: on tiny books, and in the whole one."""

import base64
import importlib
import platform
import re
import sys
from html import unescape
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tiny_book import OUTCOMES, QUIZ, build, html, plan

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

figures = importlib.import_module("mmcourse_figures")
kept = importlib.import_module("mmcourse_kept")

thumbnails = importlib.import_module("mmcourse_thumbnails")


def png(width: int, height: int) -> str:
    """A picture, red on the left and transparent on the right, as base64."""
    picture = Image.new("RGBA", (width, height))
    picture.paste("red", (0, 0, width // 2, height))
    written = BytesIO()
    picture.save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


PICTURE = (
    f'<figure class="mm-figure"><img src="data:image/png;base64,{png(40, 20)}" alt="{{alt}}">'
    "</figure>\n\n"
)
FIGURES = (
    "---\norphan: true\n---\n# 31 · Waves\n\n## Where this sits\n\nSlides S3.02 to S3.04.\n\n"
    "## The idea\n\n" + PICTURE.format(alt="A wave that rises without end. And a second.") +
    "## The seminar's figure, computed\n\nHere it is.\n\n"
    + PICTURE.format(alt="Two waves &amp; a hill, vs. none.")
    + "Slide S3.26 shows figure 2 of the paper.\n\n"
    + PICTURE.format(alt="Three waves in a row.")
    + "### One more thing\n\nNothing of the kind.\n\n"
    + PICTURE.format(alt="Four waves in a row.")
)  # fmt: skip
INDEX = "# Figures\n\n```{figure-count}\n```\n\n## Three\n\n```{figure-index} 3\n```\n\n"
INDEX += "## By slide\n\n```{slide-index}\n```\n"


def add_lesson(folder: Path, text: str, number: int = 31) -> None:
    """Put a lesson beside the tiny book's pages."""
    (folder / "notebooks").mkdir(exist_ok=True)
    path = folder / "notebooks" / f"{number}_waves.md"
    path.write_text(text + OUTCOMES + QUIZ, encoding="utf-8")


def test_figures_are_listed_with_what_they_compute(tmp_path: Path) -> None:
    add_lesson(tmp_path, FIGURES)
    assert build(tmp_path, figures=INDEX, **{"book/lessons.yml": plan("31_waves")}) == ""
    page = unescape(html(tmp_path, "figures"))
    assert "4 figures in 1 lessons; 2 carry a star, for 4 slides." in page
    assert 'href="notebooks/31_waves.html#figure-31-1">A wave that rises without end.</a>' in page
    assert "Two waves & a hill, vs. none." in page
    assert "★ S3.02–S3.04" in page
    assert "★ S3.26, figure 2 of the paper" in page
    assert page.count("★") == 2
    assert page.count('<img src="data:image/webp;base64,') == 4
    assert re.search(r"S3\.26.{,200}?#figure-31-3\">lesson 31, figure 3", page, re.DOTALL)
    lesson = html(tmp_path, "notebooks/31_waves")
    for number in range(1, 5):
        assert lesson.count(f'<figure id="figure-31-{number}"') == 1


@pytest.mark.parametrize(
    ("size", "small"), [((1440, 400), (360, 100)), ((400, 1000), (80, 200)), ((40, 20), (40, 20))]
)
def test_small_pictures_show_all_on_white(size: tuple[int, int], small: tuple[int, int]) -> None:
    made = thumbnails.thumbnail(f'<img src="data:image/png;base64,{png(*size)}" alt="">')
    kind, data = made.split(",")
    assert kind == "data:image/webp;base64"
    seen = Image.open(BytesIO(base64.b64decode(data))).convert("RGB")
    assert seen.size == small
    red, white = seen.getpixel((2, 2)), seen.getpixel((small[0] - 3, small[1] - 3))
    assert red[0] > 200 > 80 > red[1]
    assert min(white) > 240


@pytest.mark.parametrize(
    "html", ["<img>", '<img src="a.png">', '<img src="data:image/png;base64,AA==">']
)
def test_what_is_no_picture_has_no_small_one(html: str) -> None:
    assert thumbnails.thumbnail(html) == ""


def test_a_chapter_without_its_list_of_figures_is_refused(tmp_path: Path) -> None:
    add_lesson(tmp_path, FIGURES)
    said = build(tmp_path, figures=INDEX.replace("{figure-index} 3", "{figure-index} 4"))
    assert "notebooks/31_waves: no page says {figure-index} 3" in said


def test_a_lesson_without_the_seminars_figure_is_refused(tmp_path: Path) -> None:
    text = FIGURES.replace("Slide", "Picture").replace("S3.", "S").replace("figure 2", "figure")
    add_lesson(tmp_path, text)
    said = build(tmp_path, execution="cache", start="# Start\n")
    assert "nothing under 'The seminar's figure, computed' stands after words that name" in said


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("A wave that rises slowly. Two.", "A wave that rises slowly."),
        ("Style mixing. Three by three.", "Style mixing. Three by three."),
        ("Left: a vs. B, and then more. Right: c.", "Left: a vs. B, and then more."),
        ("A loss of 0.5 at most, v. low. Then.", "A loss of 0.5 at most, v. low."),
        ("No stop at all", "No stop at all"),
        ("Accuracy by share. one: 1", "Accuracy by share. one: 1"),
        ("Accuracy over the share. one: 1", "Accuracy over the share."),
        ("Left: eight points and an a. Right: " + "a, " * 60, "Left: eight points and an a"),
        ("One machine in four modalities: " + "a, " * 60, "One machine in four modalities"),
        ("word " * 60, "word " * 23 + "word …"),
    ],
)
def test_the_first_sentence(text: str, first: str) -> None:
    assert figures.first_sentence(text) == first


def test_ranges_of_slides_are_written_out() -> None:
    assert kept.each_slide("S7.19 to S7.21, S7.21 and S6.01.") == [
        "S7.19",
        "S7.20",
        "S7.21",
        "S6.01",
    ]


REPORT = """---
orphan: true
---
# {number} · Waves

```text
This lesson took {wall} s ({cpu} CPU seconds at 0.50 times the usual pace) and at
most 1.5 GB of memory
with torch 2.14.1+cu130, 1 thread, device cpu.
```
"""


def test_timings_are_collected(tmp_path: Path) -> None:
    for number, cpu in ((31, 40), (32, 300)):
        text = REPORT.format(number=number, wall=cpu + 10, cpu=cpu)
        add_lesson(tmp_path, text, number)
    page = "# Times\n\n```{timings}\n```\n\n```{environment}\n```\n"
    planned = plan("31_waves", "32_waves")
    assert build(tmp_path, times=page, **{"book/lessons.yml": planned}) == ""
    cells = re.findall(r"<p>(.*?)</p></td>", html(tmp_path, "times"))
    plain = [re.sub(r"<[^>]+>", "", cell) for cell in cells]
    assert plain[1:6] == ["50", "1.5", "40", "0.50", "20"]
    total, mean = plain.index("All together"), plain.index("Mean")
    assert plain[total + 1 : total + 6] == ["360", "at most 1.5", "340", "–", "170"]
    assert plain[mean + 1 : mean + 6] == ["180", "1.5", "170", "0.50", "85"]
    assert "1 of 2 lessons keep to 120 CPU seconds" in html(tmp_path, "times")
    assert "the longest takes 150, and the mean is 85" in html(tmp_path, "times")
    assert platform.python_version() in plain
    if len(platform.node()) > 3:
        assert platform.node() not in html(tmp_path, "times")


def lessons(book: Path) -> list[Path]:
    return sorted((book / "notebooks").glob("*.html"))


def test_the_page_lists_every_figure(book: Path) -> None:
    page = (book / "book" / "figures.html").read_text(encoding="utf-8")
    for lesson in lessons(book):
        here = re.findall(r'<figure[^>]* class="mm-figure"', lesson.read_text(encoding="utf-8"))
        links = re.findall(rf'</a><p><a [^>]*{lesson.name}#figure-\d\d-\d+"[^>]*>([^<]+)', page)
        assert len(here) == len(links) > 0, lesson.name
        assert all(len(text.split()) >= 3 for text in links), lesson.name
        name = rf'<a class="mm-small" href="[^"]*{lesson.name}#[^"]+"[^>]*><img src="(data:[^"]+)"'
        assert len({len(data) for data in re.findall(name, page)}) > 1, "small pictures, not one"
        assert len(re.findall(name, page)) == len(here), lesson.name


def test_the_page_lists_the_time_of_every_lesson(book: Path) -> None:
    page = (book / "book" / "timings.html").read_text(encoding="utf-8")
    for lesson in lessons(book):
        took = re.search(r"\((\d+) CPU seconds", lesson.read_text(encoding="utf-8"))
        assert took, lesson.name
        row = rf"{lesson.name}\".{{,400}}?<td><p>{int(took[1]):,}</p></td>"
        assert re.search(row, page, re.DOTALL), lesson.name
