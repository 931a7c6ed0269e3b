"""The finale's model in the built page: no kernel, no network, the same pictures as Python's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import launch, open_page, violations
from playwright.sync_api import Browser, Page, expect

from mmcourse import studio
from mmcourse.data import describe_all
from mmcourse.diffusion import TextToImage

pytestmark = pytest.mark.browser

PROMPTS = [
    ("a large red circle", 0), ("a small blue square above a large green star", 3),
    ("a yellow heart on black", 5), ("큰 빨간 원", 1),
    ("작은 파란 사각형 위의 큰 빨간 원", 2), ("초록 별", 4),
]  # fmt: skip
LESSON = "notebooks/77_text_to_image.html"
# The bytes of the first picture, channel by channel; and how long the page stood still at most.
BYTES = """(root) => {
  const canvas = root.querySelector(".mm-drawn canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const count = data.length / 4;
  return [0, 1, 2].map((c) => Array.from({ length: count }, (_, i) => data[4 * i + c]));
}"""
WATCH = """new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries())
    window.longest = Math.max(window.longest ?? 0, duration);
}).observe({ type: "longtask" });"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch() as one:
        yield one


@pytest.fixture(scope="module")
def model() -> TextToImage:
    return TextToImage.load("text-to-image", device="cpu")


def box(page: Page) -> Any:
    return page.locator(".mm-widget", has=page.get_by_label("Prompt, in English or Korean")).last


def loaded(page: Page) -> Any:
    """The prompt box after its model has been loaded."""
    found = box(page)
    found.get_by_role("button", name="Load the model").click()
    expect(found.locator(".mm-hint")).to_contain_text("runs in this page", timeout=60_000)
    return found


def draw(found: Any, prompt: str, seed: int) -> torch.Tensor:
    """Ask for a picture and wait for it, (3, 64, 64) in 0 … 255."""
    found.get_by_label("Prompt, in English or Korean").fill(prompt)
    found.get_by_label("Seed").fill(str(seed))
    found.get_by_role("button", name="Draw").click()
    expect(found.locator(".mm-summary")).to_contain_text(f"“{prompt}”: seed {seed}, step 10 of 10")
    expect(found.get_by_role("button", name="Draw")).to_be_enabled(timeout=30_000)
    return torch.tensor(found.evaluate(BYTES)).reshape(3, 64, 64)


def test_the_page_draws_what_python_draws(browser: Browser, book: Path, model: Any) -> None:
    with open_page(browser, (book / LESSON).as_uri()) as page:
        page.add_init_script(WATCH)
        page.reload()
        found = loaded(page)
        pictures = torch.stack([draw(found, *one) for one in PROMPTS])
        wanted = [model.generate(p, seed=seed, steps=10, scale=3.0)[0] for p, seed in PROMPTS]
        expected = ((torch.stack(wanted) + 1) * 127.5).round()
        assert (pictures - expected).abs().max() <= 2
        assert violations(page, "main") == []
    seen = describe_all(pictures / 127.5 - 1)
    assert [len(scene.objects) for scene in seen] == [1, 2, 1, 1, 2, 1]
    assert studio.layout(pictures / 127.5 - 1, 3).shape[0] == 3
