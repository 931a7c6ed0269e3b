"""Mode scrubber: what it accepts and carries, what it counts, and how it answers on a page."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, ring

from mmcourse.generative import count_modes
from mmcourse.widgets import ModeScrubber

CENTRES = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]])
SAMPLES = np.linspace(-2, 2, 2 * 3 * 5 * 2).reshape(2, 3, 5, 2)
GOOD: dict[str, Any] = {"radius": 0.5, "names": ["a", "b"], "labels": ["0", "1", "2"]}

# ---- data and state ----


def test_numbers_are_carried_in_their_order(run) -> None:
    field = np.linspace(0, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    widget = ModeScrubber(SAMPLES, CENTRES, judged=field, **GOOD)
    assert widget.shape == [2, 3, 5, 3, 4, 4]
    code = "(() => { const f = m.unpack(new DataView(Uint8Array.from(x[0]).buffer), x[1]);"
    code += "return [f.samples, f.field].map((a) => Array.from(a)); })()"
    points, shades = run(code, [list(widget.data), widget.shape], widget="mode_scrubber")
    np.testing.assert_allclose(points, SAMPLES.ravel(), rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(np.array(shades) / 255, field.ravel(), atol=1 / 255)


def test_it_counts_as_the_course_counts() -> None:
    made = ring(at_least=3)
    for track in range(2):
        for frame in range(5):
            made.track, made.frame = track, frame
            counts, found = made._count()
            samples = torch.tensor(made._samples[track, frame])
            centres = torch.tensor(made._centres)
            right = count_modes(samples, centres, radius=made.radius, at_least=3)
            assert (counts, found) == (right.counts.tolist(), right.found)


def test_it_says_what_is_seen() -> None:
    made = ring(track=0, frame=0)
    assert made.alt.startswith("spread, step 0: 0 of 8 modes found; 0 of 64 samples are good.")
    assert "8 of 8 modes found; 64 of 64 samples" in ring(track=0, frame=4).alt
    assert "1 of 8 modes found; 64 of 64 samples" in ring(track=1, frame=4).alt


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "need 2 names and 3 labels, got 1 and 3"),
        ({"labels": ["0"]}, "need 2 names and 3 labels, got 2 and 1"),
        ({"radius": 0.0}, "radius must be above 0"),
        ({"radius": math.nan}, "radius must be above 0"),
        ({"reach": -1.0}, "reach must be above 0"),
        ({"at_least": 0}, "at_least must be above 0"),
        ({"judged": np.zeros((2, 2, 4, 4))}, r"judged must be \(2, 3, rows, columns\)"),
        ({"judged": np.full((2, 3, 4, 4), 1.5)}, r"judged must lie in \[0, 1\]"),
        ({"frame": 3}, "frame must be a whole number from 0 to 2"),
        ({"track": 2}, "track must be a whole number from 0 to 1"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        ModeScrubber(SAMPLES, CENTRES, **{**GOOD, **options})


def test_it_refuses_what_is_no_plane() -> None:
    with rejects("at least 2 frames"):
        ModeScrubber(SAMPLES[:, :1], CENTRES, **{**GOOD, "labels": ["0"]})
    with rejects("samples must be"):
        ModeScrubber(np.zeros((2, 3, 5, 3)), CENTRES, **GOOD)
    with rejects(r"centres must be \(modes, 2\)"):
        ModeScrubber(SAMPLES, CENTRES[:, :1], **GOOD)
    with rejects("NaN or infinity"):
        ModeScrubber(SAMPLES * np.nan, CENTRES, **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    code = "(() => { const c = m.count(x[2], x[3], x[4]);"
    code += "return [m.sentence(x[0], x[1], c, x[5], x[6]), c, m.enough(c, x[6])]; })()"
    for state in ({}, {"track": 1}, {"frame": 1}, {"track": 1, "frame": 4, "at_least": 9}):
        made = ring(**state)
        flat = made._samples[made.track, made.frame].ravel().tolist()
        name, label = made.names[made.track], made.labels[made.frame]
        given = [name, label, flat, made.centres, made.radius, made.shape[2], made.at_least]
        said, counts, found = run(code, given, widget="mode_scrubber")
        assert said == made._describe()
        assert (counts, found) == made._count()


def test_a_stray_sample_has_no_home(run) -> None:
    code = "[m.home(2.4, 0, x, 0.5), m.home(0, 0, x, 0.5), m.home(-2, 0.1, x, 0.5)]"
    assert run(code, CENTRES.tolist(), widget="mode_scrubber") == [0, -1, 2]


# ---- on a page ----


@pytest.mark.browser
def test_another_training_and_another_moment(show) -> None:
    with show(ring) as widget:
        said = widget.locator(".mm-summary")
        slider = widget.get_by_label("Moment of the training")
        changes(widget, lambda: slider.press("End"))
        assert slider.get_attribute("aria-valuetext") == "step 400"
        expect(said).to_contain_text("8 of 8 modes found")
        changes(widget, lambda: widget.locator("select").select_option(index=1))
        expect(said).to_contain_text("1 of 8 modes found")
        shades = widget.locator("canvas").evaluate(
            "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
        )
        assert len(set(shades[3::4])) > 3


@pytest.mark.browser
def test_it_plays_to_the_end(show) -> None:
    with show(ring, motion="no-preference") as widget:
        widget.get_by_role("button", name="Play").click()
        expect(widget.locator(".mm-summary")).to_contain_text("step 400", timeout=15_000)
        expect(widget.get_by_role("button", name="Play")).to_be_visible()
