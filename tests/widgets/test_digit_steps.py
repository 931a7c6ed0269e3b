"""Digit steps: the page's digits are those of `sample_ddim`, and what it refuses."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect
from widgets_page import digit_steps

from mmcourse.diffusion import NoiseSchedule, UNet, cosine_betas, ddim_steps, sample_ddim
from mmcourse.inpage import PageModel, Part
from mmcourse.widgets import DigitSteps

SCHEDULE = NoiseSchedule(cosine_betas(50))
MOST = 12
# Every second walk stops twice at some steps.
WALKS = {
    "cosine": [[*ddim_steps(50, n), -1] for n in range(1, MOST + 1)],
    "late": [[*(min(49, t + 10) for t in ddim_steps(50, n)), -1] for n in range(1, MOST + 1)],
}
# The grey levels of every stop of every row.
BYTES = """(root) => [...root.querySelectorAll(".mm-stops")].map((row) =>
  [...row.querySelectorAll("canvas")].map((canvas) => {
    const copy = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, 8, 8);
    return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
  }))"""


@pytest.fixture(scope="module")
def unet() -> UNet:
    """The lesson's network, smaller, with random weights in its last layer, too."""
    torch.manual_seed(4)
    sizes = {"in_channels": 1, "channels": (8, 16), "attention": (False, True), "groups": 4}
    net = UNet(**sizes, blocks_per_level=1, num_classes=10)
    torch.nn.init.normal_(net.conv_out.weight, std=0.2)
    return net.eval()


def start(seed: int) -> torch.Tensor:
    return torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def film(unet: UNet, walk: list[int], digit: int, seed: int) -> np.ndarray:
    """By sample_ddim: (stops, 2, 1, 8, 8) in 0 … 255, x_t and the guess before each step."""
    held, found = [start(seed)], {}

    def keep(step: int, x: torch.Tensor, x0: torch.Tensor) -> None:
        found[step] = torch.cat([held[-1], x0])
        held.append(x)

    stops = list(dict.fromkeys(walk))
    options = {"walk": stops, "start": start(seed), "context": torch.tensor([digit])}
    x = sample_ddim(unet, (1, 1, 8, 8), SCHEDULE, steps=1, generator=None, on_step=keep, **options)
    found[-1] = torch.cat([x, x])
    frames = torch.stack([found[step] for step in walk]).clamp(-1, 1)
    return ((frames + 1) * 127.5).numpy()


def steps(unet: UNet, **options: Any) -> DigitSteps:
    frames = np.stack([film(unet, ones[4], 3, 0) for ones in WALKS.values()]) / 127.5 - 1
    example = {"x": start(0), "step": torch.tensor([49]), "digit": torch.tensor([3])}
    net = PageModel("digits-test", {"unet": Part(unet, example)})
    presets = [{"name": "Guesses", "shown": 1, "step": 0}]
    options = {"live": net, "presets": presets, "digit": 3, **options}
    return DigitSteps(frames, WALKS, SCHEDULE.alpha_bar, **options)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, unet: UNet) -> str:
    return live_page(tmp_path_factory.mktemp("live"), [steps(unet)])


@pytest.fixture(scope="module")
def found(browser: Browser, live: str) -> Iterator[Locator]:
    with open_page(browser, live) as page:
        widget = page.locator(".mm-widget")
        expect(widget.get_by_label("Digit", exact=True)).to_be_disabled()
        expect(widget.get_by_role("button", name="Draw")).to_be_disabled()
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.locator(".mm-hint")).to_contain_text("runs in this page", timeout=60_000)
        yield widget


def draw(found: Locator, digit: int, seed: Any, count: Any) -> None:
    found.get_by_label("Digit", exact=True).select_option(str(digit))
    found.get_by_label("Seed").fill(str(seed))
    found.get_by_label("Steps (").fill(str(count))
    found.get_by_role("button", name="Draw").click()


# ---- the page's digits are Python's ----


@pytest.mark.parametrize(
    ("digit", "seed", "count"), [(3, 0, 5), (0, 1, 1), (9, 2**32 - 1, 12), (7, 72, 8)]
)
def test_the_page_draws_what_python_draws(
    found: Locator, unet: UNet, digit: int, seed: int, count: int
) -> None:
    draw(found, digit, seed, count)
    told = f"Digit {digit} from seed {seed} in {count} step"
    expect(found.locator(".mm-summary")).to_contain_text(told, timeout=30_000)
    expect(found.get_by_role("button", name="Draw")).to_be_enabled(timeout=30_000)
    for shown in (0, 1):
        found.get_by_label("Show", exact=True).select_option(index=shown)
        expect(found.locator(".mm-summary")).to_contain_text(("x_t at", "x̂₀ at")[shown])
        rows = found.evaluate(BYTES)
        for pixels, ones in zip(rows, WALKS.values(), strict=True):
            expected = film(unet, ones[count - 1], digit, seed)[:, shown]
            apart = np.abs(np.array(pixels) - expected.reshape(count + 1, 64))
            assert apart.max() <= 2
    assert violations(found.page, "main") == []


def test_the_cosine_row_is_sample_ddim(unet: UNet) -> None:
    """The last stop, without a walk given."""
    context = torch.tensor([5])
    options = {"start": start(9), "generator": None, "context": context}
    x = sample_ddim(unet, (1, 1, 8, 8), SCHEDULE, steps=6, **options)
    last = film(unet, WALKS["cosine"][5], 5, 9)[-1, 0]
    np.testing.assert_allclose(last, (x[0].clamp(-1, 1) + 1) * 127.5, atol=1e-3)


def test_repeated_steps_are_no_moves(found: Locator) -> None:
    draw(found, 4, 4, 12)
    expect(found.locator(".mm-summary")).to_contain_text("Digit 4 from seed 4 in 12 steps")
    expect(found.get_by_role("button", name="Draw")).to_be_enabled(timeout=30_000)
    late = found.evaluate(BYTES)[1]
    walk = WALKS["late"][11]
    assert walk[0] == walk[1]
    assert late[0] == late[1] != late[-1]
    found.get_by_label("Stop", exact=True).fill("1")
    expect(found.locator(".mm-summary")).to_contain_text("as before: no move")


# ---- what cannot be drawn ----


@pytest.mark.parametrize(
    ("seed", "count", "said"),
    [
        ("", 5, "Seed must be a whole number from 0 to 4294967295."),
        (-1, 5, "Seed must be a whole number"),
        (2**32, 5, "Seed must be a whole number"),
        (1.5, 5, "Seed must be a whole number"),
        (0, "", "Steps must be a whole number from 1 to 12."),
        (0, 0, "Steps must be a whole number"),
        (0, 13, "Steps must be a whole number"),
        (0, 1e9, "Steps must be a whole number"),
    ],
)
def test_what_cannot_be_drawn_is_said(found: Locator, seed: Any, count: Any, said: str) -> None:
    before = found.locator(".mm-summary").inner_text()
    draw(found, 2, seed, count)
    expect(found.locator(".mm-problem")).to_contain_text(said)
    assert found.locator(".mm-summary").inner_text() == before
    expect(found.get_by_role("button", name="Draw")).to_be_enabled()


def test_a_storm_of_clicks_and_the_keyboard(found: Locator) -> None:
    draw(found, 6, 11, 10)
    button = found.get_by_role("button", name="Draw")
    button.evaluate("(node) => { for (let i = 0; i < 30; i++) node.click(); }")
    expect(button).to_be_enabled(timeout=30_000)
    found.get_by_label("Seed").fill("12")
    found.get_by_label("Seed").press("Enter")
    expect(found.locator(".mm-summary")).to_contain_text("Digit 6 from seed 12 in 10 steps")
    expect(button).to_be_enabled(timeout=30_000)
    found.get_by_role("button", name="Guesses").click()
    expect(found.locator(".mm-summary")).to_contain_text(
        "Digit 3 from seed 0 in 5 steps, x̂₀ at stop 1 of 6"  # the stored film is back
    )


def test_a_small_dark_window(browser: Browser, live: str) -> None:
    with open_page(browser, live, width=390, scheme="dark") as page:
        widget = page.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.get_by_role("button", name="Draw")).to_be_enabled(timeout=60_000)
        draw(widget, 1, 1, 12)
        expect(widget.locator(".mm-summary")).to_contain_text("in 12 steps")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(page, "main") == []


# ---- Python's side ----


def test_the_kernel_answers(unet: UNet) -> None:
    widget = steps(unet)
    x, numbers = start(5), np.array([20], dtype=np.int32)
    message = {"part": "unet", "inputs": [["x", [1, 1, 8, 8], "float32"]]}
    message["inputs"] += [["step", [1], "int32"], ["digit", [1], "int32"]]
    digit = np.array([8], dtype=np.int32)
    buffers = [x.numpy().tobytes(), numbers.tobytes(), digit.tobytes()]
    said, (out,) = widget.run(message, buffers)
    assert said == {"outputs": [["out", [1, 1, 8, 8]]]}
    with torch.no_grad():
        expected = unet(x, torch.tensor([20]), torch.tensor([8]))
    np.testing.assert_allclose(np.frombuffer(out, np.float32), expected.flatten(), atol=1e-5)


def test_what_the_page_drew_reaches_python(unet: UNet) -> None:
    widget = steps(unet)
    frames = np.stack([film(unet, ones[1], 8, 6) for ones in WALKS.values()]).astype(np.uint8)
    state = {"data": memoryview(frames.tobytes()), "digit": 8, "seed": 6, "steps": 2, "step": 2}
    widget.set_state(state)
    assert np.array_equal(widget.pictures(), frames)
    assert "Digit 8 from seed 6 in 2 steps" in widget._describe()
    assert widget.png()


GOOD: dict[str, Any] = {
    "frames": np.zeros((1, 3, 2, 1, 4, 4)),
    "walks": {"row": [[4, -1], [4, 2, -1]]},
    "alpha_bar": [0.9, 0.7, 0.5, 0.3, 0.1],
}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": np.zeros((2, 3, 2, 1, 4, 4))}, "need a walk for each row and two views"),
        ({"frames": np.zeros((1, 3, 1, 1, 4, 4))}, "need a walk for each row and two views"),
        ({"frames": np.zeros((1, 4, 2, 1, 4, 4))}, "must have 2 to 3 stops, got 4"),
        ({"walks": {"row": [[4, -1], [2, 4, -1]]}}, "a walk of 2 steps has as many falling"),
        ({"walks": {"row": [[4, -1], [5, 2, -1]]}}, "from 4 to 0, then -1, got"),
        ({"walks": {"row": [[4, -1], [4, 2, 0]]}}, "a walk of 2 steps"),
        ({"walks": {"row": [[-1], [4, 2, -1]]}}, "a walk of 1 steps"),
        ({"walks": {"row": [[-1, -1], [4, 2, -1]]}}, "a walk of 1 steps"),
        ({"seed": -1}, "seed must be from 0 to 4294967295, got -1"),
        ({"shown": 2}, "shown must be a whole number from 0 to 1, got 2"),
        ({"step": 3}, "step must be a whole number from 0 to 2, got 3"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    DigitSteps(**GOOD)
    with rejects(message):
        DigitSteps(**{**GOOD, **options})


def test_without_the_network_its_pictures_stay(show: Callable[..., Any]) -> None:
    with show(digit_steps) as widget:
        expect(widget.locator(".mm-stops canvas")).to_have_count(12)
        expect(widget.get_by_role("button", name="Draw")).to_have_count(0)
        widget.locator(".mm-stops canvas").nth(4).click()
        expect(widget.locator(".mm-summary")).to_contain_text("at stop 5 of 6")
