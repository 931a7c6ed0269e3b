"""The pages of the book by their names, for the tests that open them in a browser."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "book").rglob("*.md")) + sorted((ROOT / "notebooks").glob("*.md"))
NAMES = [p.relative_to(ROOT).with_suffix("").as_posix() for p in SOURCES]
NAMES += ["search"]
LESSONS = [name for name in NAMES if name.startswith("notebooks/")]

# Waits for whatever the page does at its start: maths, widgets.
READY = """async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  await new Promise((done) => setTimeout(done, 150));
}"""
# What can be seen of a widget, without its controls and its sentence.
PICTURE = """(root) => {
  const parts = [...root.querySelectorAll("canvas, svg, ol, table, .mm-tokens, .mm-line")];
  return parts.map((e) => e.tagName === "CANVAS" ? e.toDataURL() : e.outerHTML).join("|");
}"""
