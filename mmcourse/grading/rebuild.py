"""The judge's folder: a notebook of trusted cells, what it needs to know, a kernel to run it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmcourse.grading.extract import Answers
from mmcourse.grading.forbid import forbidden_calls, refusal
from mmcourse.grading.release import block
from mmcourse.grading.sandbox import Isolation
from mmcourse.grading.sheet import Sheet, to_json

KERNEL_NAME = "mmcourse-judge"


def secret() -> bytes:
    """The key that makes inputs unguessable, yet equal when a submission is graded again."""
    import platformdirs

    path = Path(platformdirs.user_state_dir("mmcourse")) / "grading.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        key = secrets.token_bytes(32)
        file.write(key)
    return key


def seed_of(key: bytes | dict[str, int], sha256: str, check: str) -> int:
    """HMAC(secret, submission : check) as a 56-bit number.

    Args:
        key: the secret, or, on a machine that must not have it, the seeds that it gave.
    """
    if isinstance(key, dict):
        return key[check]
    return int.from_bytes(hmac.digest(key, f"{sha256}:{check}".encode(), hashlib.sha256)[:7], "big")


def build(
    job: Path,
    sheet: Sheet,
    answers: Answers,
    sha256: str,
    isolation: Isolation,
    budget_s: float,
    key: bytes | dict[str, int],
    nursery: str,
    place: int = 0,
) -> dict[str, Any]:
    """Writes judge.ipynb, spec.json and the kernel to the job folder; returns the spec.

    Args:
        nursery: the address at which the kernel is asked for.
        place: the warm sandbox that the kernel inherits there.
    """
    checks = {
        name: {
            "exercise": cell.exercise,
            "hidden": cell.hidden,
            "timeout_s": cell.timeout_s,
            "seed": seed_of(key, sha256, name),
        }
        for name, cell in sheet.checks.items()
    }
    spec = {
        "nonce": secrets.token_hex(16),
        "checks": checks,
        "sheet": [asdict(cell) for cell in sheet.cells if cell.kind == "code"],
        "pieces": pieces(sheet, answers),
        "refused": refused(sheet, answers),
        "isolation": asdict(isolation),
        "budget_s": budget_s,
        "record": str(job / "record.json"),
    }
    (job / "spec.json").write_text(to_json(spec), encoding="utf-8")
    (job / "judge.ipynb").write_text(judge_notebook(sheet, job, spec["nonce"]), encoding="utf-8")
    (job / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    write_kernel(job, nursery, place)
    return spec


def pieces(sheet: Sheet, answers: Answers) -> list[dict[str, Any]]:
    """What the worker runs: the instructor's setup, then the learner's cells in order."""
    setup = [
        {"label": cell.key, "source": cell.source, "exercise": "", "trusted": True}
        for cell in sheet.role("setup")
    ]
    return setup + [asdict(piece) | {"trusted": False} for piece in answers.pieces]


def refused(sheet: Sheet, answers: Answers) -> dict[str, str]:
    """Answers that use what their question forbids, with the sentence that says so."""
    found: dict[str, str] = {}
    for key, cell in sheet.answers.items():
        sources = [piece.source for piece in answers.of(key)]
        names = forbidden_calls(sources, cell.meta.get("forbid", []))
        if names:
            found[key] = refusal(names)
    return found


def judge_notebook(sheet: Sheet, job: Path, nonce: str) -> str:
    """Trusted cells only; each check expects its line, hidden checks come last."""
    from nbformat import v4, writes

    start = (
        "from mmcourse.grading.judge import begin_judging, end_judging\n"
        f"begin_judging({str(job / 'spec.json')!r})"
    )
    cells = [v4.new_code_cell(start, id="judge-start")]
    cells += [
        v4.new_code_cell(cell.source, id=cell.key.replace(".", "-")) for cell in sheet.role("setup")
    ]
    for cell in sorted(sheet.role("check"), key=lambda cell: cell.hidden):
        line = v4.new_output("stream", name="stdout", text=f"ok {cell.key} {nonce}\n")
        source = f"# NBVAL_CHECK_OUTPUT\n{block(cell)}"
        name = cell.key.replace(".", "-")
        cells.append(v4.new_code_cell(source, id=name, outputs=[line], execution_count=1))
    cells.append(v4.new_code_cell("end_judging()", id="judge-end"))
    return writes(v4.new_notebook(cells=cells))


def write_kernel(job: Path, nursery: str, place: int = 0) -> None:
    """Makes a kernel that is forked from the nursery known under `job/jupyter`."""
    folder = job / "jupyter" / "kernels" / KERNEL_NAME
    folder.mkdir(parents=True)
    launcher = Path(__file__).with_name("launcher.py")
    argv = [sys.executable, "-I", "-S", str(launcher), nursery, "{connection_file}", str(place)]
    kernel = {"argv": argv, "display_name": "judge", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
