"""Every sheet of the course through the grader: solution, untouched, every wrong answer.

One submission carries a wrong answer to every question at once, for questions do not depend on
each other. In turn each question is left right among the wrong ones, and keeps its points.

The solution, the untouched sheet and one mixture go all the way, through nbval and a kernel. All
mixtures go through the same judge's notebook and the same sandbox, but its cells are executed in
a fork of this process: a kernel for each of hundreds of notebooks would take a quarter of an hour.
That both ways say the same is tested with the mixture that goes both.
"""

import contextlib
import inspect
import io
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lessons import SHEETS

from mmcourse.grading import judge, link, run
from mmcourse.grading.bank import execute
from mmcourse.grading.fairness import Reference
from mmcourse.grading.nursery import Nursery
from mmcourse.grading.rebuild import seed_of
from mmcourse.grading.release import exercise_notebook, notebook_text
from mmcourse.grading.sandbox import Sandbox, best_isolation
from mmcourse.grading.sheet import Cell, Sheet, read_sheet

pytestmark = pytest.mark.slow
UNTOUCHED = "not answered yet"
# Fixed, so that inputs and with them the verdicts are the same in every run.
KEY = b"the key of this test"
SAME_BOTH_WAYS = "wrong-00"
FORK = multiprocessing.get_context("fork")

Mixture = dict[str, Cell]


def mixtures(sheet: Sheet) -> Iterator[Mixture]:
    """Wrong answers by question, one for each submission; question i is right in the i-th."""
    banks: dict[str, list[Cell | None]] = {key: [] for key in sheet.answers}
    for cell in sheet.role("wrong"):
        banks[cell.exercise].append(cell)
    for turn, bank in enumerate(banks.values()):
        bank.insert(turn, None)
    for row in range(max(map(len, banks.values()))):
        chosen = {key: bank[row] for key, bank in banks.items() if row < len(bank)}
        yield {key: cell for key, cell in chosen.items() if cell is not None}


def filled(sheet: Sheet, answers: dict[str, str]) -> str:
    """The released notebook with the given sources in its answer cells."""
    raw = json.loads(notebook_text(exercise_notebook(sheet)))
    for cell in raw["cells"]:
        about = cell["metadata"].get("mmcourse", {})
        if about.get("role") == "answer" and about["key"] in answers:
            cell["source"] = answers[about["key"]]
    return json.dumps(raw)


def submitted(sheet: Sheet, folder: Path) -> dict[str, Mixture]:
    """Writes all submissions of a sheet; returns which wrong answers each of them holds."""
    solution = {key: cell.source for key, cell in sheet.answers.items()}
    rows = {f"wrong-{number:02}": row for number, row in enumerate(mixtures(sheet))}
    rows |= {"solution": {}}
    for name, row in rows.items():
        wrong = {key: cell.source for key, cell in row.items()}
        (folder / f"{name}.ipynb").write_text(filled(sheet, solution | wrong))
    (folder / "untouched.ipynb").write_text(filled(sheet, {}))
    return rows


@pytest.fixture(scope="module")
def modules() -> list[str]:
    """What any sheet imports, so that it is imported once."""
    return sorted(set().union(*(read_sheet(path).modules for path in SHEETS)))


@pytest.fixture(scope="module")
def nursery(modules: list[str]) -> Iterator[Nursery]:
    """One nursery for all sheets that this process grades."""
    started = Nursery(best_isolation(), 1, modules)
    try:
        started.wait_ready()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def sandbox(modules: list[str]) -> Iterator[Sandbox]:
    """One warm sandbox for the judges that need no kernel."""
    started = Sandbox(best_isolation(), modules)
    try:
        started.wait_ready(120)
        yield started
    finally:
        started.close()


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the judge itself wrote down: results say of hidden checks only that they failed."""
    kept: dict[str, dict[str, Any]] = {}
    merge = run.merge

    def keeping(*arguments: Any, **keywords: Any) -> None:
        bound = inspect.signature(merge).bind(*arguments, **keywords).arguments
        kept[bound["result"]["submission"]] = bound["record"]
        merge(*arguments, **keywords)

    monkeypatch.setattr(run, "merge", keeping)
    return kept


def fair_seeds(sheet: Sheet) -> dict[str, int]:
    """For each check a seed that the sheet's own solution passes it with."""
    reference = Reference([asdict(cell) for cell in sheet.cells])
    drawn = {key: reference.seed(key, seed_of(KEY, "", key)) for key in sheet.checks}
    return {key: seed for key, seed in drawn.items() if seed is not None}


def judge_without_kernel(job: Path, sandbox: Sandbox) -> str:
    """Stands in for `run.run_nbval`: the same cells, the same comparison, in a fork."""
    process = FORK.Process(target=_judge, args=(job, sandbox))
    process.start()
    process.join(300)
    return "" if process.exitcode == 0 else f"the judge ended with {process.exitcode}"


def _judge(job: Path, sandbox: Sandbox) -> None:
    link.inherited = sandbox
    judge._reference = lambda cells: None  # `fair_seeds` has asked it, once for all mixtures
    names: dict[str, Any] = {"__name__": "__main__"}
    lines = []
    for cell in nbformat.read(job / "judge.ipynb", 4).cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            execute(cell.source, cell.id, names)
        if printed.getvalue() == "".join(output.text for output in cell.outputs):
            passed = {
                "when": "call",
                "outcome": "passed",
                "user_properties": [["cell_id", cell.id]],
            }
            lines.append(json.dumps(passed))
    (job / "report.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
def test_a_sheet_is_graded_as_its_bank_says(path, nursery, sandbox, records, tmp_path, monkeypatch):
    sheet = read_sheet(path)
    rows = submitted(sheet, tmp_path)
    settings = run.Settings(best_isolation(), 120, fair_seeds(sheet))

    def grade(name: str) -> dict[str, Any]:
        return run.grade(name, tmp_path / f"{name}.ipynb", sheet, settings, nursery)

    results = [grade(name) for name in ("solution", "untouched", SAME_BOTH_WAYS)]
    all_the_way = {row["id"]: (row["status"], row["message"]) for row in results[-1]["checks"]}
    for cell in sheet.role("setup"):
        execute(cell.source, cell.key, {})  # its imports are there before any fork
    monkeypatch.setattr(run, "run_nbval", lambda job, *_: judge_without_kernel(job, sandbox))
    results += [grade(name) for name in rows if name != "solution"]
    problems = []
    for result in results:
        name = result["submission"]
        found = faults(result)
        if name == "untouched":
            found += untouched_faults(result)
        else:
            found += right_faults(result, set(rows[name]))
            for cell in rows[name].values():
                found += wrong_faults(records[name]["checks"], sheet, cell)
        problems += [f"{name}: {text}" for text in found]
    assert problems == []
    again = next(r for r in results[3:] if r["submission"] == SAME_BOTH_WAYS)
    assert {row["id"]: (row["status"], row["message"]) for row in again["checks"]} == all_the_way


def faults(result: dict[str, Any]) -> list[str]:
    """What no submission may show, whatever it holds."""
    return [] if result["status"] == "graded" else [f"{result['status']}: {result['infra']}"]


def untouched_faults(result: dict[str, Any]) -> list[str]:
    """Nothing is won, and nothing but "not answered yet" is said, of hidden checks too."""
    said = {row["id"]: row["message"] for row in result["checks"] if row["message"] != UNTOUCHED}
    return [f"{key} says {text!r}" for key, text in said.items()] + (
        [f"{result['points']:g} points"] if result["points"] else []
    )


def right_faults(result: dict[str, Any], wrong: set[str]) -> list[str]:
    """Questions answered rightly have full points."""
    return [
        f"{row['id']}: {row['status']}, {row['message']!r}"
        for row in result["checks"]
        if row["exercise"] not in wrong and row["points"] != row["max_points"]
    ]


def wrong_faults(checks: dict[str, Any], sheet: Sheet, cell: Cell) -> list[str]:
    """The check that a wrong answer names fails, with the phrase it names."""
    own = checks.get(cell.meta["fails"], {})
    status, message = own.get("status"), own.get("message", "")
    if status == "fail" and str(cell.meta["says"]) in message:
        return []
    return [
        f"{cell.key}: {cell.meta['fails']} says {message!r} ({status}), not {cell.meta['says']!r}"
    ]
