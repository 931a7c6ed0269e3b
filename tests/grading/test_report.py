"""Reports: escaped, harmless in a spreadsheet, complete."""

import csv
import io

from mmcourse.grading.report import feedback, grades, harmless
from mmcourse.grading.run import empty


def result(**fields):
    check = {
        "id": "ex1.value", "exercise": "ex1", "title": "T <1>", "hidden": False, "points": 0.0,
        "max_points": 2.0, "status": "fail", "message": "<script>alert(1)</script>",
        "seconds": 0.1, "seed": 1,
    }  # fmt: skip
    row = {"id": "ex1", "title": "T", "points": 0.0, "max_points": 2.0}
    return empty("anna") | {"checks": [check], "exercises": [row], "max_points": 2.0} | fields


def test_everything_of_the_learners_is_escaped():
    page = feedback(result(output="<img src=x>", notes=["<b>"], cell_errors={"<i>": "<u>"}))
    for tag in ("<script", "<img", "<b>&", "<i>", "<u>", "<1>"):
        assert tag not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'; style-src 'sha256-" in page


def test_the_page_says_what_it_is_about():
    about = {"title": "Exercise 31 · Attention", "lesson": "31 · Attention <i>"}
    page = feedback(result(graded_at="2030-01-02 03:04 UTC", **about))
    for text in ("<h1>Exercise 31 · Attention</h1>", "anna", "2030-01-02 03:04 UTC", "0 of 2"):
        assert text in page
    assert "lesson 31 · Attention &lt;i&gt;" in page


def test_the_page_says_why_numbers_differ_only_where_there_are_any():
    passed = result()["checks"][0] | {"status": "pass", "message": ""}
    assert "inputs that the grader drew" in feedback(result())
    assert "inputs that the grader drew" not in feedback(result(checks=[passed]))


def test_a_page_for_every_status():
    for status in ("graded", "unreadable", "needs_manual", "grader_error"):
        assert "<h1>" in feedback(result(status=status))
    assert "This is not a mark" in feedback(result(status="grader_error"))


def test_no_cell_starts_a_formula():
    for text in ("=1+1", "+1", "-1", "@x", "\tx"):
        assert harmless(text) == f"'{text}"
    table = grades([result(submission="=HYPERLINK(1)"), result(status="unreadable")])
    rows = list(csv.DictReader(io.StringIO(table)))
    assert rows[0]["submission"] == "'=HYPERLINK(1)"
    assert (rows[0]["points"], rows[0]["percent"], rows[0]["ex1"]) == ("0", "0", "0")
    assert (rows[1]["points"], rows[1]["ex1"]) == ("", "")
