"""What a grading run leaves: results.json, grades.csv, and a page for each learner."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import re
from pathlib import Path
from typing import Any

from mmcourse.grading.sheet import to_json, write_atomically

STYLE = """
:root { color-scheme: light dark; --good: #176639; --bad: #a3260f; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --good: #6fd39a; --bad: #ff9d85; } }
body { font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.about { margin: .3rem 0 1.5rem; font-size: .9rem; overflow-wrap: anywhere; }
.total { font-size: 1.2rem; font-weight: 600; }
.points { float: right; margin-left: 1rem; font-variant-numeric: tabular-nums; }
ul { list-style: none; padding: 0; }
li { border-top: 1px solid var(--line); padding: .6rem 0; white-space: pre-line; }
.pass b { color: var(--good); } .fail b, .not_run b { color: var(--bad); }
p.message { margin: .3rem 0 0; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .7rem; white-space: pre-wrap; }
footer { margin-top: 2rem; font-size: .85rem; }
"""
WORDS = {"pass": "✓ right", "fail": "✗ not yet", "not_run": "– not run"}
STATUS = {
    "unreadable": "This file could not be read as a notebook, so nothing was graded.",
    "needs_manual": "No answer was found by machine. A person will look at it.",
    "grader_error": "The grader itself failed. This is not a mark: ask to be graded again.",
}
NUMBERS = (
    "The numbers in the messages come from inputs that the grader drew, so they differ from those "
    "in your notebook."
)


def write_reports(out: Path, results: list[dict[str, Any]]) -> None:
    """Writes results.json, grades.csv and the feedback pages, each whole or not at all."""
    for result in results:
        try:
            write_atomically(out / "feedback" / f"{result['submission']}.html", feedback(result))
        except (OSError, ValueError) as error:  # the others are not to suffer
            result |= {"status": "grader_error", "infra": [f"no feedback page: {error}"]}
    write_atomically(out / "grades.csv", grades(results))
    write_atomically(out / "results.json", to_json(results))


def grades(results: list[dict[str, Any]]) -> str:
    """One row a submission; no cell begins with a character that starts a formula."""
    exercises = sorted({row["id"] for result in results for row in result["exercises"]})
    head = ["submission", "assignment", "version", "status", "points", "max_points", "percent"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, *exercises])
    for result in results:
        most = result["max_points"]
        counted = result["status"] == "graded"
        percent = round(100 * result["points"] / most, 1) if most else 0
        own = {row["id"]: row["points"] for row in result["exercises"]}
        row = [result[name] for name in head[:4]]
        # Without a mark the cell stays empty: a zero would be read as one.
        row += [result["points"], most, percent] if counted else ["", most, ""]
        row += [own.get(name, "") if counted else "" for name in exercises]
        writer.writerow([harmless(cell) for cell in row])
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and re.match(r"[=+\-@\t\r]", cell):
        return f"'{cell}"
    return f"{cell:g}" if isinstance(cell, float) else cell


def feedback(result: dict[str, Any]) -> str:
    """A page for the learner: points, and for each check what is right or not yet."""
    sheet = _text(result["title"] or result["assignment"] or "Exercise")
    name = _text(result["submission"])
    about = f"Handed in as <b>{name}</b> · graded on {_text(result['graded_at'])}"
    parts = [f"<h1>{sheet}</h1><p class='about'>{about}</p>"]
    if result["status"] == "graded":
        parts.append(f"<p class='total'>{_points(result)} points</p>")
    else:
        parts.append(f"<p class='total'>{STATUS[result['status']]}</p>")
    parts += [_guide(result)]
    if result["status"] in ("graded", "grader_error"):
        parts += [_exercise(result, row) for row in result["exercises"]]
    parts += [_list("Cells that stopped", [f"{k}: {v}" for k, v in result["cell_errors"].items()])]
    parts += [_list("Notes", result["notes"])]
    if result["output"]:
        parts.append(f"<h2>What your code printed</h2><pre>{_text(result['output'])}</pre>")
    parts.append(
        f"<footer>Version {_text(result['version'])} · sha256 {result['sha256'][:16]}</footer>"
    )
    return _page(f"{sheet} – {name}", "\n".join(part for part in parts if part))


def _guide(result: dict[str, Any]) -> str:
    """Where to read, and why numbers differ from those in the notebook."""
    lesson = f"To read again: lesson {_text(result['lesson'])}." if result["lesson"] else ""
    failed = any(row["status"] == "fail" for row in result["checks"])
    parts = [lesson, NUMBERS if failed else ""]
    text = " ".join(part for part in parts if part)
    return f"<p>{text}</p>" if text else ""


def _exercise(result: dict[str, Any], exercise: dict[str, Any]) -> str:
    items = [
        f"<li class='{row['status']}'><span class='points'>{_points(row)}</span>"
        f"<b>{WORDS[row['status']]}</b> {_text(row['title'])}"
        + (" <small>(runs only at hand-in)</small>" if row["hidden"] else "")
        + (f"<p class='message'>{_text(row['message'])}</p>" if row["message"] else "")
        + "</li>"
        for row in result["checks"]
        if row["exercise"] == exercise["id"]
    ]
    title = f"<h2>{_text(exercise['title'])}<span class='points'>{_points(exercise)}</span></h2>"
    return f"{title}<ul>{''.join(items)}</ul>"


def _list(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"


def _points(row: dict[str, Any]) -> str:
    return f"{row['points']:g} of {row['max_points']:g}"


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _page(title: str, body: str) -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )
