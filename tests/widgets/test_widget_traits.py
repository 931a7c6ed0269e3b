"""What the widgets accept, refuse, carry and show where nothing runs."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from PIL import Image
from widgets_page import (
    WORDS,
    attention,
    masked,
    noise,
    patches,
    sampling,
    scene,
    scrubber,
    weights,
)

from mmcourse.widgets import AttentionExplorer, DenoisingScrubber, NoiseScheduleExplorer
from mmcourse.widgets.base import BUDGET, HERE, compose

MAKERS = [attention, masked, noise, patches, sampling, scrubber]
ALPHA_BAR = np.linspace(0.99, 0.01, 20)


@pytest.mark.parametrize("make", MAKERS)
def test_a_widget_is_light(make: Any) -> None:
    widget = make()
    assert len(widget.data) <= BUDGET
    shared = compose("", "js") + compose("", "css")
    assert len(shared.encode()) <= 25_000, "the shared code stands in every widget of a page"
    assert len((widget._esm + widget._css).encode()) <= 36_000


@pytest.mark.parametrize("make", MAKERS)
def test_still_picture_and_sentence(make: Any) -> None:
    widget = make()
    data, metadata = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    sentence = metadata["image/png"]["alt"]
    assert len(sentence.split()) > 8
    assert data["text/plain"] == sentence == widget.alt
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.format == "PNG"
    assert picture.convert("L").getextrema()[0] < 128, "something is drawn"


def test_the_still_picture_shows_the_present_state() -> None:
    widget = attention()
    before = widget.png()
    widget.head = 2
    assert widget.png() != before
    assert "head 3" in widget._repr_mimebundle_()[0]["text/plain"]


def test_every_javascript_file_has_its_class() -> None:
    stems = {path.stem for path in HERE.glob("*.js")} - {"kit", "pictures", "static_host"}
    assert stems == {path.stem for path in HERE.glob("*.py")} - {"__init__", "base"}


# ---- AttentionExplorer ----


def test_attention_data_survive() -> None:
    given = weights(12, 12, causal=True)
    widget = AttentionExplorer(given, WORDS)
    stored = np.frombuffer(widget.data, "<f2").reshape(given.shape)
    torch.testing.assert_close(
        torch.as_tensor(stored.copy()).double(), torch.as_tensor(given), atol=5e-4, rtol=1e-3
    )
    assert np.array_equal(stored == 0, given == 0)


def test_attention_accepts_tensors_and_a_row_with_nothing_to_attend() -> None:
    given = torch.as_tensor(weights(3, 3)).float()
    given[0, 0, 1] = 0
    widget = AttentionExplorer(given, ["a", "b", "c"], pinned=1)
    assert "“b” attends most to nothing" in widget.alt


def test_attention_starts_with_the_most_telling_query() -> None:
    given = np.full((1, 1, 4, 4), 0.25)
    given[0, 0, 2] = [0.0, 0.9, 0.05, 0.05]
    assert AttentionExplorer(given, list("abcd")).pinned == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[0], r"layers, heads, queries, keys.*\(4, 12, 12\)"),
        (lambda w: -w, "at least 0, got -"),
        (lambda w: w * 2, "sum to 1 .* got a sum of 2"),
        (lambda w: w[..., :5], "12 queries and 5 keys, got 12 and 12 tokens"),
        (lambda w: w * np.nan, "finite"),
        (lambda w: w[:0], "shape"),
    ],
)
def test_attention_refuses(change: Any, message: str) -> None:
    with rejects(message):
        AttentionExplorer(change(weights(12, 12)), WORDS)


def test_attention_normalised_over_the_wrong_axis_is_caught() -> None:
    wrong = weights(12, 12).swapaxes(-1, -2)
    with rejects("sum to 1 over the keys"):
        AttentionExplorer(wrong, WORDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "layer must be a whole number from 0 to 1, got 2"),
        ({"head": -2}, "head must be a whole number from -1 to 3, got -2"),
        ({"pinned": 12}, "pinned must be a whole number from 0 to 11, got 12"),
        ({"presets": [{"name": "x", "heads": 1}]}, r"a preset has a name and some of .*heads"),
        ({"presets": [{"head": 1}]}, "a preset has a name"),
        ({"presets": [{"name": "x", "head": 9}]}, "head must be .* got 9"),
        ({"presets": [{"name": "x", "head": 0.5}]}, "head must be .* got 0.5"),
    ],
)
def test_attention_refuses_states(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        AttentionExplorer(weights(12, 12), WORDS, **options)


def test_sentences_must_be_whole() -> None:
    with rejects("at least one sentence"):
        AttentionExplorer.from_sentences([])
    with rejects("missing {'tokens'}"):
        AttentionExplorer.from_sentences([{"name": "a", "weights": weights(2, 2)}])


def test_a_wrong_change_is_refused_and_undone() -> None:
    widget = attention()
    with rejects("layer must be"):
        widget.layer = 5
    assert widget.layer == 0


def test_a_shorter_sentence_moves_the_pinned_word() -> None:
    widget = attention()
    widget.pinned = 11
    widget.sentence = 2
    assert widget.pinned == 2
    assert "동그라미" in widget._describe()


def test_too_much_data_is_refused() -> None:
    with rejects(r"at most 100,000 bytes of data, got 138,240"):
        DenoisingScrubber(np.zeros((10, 18, 3, 16, 16)), labels=["x"] * 10, tracks=["a"])
    with rejects("at most 100,000"):
        AttentionExplorer(np.full((12, 12, 20, 20), 0.05), ["x"] * 20)


# ---- NoiseScheduleExplorer ----


@pytest.mark.parametrize(
    ("image", "schedules", "message"),
    [
        (scene()[None], {"a": ALPHA_BAR}, "channels, height, width"),
        (np.zeros((2, 4, 4)), {"a": ALPHA_BAR}, "1 or 3 channels"),
        (scene() * 127, {"a": ALPHA_BAR}, r"\[-1, 1\]"),
        (scene(), {}, "at least one"),
        (scene(), {"a": ALPHA_BAR, "b": ALPHA_BAR[:5]}, "same number of steps, got .*20.*5"),
        (scene(), {"a": ALPHA_BAR * 2}, r"\[0, 1\], got .* for 'a'"),
        (scene(), {"a": ALPHA_BAR[::-1]}, "must fall"),
    ],
)
def test_noise_refuses(image: Any, schedules: Any, message: str) -> None:
    with rejects(message):
        NoiseScheduleExplorer(image, schedules=schedules)


def test_betas_given_for_alpha_bar_are_caught() -> None:
    with rejects("must fall"):
        NoiseScheduleExplorer(scene(), schedules={"linear": np.linspace(1e-4, 0.02, 1000)})


def test_noise_state() -> None:
    with rejects("step must be a whole number from 0 to 19, got 20"):
        NoiseScheduleExplorer(scene(), schedules={"a": ALPHA_BAR}, step=20)
    with rejects("graph must be one of"):
        NoiseScheduleExplorer(scene(), schedules={"a": ALPHA_BAR}, graph="beta")
    same = [NoiseScheduleExplorer(scene(), schedules={"a": ALPHA_BAR}).data for _ in range(2)]
    assert same[0] == same[1], "the noise is seeded"


# ---- DenoisingScrubber ----


def test_scrubber_takes_bytes_as_they_are_and_one_track_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 2, 1, 5, 5), dtype=np.uint8)
    widget = DenoisingScrubber(frames, labels=list("abcd"))
    assert widget.shape == [1, 4, 2, 1, 5, 5]
    assert widget.data == frames.tobytes()


def test_scrubber_labels_per_track() -> None:
    frames = torch.zeros(2, 3, 1, 1, 4, 4)
    labels = [["t = 999", "t = 499", "t = 0"], ["t = 950", "t = 475", "t = 0"]]
    widget = DenoisingScrubber(frames, labels=labels, tracks=["DDPM", "DDIM"])
    assert widget.labels == labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"]}, r"labels must be 3 per track for 2 tracks, got lists of \[1, 1\]"),
        ({"tracks": ["a"]}, "tracks must name 2 tracks, got 1"),
        ({"frame": 3}, "frame must be a whole number from 0 to 2, got 3"),
        ({"curve": {"loss": [1, 2]}}, "curve 'loss' needs 3 values, got 2"),
        ({"curve": {name: [1, 2, 3] for name in "abcde"}}, "at most 4"),
    ],
)
def test_scrubber_refuses(options: dict[str, Any], message: str) -> None:
    good = {"labels": list("abc"), "tracks": ["x", "y"]}
    with rejects(message):
        DenoisingScrubber(np.zeros((2, 3, 1, 1, 4, 4)), **{**good, **options})


def test_scrubber_refuses_frames_out_of_range() -> None:
    with rejects(r"\[-1, 1\], got values from 0 to 255"):
        DenoisingScrubber(np.linspace(0, 255, 48).reshape(3, 1, 1, 4, 4), labels=list("abc"))
