"""Retrieval: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, retrieval

from mmcourse.widgets import Retrieval

PICTURES = np.zeros((9, 3, 8, 8))
GOOD: dict[str, Any] = {
    "names": list("abcdefghi"),
    "queries": [["x", "ㄱ"], ["y", "ㄴ"]],
    "query_vectors": np.eye(9)[[[0, 1], [2, 2]]],
    "languages": ["English", "Korean"],
}

# ---- data and state ----


def test_it_says_what_is_found_and_where_the_right_one_is() -> None:
    made = Retrieval(PICTURES, np.eye(9), **GOOD)
    assert made.alt == "“x” finds first: a, b, c."
    made = Retrieval(PICTURES, np.eye(9), **GOOD, targets=[3, -1], language=1)
    assert made.alt == "“ㄱ” finds first: b, a, c. The right picture has rank 4 of 9."
    made.query = 1
    assert made._describe() == "“ㄴ” finds first: c, a, b."
    assert made.png()[:4] == b"\x89PNG"


def test_rounding_to_bytes_keeps_the_order() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(2, 30, 64))
    own, asked = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    options = {"names": ["p"] * 30, "queries": [["q"]] * 30, "languages": ["English"]}
    made = Retrieval(np.zeros((30, 3, 8, 8)), own, query_vectors=asked[:, None], **options)
    for query in range(30):
        made.query = query
        exact = own @ asked[query]
        assert exact[made._ranked()[0]] > exact.max() - 0.01


@pytest.mark.parametrize(
    ("pictures", "vectors", "options", "message"),
    [
        (PICTURES[:7], np.eye(9)[:7], {}, "need 8 or more colour pictures"),
        (PICTURES[:, :1], np.eye(9), {}, "colour pictures"),
        (PICTURES, np.eye(9)[:8], {}, "need a vector and a name for each of 9 pictures"),
        (PICTURES, np.eye(9), {"names": ["a"]}, "need a vector and a name for each of 9"),
        (PICTURES, 2 * np.eye(9), {}, "picture_vectors must be unit vectors, got lengths to 2"),
        (PICTURES, np.eye(9), {"queries": [["x", "ㄱ"]]}, r"query vectors of shape \(1, 2, 9\)"),
        (PICTURES, np.eye(9), {"queries": [["x"], ["y"]]}, "every query needs 2 texts"),
        (PICTURES, np.eye(9), {"targets": [0]}, "every query needs 2 texts and one target"),
        (PICTURES, np.eye(9), {"targets": [0, 9]}, "targets must be places from 0 to 8 or -1"),
        (PICTURES, np.eye(9), {"query": 2}, "query must be a whole number from 0 to 1"),
        (PICTURES, np.eye(9), {"language": 2}, "language must be a whole number from 0 to 1"),
        (PICTURES, np.eye(9), {"presets": [{"name": "x", "top": 1}]}, "a preset has a name"),
    ],
)
def test_what_does_not_fit_is_refused(
    pictures: Any, vectors: Any, options: dict[str, Any], message: str
) -> None:
    with rejects(message):
        Retrieval(pictures, vectors, **{**GOOD, **options})


# ---- the page against Python ----


def test_the_page_ranks_and_says_the_same(run) -> None:
    made = retrieval()
    own, asked = made._vectors
    for query, language in ((0, 0), (1, 1), (2, 0)):
        made.query, made.language = query, language
        given = [own.ravel().tolist(), asked[query, language].tolist()]
        order = run("m.ranked(m.cosines(Int8Array.from(x[0]), x[1]))", given, widget="retrieval")
        assert order == made._ranked()
        text, target = made.queries[query][language], made.targets[query]
        said = run("m.sentence(...x)", [text, order, made.names, target], widget="retrieval")
        assert said == made._describe()


# ---- on a page ----


@pytest.mark.browser
def test_another_text_ranks_anew(show) -> None:
    with show(retrieval) as widget:
        said = widget.locator(".mm-summary")
        expect(said).to_have_text(retrieval().alt)
        choose = widget.get_by_label("Text", exact=True)
        changes(widget, lambda: choose.select_option(index=1))
        expect(said).to_have_text(retrieval(query=1).alt)
        widget.get_by_label("Language", exact=True).select_option(index=1)
        expect(said).to_have_text(retrieval(query=1, language=1).alt)
        expect(choose.locator("option").nth(2)).to_have_text("원판 6")


@pytest.mark.browser
def test_the_right_picture_is_marked(show) -> None:
    with show(retrieval) as widget:
        expect(widget.locator("figure.mm-right")).to_have_count(0)
        widget.get_by_role("button", name="Found").click()
        first = widget.locator("figure").first
        expect(first.locator("b")).to_have_text("1 ✓")
        expect(widget.locator("figure.mm-right")).to_have_count(1)
        label = first.locator("canvas").get_attribute("aria-label")
        assert label == "rank 1: disc at 0, the right one"
        expect(first.locator(".mm-value")).to_contain_text("cosine 0.")
