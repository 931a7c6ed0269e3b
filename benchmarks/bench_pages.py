"""The built book in Chromium: how heavy each lesson's page is, and how soon it answers.

    python benchmarks/bench_pages.py [--json]

Each page is opened from its file three times, the browser's cache empty; the median counts. The
first widget is there when its root stands in the page. Weight is that of the page itself, in
bytes as they lie on the disk; what all pages share is loaded once (tests/book/test_html.py).
"""

import statistics
import sys
from pathlib import Path

from harness import main

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from browser import launch, open_page  # noqa: E402
from pages import LESSONS  # noqa: E402

HTML = ROOT / "_build" / "html"
ROUNDS = 3
SOON_MS, LIGHT_MB = 1500, 2.5
WATCH = """new MutationObserver((_, watcher) => {
  if (!document.querySelector(".mm-widget")) return;
  window.firstWidget = performance.now();
  watcher.disconnect();
}).observe(document, { childList: true, subtree: true });"""


def first_widget(name: str) -> float:
    """Milliseconds from asking for the page to its first widget."""
    with launch() as browser, open_page(browser, "about:blank") as page:
        page.add_init_script(WATCH)
        page.goto((HTML / f"{name}.html").as_uri())
        page.wait_for_function("window.firstWidget")
        return page.evaluate("window.firstWidget")


def run() -> list[dict]:
    """One line for each lesson, and whether all keep to the targets."""
    if not (HTML / "index.html").is_file():
        raise SystemExit("no book in _build/html: make book")
    found = []
    with launch():
        for name in LESSONS:
            took = statistics.median(first_widget(name) for _ in range(ROUNDS))
            size = (HTML / f"{name}.html").stat().st_size / 1e6
            reached = took <= SOON_MS and size <= LIGHT_MB
            line = f"{name:40} {took:6.0f} ms to the first widget   {size:4.2f} MB"
            print(line + ("" if reached else "  MISSED"), file=sys.stderr, flush=True)
            found.append(
                {"name": name, "first_widget_ms": took, "page_mb": size, "reached": reached}
            )
    slow = max(row["first_widget_ms"] for row in found)
    heavy = max(row["page_mb"] for row in found)
    summary = f"slowest {slow:.0f} ms (target {SOON_MS}), heaviest {heavy:.2f} MB ({LIGHT_MB})"
    print(summary, file=sys.stderr)
    return found


if __name__ == "__main__":
    main(run)
