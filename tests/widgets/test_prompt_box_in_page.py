"""The prompt box in a page without a kernel: it draws what Python draws, and says what not."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from browser import open_page, violations
from live_page import BYTES, live_page
from playwright.sync_api import Browser, Locator, expect

from mmcourse import studio
from mmcourse.data import describe_all
from mmcourse.diffusion import TextToImage
from mmcourse.widgets import PromptBox

PROMPTS = [
    ("a large red circle", 0), ("a small blue square above a large green star", 3),
    ("a yellow heart on black", 5), ("큰 빨간 원", 1),
    ("작은 파란 사각형 위의 큰 빨간 원", 2), ("초록 별", 4),
]  # fmt: skip
OBJECTS = [1, 2, 1, 1, 2, 1]


@pytest.fixture(scope="module")
def model() -> TextToImage:
    return TextToImage.load("text-to-image", device="cpu")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, model: TextToImage) -> str:
    words = model.vocabulary.words
    sketch = studio.sketcher(model, count=1)
    made = PromptBox(sketch, "a red circle", model="text-to-image", words=words)
    return live_page(tmp_path_factory.mktemp("live"), [made], checkpoints=True)


@pytest.fixture(scope="module")
def found(browser: Browser, address: str) -> Iterator[Locator]:
    """The prompt box after its model has been loaded, once for all."""
    with open_page(browser, address) as page:
        widget = page.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.locator(".mm-hint")).to_contain_text("runs in this page", timeout=60_000)
        yield widget


def ask(found: Locator, prompt: str, **numbers: Any) -> None:
    numbers = {"Seed": 0, "Steps": 10, "Guidance": 3, **numbers}
    found.get_by_label("Prompt, in English or Korean").fill(prompt)
    for label, value in numbers.items():
        found.get_by_label(label, exact=True).fill(str(value))
    found.get_by_role("button", name="Draw", exact=True).click()


def draw(found: Locator, prompt: str, seed: int) -> torch.Tensor:
    """Ask for a picture and wait for it, (3, 64, 64) in 0 … 255."""
    ask(found, prompt, Seed=seed)
    told = f"“{prompt}”: seed {seed}, step 10 of 10"
    expect(found.locator(".mm-summary")).to_contain_text(told, timeout=30_000)
    expect(found.get_by_role("button", name="Draw", exact=True)).to_be_enabled()
    return torch.tensor(found.evaluate(BYTES)).reshape(3, 64, 64)


def test_the_page_draws_what_python_draws(found: Locator, model: Any) -> None:
    pictures = torch.stack([draw(found, *one) for one in PROMPTS])
    wanted = [model.generate(p, seed=seed, steps=10, scale=3.0)[0] for p, seed in PROMPTS]
    expected = ((torch.stack(wanted) + 1) * 127.5).round()
    assert (pictures - expected).abs().max() <= 2
    seen = describe_all(pictures / 127.5 - 1)
    assert [len(scene.objects) for scene in seen] == OBJECTS
    assert violations(found.page, "main") == []


def test_words_and_steps_of_a_picture(found: Locator) -> None:
    before = draw(found, "a large red circle", 0)
    word = found.get_by_role("button", name="circle", exact=True)
    word.click()
    expect(word).to_have_attribute("aria-pressed", "true")
    canvas = found.locator(".mm-drawn canvas")
    expect(canvas).to_have_attribute("aria-label", "“a large red circle” after step 10 of 10, "
                                     "lit where “circle” is read")  # fmt: skip
    word.click()
    expect(canvas).to_have_attribute("aria-label", "“a large red circle” after step 10 of 10")
    found.get_by_label("Step shown").fill("0")
    expect(canvas).to_have_attribute("aria-label", "“a large red circle” after step 1 of 10")
    after = torch.tensor(found.evaluate(BYTES)).reshape(3, 64, 64)
    assert (before - after).abs().float().mean() > 5, "early, the model only guesses"


@pytest.mark.parametrize(
    ("prompt", "numbers", "said"),
    [
        ("", {}, "the prompt is empty"),
        ("a red circl", {}, "nearest known: circle"),
        ("a red circle", {"Seed": -1}, "Seed must be a whole number from 0 to 4294967295"),
        ("a red circle", {"Seed": 2**32}, "Seed must be a whole number from 0 to 4294967295"),
        ("a red circle", {"Seed": ""}, "Seed must be a whole number"),
        ("a red circle", {"Steps": 0}, "Steps must be a whole number from 1 to 50"),
        ("a red circle", {"Steps": 1000}, "Steps must be a whole number from 1 to 50"),
        ("a red circle", {"Steps": 2.5}, "Steps must be a whole number from 1 to 50"),
        ("a red circle", {"Guidance": 1e9}, "Guidance must be a number from 0 to 20"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    found: Locator, prompt: str, numbers: dict[str, Any], said: str
) -> None:
    ask(found, prompt, **numbers)
    expect(found.locator(".mm-hint")).to_contain_text(said)
    expect(found.get_by_role("button", name="Draw", exact=True)).to_be_enabled()


def test_a_very_long_prompt_is_cut_and_answered(found: Locator) -> None:
    ask(found, "")
    line = found.get_by_label("Prompt, in English or Korean")
    line.evaluate("(node) => { node.value = 'a '.repeat(5000); }")
    found.get_by_role("button", name="Draw", exact=True).click()
    expect(found.locator(".mm-hint")).to_contain_text("A caption has at most 18 words")


def test_stopping_and_a_storm_of_clicks(found: Locator) -> None:
    ask(found, "a large red circle", Steps=50)
    found.get_by_role("button", name="Stop").click()
    expect(found.locator(".mm-hint")).to_contain_text("Stopped.")
    button = found.get_by_role("button", name="Draw", exact=True)
    button.evaluate("(node) => { for (let i = 0; i < 30; i++) node.click(); }")
    told = "step 50 of 50, guidance 3; "
    expect(found.locator(".mm-summary")).to_contain_text(told, timeout=60_000)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("a large c", ["a large circle", "a large crescent", "a large cross", "a large cyan"]),
        ("작은 ㅂ", [f"작은 {w}" for w in ("배경에", "베이지색", "별", "보라색", "분홍색")]),
        ("작은 빨", ["작은 빨간"]),
        ("a small purple heart", []),
        ("a ", []),
    ],
)
def test_words_are_suggested(found: Locator, typed: str, offered: list[str]) -> None:
    found.get_by_label("Prompt, in English or Korean").fill(typed)
    options = found.locator("datalist option").evaluate_all("(all) => all.map((o) => o.value)")
    assert options == offered


def test_keyboard_alone(found: Locator) -> None:
    line = found.get_by_label("Prompt, in English or Korean")
    ask(found, "a red circle", Steps=3)
    line.fill("초록색 별")
    expect(found.get_by_role("button", name="Draw", exact=True)).to_be_enabled()
    expect(line).to_have_value("초록색 별")  # typed while the first one was drawn
    line.press("Enter")
    expect(found.locator(".mm-summary")).to_contain_text("“초록색 별”: seed 0, step 3 of 3")
    expect(found.locator(".mm-hint")).to_have_attribute("role", "status")
    expect(found.locator(".mm-summary")).to_have_attribute("aria-live", "polite")


def test_a_hidden_tab_draws_on(found: Locator) -> None:
    ask(found, "a blue ring", Steps=50)
    other = found.page.context.new_page()
    other.bring_to_front()
    other.wait_for_timeout(1500)
    found.page.bring_to_front()
    other.close()
    told = "“a blue ring”: seed 0, step 50 of 50, guidance 3; "
    expect(found.locator(".mm-summary")).to_contain_text(told, timeout=60_000)


def test_without_webassembly_the_pictures_stay(browser: Browser, address: str) -> None:
    with open_page(browser, address) as page:
        page.add_init_script("delete globalThis.WebAssembly")
        page.reload()
        found = page.locator(".mm-widget")
        found.get_by_role("button", name="Load the model").click()
        expect(found.locator(".mm-hint")).to_contain_text("does not run WebAssembly")
        expect(found.locator(".mm-drawn canvas")).to_be_visible()
