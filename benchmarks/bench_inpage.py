"""The finale's model in the built page: loading, drawing, memory, and how still the page stands.

    python benchmarks/bench_inpage.py [--json]

The page of lesson 77 is opened from its file, three times, with an empty cache. Loading is from
the click to the sentence that the model runs here; drawing is ten steps, as the page's own words
tell it. A long task is a stretch in which the page answers nobody. Memory is that of the process
that shows the page, with the code that a browser's processes share (some 150 MB): what it had
before, at most, and once it has swept up, half a minute later.
"""

import re
import statistics
import sys
from pathlib import Path
from typing import Any

from harness import main

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from browser import launch, open_page  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402

PAGE = ROOT / "_build" / "html" / "notebooks" / "77_text_to_image.html"
ROUNDS, PICTURES = 3, 5
SWEPT = 30  # seconds until a browser has swept up
TARGETS = {"load_s": 3.0, "picture_s": 0.5, "longest_task_ms": 100, "at_rest_mb": 400}
WATCH = """window.tasks = [0];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) window.tasks.push(duration);
}).observe({ type: "longtask" });"""


def megabytes(browser: Browser) -> float:
    """Resident memory of the largest process that shows pages."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = []
    for process in found:
        if process["type"] == "renderer":
            status = Path(f"/proc/{process['id']}/status").read_text()
            sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)  # type: ignore
    return max(sizes)


def once(browser: Browser) -> dict[str, float]:
    """Load the model and draw a few pictures."""
    with open_page(browser, PAGE.as_uri()) as page:
        box = page.locator(".mm-widget", has=page.locator(".mm-drawn")).last
        page.wait_for_timeout(2000)
        before = megabytes(browser)
        page.evaluate(WATCH)
        start = page.evaluate("performance.now()")
        box.get_by_role("button", name="Load the model").click()
        box.locator(".mm-hint", has_text="runs in this page").wait_for(timeout=60_000)
        load = (page.evaluate("performance.now()") - start) / 1000
        seconds, sizes = [], [megabytes(browser)]
        for seed in range(PICTURES):
            box.get_by_label("Seed", exact=True).fill(str(seed))
            box.get_by_role("button", name="Draw", exact=True).click()
            told = box.locator(".mm-summary", has_text=f"seed {seed}, step 10 of 10, guidance 3; ")
            told.wait_for(timeout=60_000)
            seconds.append(float(re.search(r"; ([\d.]+) s", told.inner_text())[1]))  # type: ignore
        longest = page.evaluate("Math.max(...window.tasks)")
        sizes.append(megabytes(browser))
        page.wait_for_timeout(1000 * SWEPT)
        return {
            "load_s": load,
            "picture_s": statistics.median(seconds[1:]),
            "longest_task_ms": longest,
            "before_mb": before,
            "most_mb": max(sizes),
            "at_rest_mb": megabytes(browser),
        }


def run() -> list[dict[str, Any]]:
    """The median of each number, beside its target."""
    if not PAGE.is_file():
        raise SystemExit("no book in _build/html: make book")
    with launch() as browser:
        rounds = [once(browser) for _ in range(ROUNDS)]
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    reached = {name: found[name] <= target for name, target in TARGETS.items()}
    for name, value in found.items():
        target = f"(target {TARGETS[name]})" if name in TARGETS else ""
        missed = "" if reached.get(name, True) else "  MISSED"
        print(f"{name:18} {value:8.2f}  {target}{missed}", file=sys.stderr)
    return [{"name": "text-to-image in the page", **found, "reached": all(reached.values())}]


if __name__ == "__main__":
    main(run)
