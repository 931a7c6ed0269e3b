"""The host that shows widgets in a page without a kernel."""

import json
from pathlib import Path
from typing import Any

import pytest
from browser import block_network, open_page, watch_console
from playwright.sync_api import Browser, expect
from widgets_page import HOST, attention, noise, page, scrubber, states

pytestmark = pytest.mark.browser

TINY = """
export default () => ({
  initialize({ model }) { model.set("started", (model.get("started") ?? 0) + 1); },
  render({ model, el }) {
    const button = document.createElement("button");
    const draw = () => {
      const data = model.get("nested")?.deep?.[1] ?? model.get("data");
      const bytes = [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)].join(" ");
      button.textContent = `${model.get("count")} · ${bytes} · ${model.get("started")}`;
    };
    button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
    model.on("change:count", draw);
    draw();
    el.append(button);
  },
});
"""


def state(**parts: Any) -> dict[str, Any]:
    """The widget state of a page, from model id → (state, buffers)."""
    models = {
        name: {"model_name": "AnyModel", "model_module": "anywidget", "state": s, "buffers": b}
        for name, (s, b) in parts.items()
    }
    return {"version_major": 2, "version_minor": 0, "state": models}


def fabricated(path: Path, models: dict[str, Any], views: list[str]) -> str:
    shown = "".join(
        f'<script type="application/vnd.jupyter.widget-view+json">{{"model_id": "{name}"}}</script>'
        for name in views
    )
    kind = "application/vnd.jupyter.widget-state+json"
    body = f'{shown}<script type="{kind}">{json.dumps(models)}</script>'
    path.write_text(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title><body>{body}'
        f'<script defer src="{HOST.as_uri()}"></script></body></html>',
        encoding="utf-8",
    )
    return path.as_uri()


def test_buffers_of_every_kind_reach_their_place(browser: Browser, tmp_path: Path) -> None:
    base64 = {"encoding": "base64", "path": ["data"], "data": "AAEC/w=="}
    nested = {"encoding": "hex", "path": ["nested", "deep", 1], "data": "0aff"}
    models = state(
        a=({"_esm": TINY, "count": 1}, [base64]),
        b=({"_esm": TINY, "count": 5, "nested": {"deep": [0, None]}}, [nested]),
    )
    with open_page(browser, fabricated(tmp_path / "p.html", models, ["a", "b"])) as opened:
        expect(opened.get_by_role("button").nth(0)).to_have_text("1 · 0 1 2 255 · 1")
        expect(opened.get_by_role("button").nth(1)).to_have_text("5 · 10 255 · 1")


def test_two_views_of_one_model_move_together(browser: Browser, tmp_path: Path) -> None:
    empty = {"encoding": "base64", "path": ["data"], "data": ""}
    models = state(a=({"_esm": TINY, "count": 1}, [empty]))
    with open_page(browser, fabricated(tmp_path / "p.html", models, ["a", "a"])) as opened:
        buttons = opened.get_by_role("button")
        expect(buttons).to_have_count(2)
        buttons.nth(0).click()
        expect(buttons.nth(1)).to_have_text("2 ·  · 1")  # and it was initialised once


def test_each_code_is_loaded_once_and_each_style_too(browser: Browser, tmp_path: Path) -> None:
    address = page(tmp_path / "p.html", [scrubber(), scrubber(), noise()])
    context = browser.new_context()
    tried = block_network(context)
    opened = context.new_page()
    messages = watch_console(opened)
    opened.add_init_script(
        "window.made = 0; const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { window.made += 1; return make.call(URL, blob); };"
    )
    opened.goto(address)
    expect(opened.locator(".mm-widget")).to_have_count(3)
    assert opened.evaluate("window.made") == 2
    styles = opened.locator("head style").all_text_contents()
    assert sum("mm-widget" in css for css in styles) == 2
    assert not tried
    assert not messages
    context.close()


def test_what_cannot_be_shown_is_said_in_words(browser: Browser, tmp_path: Path) -> None:
    good = attention()
    embedded = states([good])
    alt = "Attention of a sentence."
    broken = {"_esm": "export default { render() { throw new Error('no luck'); } };", "alt": alt}
    unreadable = {"_esm": "this is no JavaScript", "alt": alt}
    embedded["state"] |= state(bad=(broken, []), worse=(unreadable, []))["state"]
    views = ["bad", "worse", "missing", good.model_id]
    address = fabricated(tmp_path / "p.html", embedded, views)
    with open_page(browser, address, clean=False) as opened:
        failed = opened.locator(".mm-failed")
        expect(failed).to_have_count(3)
        expect(failed.nth(0)).to_contain_text("could not be shown (no luck). Attention of")
        expect(failed.nth(1)).to_contain_text(alt)
        expect(failed.nth(2)).to_contain_text("does not hold this widget's code")
        expect(opened.locator(".mm-widget")).to_have_count(1)


def test_a_page_without_widgets_is_left_alone(browser: Browser, tmp_path: Path) -> None:
    with open_page(browser, fabricated(tmp_path / "p.html", state(), [])) as opened:
        assert opened.locator(".mm-host").count() == 0
