"""The models in the built pages: no kernel, no network, and what they answer is Python's answer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import launch, open_page, violations
from firefox import firefox
from live_page import BYTES
from pages import LESSONS
from playwright.sync_api import Browser, Locator, Page, expect

from mmcourse.data import parse
from mmcourse.diffusion import TextToImage
from mmcourse.studio import agreement

pytestmark = pytest.mark.browser

LIVE = {"31", "33", "34", "51", "52", "72", "76"}  # lessons whose own models run in the page
FINALE = "notebooks/77_text_to_image"
PROMPTS = [
    ("a large red circle", 0), ("a small blue square above a large green star", 3),
    ("a large yellow heart on black", 5), ("큰 빨간 원", 1),
    ("작은 파란 사각형 위의 큰 빨간 원", 2), ("큰 초록색 별", 4),
]  # fmt: skip
STATE = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-state\+json">(.*?)</script>', re.S
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch() as one:
        yield one


@pytest.fixture(scope="module")
def model() -> TextToImage:
    return TextToImage.load("text-to-image", device="cpu")


def wanted(model: TextToImage, prompt: str, seed: int) -> torch.Tensor:
    """What `mmcourse generate` draws, (3, 64, 64) in 0 … 255."""
    return ((model.generate(prompt, seed=seed, steps=10, scale=3.0)[0] + 1) * 127.5).round()


def box(page: Page) -> Locator:
    return page.locator(".mm-widget", has=page.get_by_label("Prompt, in English or Korean")).last


def load(widget: Locator) -> None:
    widget.get_by_role("button", name="Load the model").click()
    hint = widget.locator(".mm-hint").filter(has_text="runs in this page")
    expect(hint.first).to_be_visible(timeout=60_000)


def draw(widget: Locator, prompt: str, seed: int) -> torch.Tensor:
    """Ask for a picture and wait for it, (3, 64, 64) in 0 … 255."""
    widget.get_by_label("Prompt, in English or Korean").fill(prompt)
    widget.get_by_label("Seed", exact=True).fill(str(seed))
    button = widget.get_by_role("button", name="Draw", exact=True)
    button.click()
    told = f"“{prompt}”: seed {seed}, step 10 of 10"
    expect(widget.locator(".mm-summary")).to_contain_text(told, timeout=30_000)
    expect(button).to_be_enabled()
    return torch.tensor(widget.evaluate(BYTES)).reshape(3, 64, 64)


def test_six_prompts_from_a_file_with_the_network_gone(
    browser: Browser, book: Path, model: TextToImage
) -> None:
    with open_page(browser, (book / f"{FINALE}.html").as_uri()) as page:
        widget = box(page)
        load(widget)
        page.context.set_offline(True)
        pictures = torch.stack([draw(widget, *one) for one in PROMPTS])
        page.context.set_offline(False)
        assert violations(page, "main") == []
    expected = torch.stack([wanted(model, *one) for one in PROMPTS])
    assert (pictures - expected).abs().max() <= 2
    scenes = [parse(prompt) for prompt, _ in PROMPTS]
    assert agreement(pictures / 127.5 - 1, scenes)["exact"] == 1, "the oracle finds a mistake"


def test_over_a_server(browser: Browser, server: str, model: TextToImage) -> None:
    with open_page(browser, f"{server}/{FINALE}.html", allow=(server,)) as page:
        widget = box(page)
        load(widget)
        page.context.set_offline(True)
        found = draw(widget, *PROMPTS[4])
    assert (found - wanted(model, *PROMPTS[4])).abs().max() <= 2


@pytest.mark.parametrize("place", ["file", "server"])
def test_in_firefox(book: Path, server: str, model: TextToImage, place: str) -> None:
    """The same picture with Firefox's own WebAssembly."""
    ask = """(async () => {
      const widgets = [...document.querySelectorAll(".mm-widget")];
      const root = widgets.find((one) => one.querySelector(".mm-drawn"));
      const until = async (what) => {
        for (let i = 0; i < 1200 && !what(); i++) await new Promise((done) => setTimeout(done, 50));
      };
      const hint = () => root.querySelector(".mm-hint").textContent;
      await until(() => !root.querySelector(".mm-desk button").hidden);
      root.querySelector(".mm-desk button").click();
      await until(() => hint().includes("runs in this page"));
      root.querySelector("input[type=text]").value = PROMPT;
      root.querySelector("input[type=number]").value = SEED;
      const draw = root.querySelector("button[type=submit]");
      await until(() => !draw.disabled);
      draw.click();
      await until(() => draw.disabled);
      await until(() => !draw.disabled);
      return [hint(), (BYTES)(root)];
    })()"""
    prompt, seed = PROMPTS[3]
    script = ask.replace("PROMPT", json.dumps(prompt)).replace("SEED", str(seed))
    with firefox() as window:
        window.open(f"{book.as_uri() if place == 'file' else server}/{FINALE}.html")
        hint, values = window.run(script.replace("BYTES", BYTES))
        assert "runs in this page" in hint
        assert window.console == []
        assert not [address for address in window.requests if not address.startswith(server)]
        assert bool(window.requests) == (place == "server")
    found = torch.tensor(values).reshape(3, 64, 64)
    assert (found - wanted(model, prompt, seed)).abs().max() <= 2


# ---- all models ----


def models(book: Path, name: str) -> list[str]:
    """The models that the widgets of a page name."""
    found = STATE.search((book / f"{name}.html").read_text(encoding="utf-8"))
    states = json.loads(found[1])["state"].values() if found else []
    named = [one["state"].get("model") for one in states]
    return sorted({model for model in named if isinstance(model, str) and model})


def listed(book: Path, name: str) -> dict[str, Any]:
    """What the page loads of a model: files, sizes in characters, description."""
    text = (book / "_static" / "mm" / "models" / f"{name}.js").read_text(encoding="utf-8")
    return json.loads(json.loads(text.removeprefix(f'mmPiece("{name}",').removesuffix(");")))


def test_lessons_that_have_models(book: Path) -> None:
    having = {name[10:12] for name in LESSONS if models(book, name)}
    assert having == {*LIVE, "77"}


@pytest.mark.parametrize("name", [name for name in LESSONS if name[10:12] in LIVE])
def test_every_model_loads_and_says_so(browser: Browser, book: Path, name: str) -> None:
    with open_page(browser, (book / f"{name}.html").as_uri(), width=390) as page:
        offers = page.get_by_role("button", name="Load the model into this page")
        expect(offers.first).to_be_visible()
        for offer in offers.all():
            offer.scroll_into_view_if_needed()
        while offers.count():
            widget = page.locator(".mm-widget", has=offers.first).last
            handle = widget.element_handle()
            offers.first.click()
            page.wait_for_function(
                """(w) => [...w.querySelectorAll(".mm-hint")]
                     .some((h) => h.textContent.includes("runs in this page"))""",
                arg=handle,
                timeout=60_000,
            )
        assert violations(page, "main") == []


def test_budgets(book: Path) -> None:
    """All that the whole book can load is at most 30 MB, the finale's weights at most 12."""
    folder = book / "_static" / "mm" / "models"
    assert sum(path.stat().st_size for path in folder.glob("*.js")) <= 30e6
    about = listed(book, "text-to-image")
    weights = sum(sum(about["files"][part]["sizes"]) for part in about["description"]["parts"])
    assert weights * 3 / 4 <= 12e6
    assert all(len(about["files"][part]["chunks"]) >= 1 for part in ("runtime", "glue", "wasm"))


def test_a_page_loads_nothing_of_a_model_by_itself(browser: Browser, book: Path) -> None:
    asked: list[str] = []
    with open_page(browser, "about:blank") as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto((book / f"{FINALE}.html").as_uri())
        expect(box(page).locator(".mm-hint")).to_contain_text("can run in this page")
    assert asked
    assert not [address for address in asked if "/mm/models/" in address]
