"""`make dist`: the built book as one zip for offline use and one PDF for paper.

python book/_dist [--html _build/html] [--wheels _build/wheel] [--out dist] [zip] [pdf]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contents import Trouble
from offline import write_zip

from mmcourse import __version__

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Make what is asked for; trouble is one line and status 2."""
    parser = argparse.ArgumentParser(prog="dist", description="The built book as a zip and a PDF.")
    parser.add_argument("kinds", nargs="*", metavar="zip|pdf", help="both, if none is named")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--wheels", type=Path, default=ROOT / "_build" / "wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    asked = parser.parse_args()
    kinds = asked.kinds or ["zip", "pdf"]
    if unknown := set(kinds) - {"zip", "pdf"}:
        parser.error(f"zip or pdf, not {', '.join(sorted(unknown))}")
    asked.out.mkdir(parents=True, exist_ok=True)
    target = asked.out / f"mmcourse-book-{__version__}"
    try:
        for kind in kinds:
            made = _make(kind, asked, target.with_name(f"{target.name}.{kind}"))
            print(f"{made} ({made.stat().st_size / 1e6:.1f} MB)")
    except Trouble as trouble:
        print(f"dist: {trouble}", file=sys.stderr)
        return 2
    return 0


def _make(kind: str, asked: argparse.Namespace, target: Path) -> Path:
    if kind == "zip":
        wheels = sorted(asked.wheels.glob(f"mmcourse-{__version__}-*.whl"))
        return write_zip(ROOT, asked.html, wheels[-1] if wheels else None, target, __version__)
    from paper import write_pdf  # which needs Playwright and pypdf

    return write_pdf(ROOT, asked.html, target, __version__)


if __name__ == "__main__":
    sys.exit(main())
