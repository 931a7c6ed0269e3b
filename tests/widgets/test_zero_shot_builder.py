"""Zero-shot builder: what it says and refuses, and what a page computes, against Python."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import open_page, violations
from helpers import rejects
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect
from widgets_page import building, changes, discs, shown, text_model, text_readers

from mmcourse.widgets import ZeroShotBuilder
from mmcourse.widgets.reader import softmax
from mmcourse.widgets.zero_shot_builder import classes_of, fitting

CLASSES = "Class names, one a line (2 to 12)"
TEMPLATE = "Template, with {} for the name"
ITEMS = """nodes => nodes.map((n) => [Number(n.dataset.picture), n.closest(".mm-bin").dataset.class,
  Number(n.dataset.share), n.textContent, n.querySelector("canvas").getAttribute("aria-label")])"""

# ---- data and state ----


def test_it_counts_pictures_and_right_answers() -> None:
    made = building()
    reader = text_readers()[0]
    chosen = (reader.see(discs()) @ reader.read(["a red disc", "a blue disc"]).T).argmax(1)
    right = int((chosen == np.repeat([0, 1], 3)).sum())
    counts = f"red {(chosen == 0).sum()}, blue {(chosen == 1).sum()}"
    share = int(100 * right / 6 + 0.5)
    assert made.alt == (
        f"6 pictures in 2 classes: {counts}. Right: {right} of 6 ({share} %; by guessing 50 %)."
    )
    made.asked = 1
    assert made._describe().endswith("Nobody knows the truth of these classes, so nothing is "
                                     "counted.")  # fmt: skip
    assert made.png()[:4] == b"\x89PNG"
    assert building(asked=-1).alt == building().alt


def test_which_classes_fit() -> None:
    truths = [["red", "disc"], ["blue", "hole"]]
    words = ["red", "blue", "disc", "hole"]
    assert fitting(["red disc", "a Disc", "hole"], truths, words) == [[0, 1], [2]]
    assert fitting(["red hole", "red"], truths, words) == [[1], []]
    assert fitting(["red", "star"], truths, words) is None
    assert fitting(["red", "a"], truths, words) is None


def test_what_no_class_fits_is_told() -> None:
    made = building(truths=[["red", "disc"]] * 2 + [["disc"]] * 4)
    assert "of 2 (" in made.alt
    assert made.alt.endswith("No class fits 4 of the pictures, and each had to go somewhere.")
    made = building(truths=[["disc"]] * 6)
    assert "Right" not in made.alt


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truths": [["red"]]}, "need truths for each of 6 pictures"),
        ({"truths": [["green"]] * 6}, r"all attributes, got 6 and the words \['green'\]"),
        ({"names": ["x"]}, "need truths for each of 1 pictures"),
        ({"asked": 2}, "asked must be a whole number from -1 to 1, got 2"),
        ({"presets": [{"name": "x", "asked": -2}]}, "asked must be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        building(**options)


@pytest.mark.parametrize(
    ("classes", "template", "message"),
    [
        ("red", "a {}", "2 to 12 classes and a template"),
        (",".join(["red"] * 13), "a {}", "got 13"),
        ("red, blue", "a", "a template with one {}"),
        ("red, blue", "{} {}", "a template with one {}"),
        ("red, green", "a {}", "unknown word 'green' in 'a green'"),
    ],
)
def test_stored_classifiers_are_checked(classes: str, template: str, message: str) -> None:
    given = {"names": ["x"] * 6, "truths": [[]] * 6, "attributes": []}
    with rejects(message):
        ZeroShotBuilder(discs(), text_readers(), [(0, classes, template)], **given)


# ---- the page against Python ----


def test_the_page_says_the_same(run) -> None:
    for asked in (0, 1):
        made = building(asked=asked)
        one, read, seen, scale = made._shown()
        given = [read.tolist(), seen.tolist(), scale, one["classes"], made.truths, made.attributes]
        code = (
            "m.sentence(m.classesOf(x[3]), m.sortPictures(x[0], x[1], x[2]).chosen, "
            "m.fitting(m.classesOf(x[3]), x[4], x[5]))"
        )
        assert run(code, given, widget="zero_shot_builder") == made._describe()


def test_names_are_cut_as_in_python(run) -> None:
    for text in ("a, b", "a\nb\n\n c  d ,", ",,", "a", "빨간, 파란\n원"):
        assert run("m.classesOf(x)", text, widget="zero_shot_builder") == classes_of(text)


def test_shares_are_python_s(run) -> None:
    _, read, seen, scale = building()._shown()
    given = [read.tolist(), seen.tolist(), scale]
    found = run("m.sortPictures(...x)", given, widget="zero_shot_builder")
    expected = softmax(scale * seen @ read.T)
    np.testing.assert_allclose(found["shares"], expected, atol=1e-9)
    assert found["chosen"] == expected.argmax(1).tolist()


# ---- by the page itself ----


@pytest.fixture(scope="module")
def found(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locator]:
    """The widget after its model has been loaded, once for all."""
    made = building(live=text_model("build"))
    with open_page(browser, live_page(tmp_path_factory.mktemp("build"), [made])) as page:
        widget = shown(page)
        expect(widget.get_by_label(CLASSES)).to_be_disabled()
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.locator(".mm-desk .mm-hint")).to_contain_text("runs in this", timeout=60_000)
        yield widget


def ask(found: Locator, place: int, classes: str, template: str) -> None:
    found.get_by_label("Model", exact=True).select_option(index=place)
    found.get_by_label(CLASSES).fill(classes)
    found.get_by_label(TEMPLATE).fill(template)
    found.get_by_role("button", name="Sort the pictures").click()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("place", "classes", "template"),
    [
        (0, "red\nblue", "a {} disc"),
        (0, "red disc, blue disc, small hole", "{}"),
        (0, "a, small, red, blue, disc, hole, a a, a small, a red, a blue, a disc, a hole", "a {}"),
        (1, "작은, 빨간", "{} 원판"),
    ],
)
def test_the_page_computes_what_python_computes(
    found: Locator, place: int, classes: str, template: str
) -> None:
    ask(found, place, classes, template)
    names = classes_of(classes)
    expect(found.locator(".mm-summary")).to_contain_text(f"in {len(names)} classes: {names[0]} ")
    reader = text_readers()[place]
    seen = reader.see(discs()).astype(np.float16).astype(float)
    read = reader.read([template.replace("{}", name) for name in names])
    shares = softmax(reader.scale * seen @ read.T)
    made = building()
    fits = fitting(names, made.truths, made.attributes)
    rows = found.locator(".mm-bin li").evaluate_all(ITEMS)
    assert sorted(row[0] for row in rows) == list(range(6))
    for picture, name, share, text, label in rows:
        best = int(shares[picture].argmax())
        assert name == names[best]
        assert abs(share - shares[picture, best]) < 1e-4
        right = None if fits is None else best in fits[picture]
        assert ("✓" in text) is (right is True)
        assert label.endswith(", right") is (right is True)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("classes", "template", "said"),
    [
        ("", "a {}", "2 to 12 classes, one a line or with commas between; got 0"),
        ("red", "a {}", "got 1"),
        ("a," * 13, "a {}", "got 13"),
        ("red, red", "a {}", "Two classes are called “red”"),
        ("red, blue", "a", "The template needs one {}"),
        ("red, blue", "", "The template needs one {}"),
        ("red, blue", "{} {}", "The template needs one {}"),
        ("red, blue", "{} {x}", "The template needs one {}"),
        ("red, bleu", "a {}", "“a bleu” has an unknown word 'bleu'; the nearest known: blue"),
        ("red, red red red red red red", "{}", "has at most 5 words here, got 6"),
        ("red, ???", "{}", "“???” needs at least one word"),
    ],
)
def test_what_cannot_be_read_is_said(
    found: Locator, classes: str, template: str, said: str
) -> None:
    ask(found, 0, "disc, hole", "{}")
    expect(found.locator(".mm-summary")).to_contain_text("2 classes: disc")
    ask(found, 0, classes, template)
    expect(found.locator(".mm-problem")).to_contain_text(said)
    expect(found.locator(".mm-summary")).to_contain_text("2 classes: disc")
    expect(found.get_by_role("button", name="Sort the pictures")).to_be_enabled()


@pytest.mark.browser
def test_very_long_names_and_a_storm_of_clicks(found: Locator) -> None:
    ask(found, 0, "disc, hole", "{}")
    names, button = found.get_by_label(CLASSES), found.get_by_role("button", name="Sort the pic")
    names.evaluate("(node) => { node.value = 'x'.repeat(10000) + ', y'; }")
    button.click()
    expect(found.locator(".mm-problem")).to_contain_text("got 1")
    names.evaluate("(node) => { node.value = 'red, ' + 'a '.repeat(2000); }")
    button.click()
    expect(found.locator(".mm-problem")).to_contain_text("at most 5 words here")
    names.fill("hole, red")
    button.evaluate("(node) => { for (let i = 0; i < 50; i++) node.click(); }")
    expect(found.locator(".mm-summary")).to_contain_text("2 classes: hole")
    expect(found.locator(".mm-problem")).to_have_count(0)


@pytest.mark.browser
def test_by_keyboard_and_back_to_what_is_stored(found: Locator) -> None:
    ask(found, 0, "disc, hole", "{}")
    names, template = found.get_by_label(CLASSES), found.get_by_label(TEMPLATE)
    names.fill("hole")
    names.press("Enter")  # a new line, and nothing is asked
    names.press_sequentially("blue")
    expect(found.locator(".mm-summary")).to_contain_text("2 classes: disc")
    names.press("Control+Enter")
    expect(found.locator(".mm-summary")).to_contain_text("2 classes: hole")
    names.fill("blue, hole")
    template.press("Enter")
    expect(found.locator(".mm-summary")).to_contain_text("2 classes: blue")
    for index in (1, 0):
        found.get_by_role("group", name="Try this").get_by_role("button").nth(index).click()
        expect(found.locator(".mm-summary")).to_have_text(building(asked=index).alt)
        one = building().stored[index]
        expect(names).to_have_value(one["classes"].replace(", ", "\n"))
        expect(template).to_have_value(one["template"])


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_without_a_model_the_stored_answers_stay(show, theme: str) -> None:
    with show(building, theme, width=390) as widget:
        expect(widget.locator(".mm-desk .mm-hint")).to_contain_text("no running notebook")
        for control in (CLASSES, TEMPLATE, "Model"):
            expect(widget.get_by_label(control, exact=True)).to_be_disabled()
        expect(widget.locator(".mm-summary")).to_have_text(building().alt)
        changes(widget, widget.get_by_role("button", name="Nobody knows").click)
        expect(widget.locator(".mm-summary")).to_have_text(building(asked=1).alt)
        assert widget.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(widget.page, "main") == []
