"""The commands around sheets: mmcourse release | prove."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from mmcourse.cli_models import AsJson, BadInput, asking
from mmcourse.grading.sheet import SheetError, repository


def release(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="The course's lessons by slug or number (all, if none is given), or, with "
            "--out, your own sheets (.md or .ipynb)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the learners' notebooks of your own sheets.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file has drifted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the notebooks that learners fill in: no solutions, no hidden checks.

    Without --out: exercises/*.ipynb from solutions/*.md and notebooks/*.ipynb from
    notebooks/*.md in the course's folder.
    """
    from mmcourse.grading import release as releasing

    with asking():
        targets = _targets(sources or [], out)
        wrong = releasing.differing(targets)
        if out is None and not sources:
            wrong += releasing.orphans(repository(), targets) if check else []
        if not check:
            releasing.write(targets, wrong)
    names = [str(path if out else path.relative_to(repository())) for path in wrong]
    if as_json:
        print(json.dumps({"drifted" if check else "written": names}, indent=1))
    else:
        for name in names:
            print(f"drifted: {name} (run `mmcourse release`)" if check else f"wrote {name}")
        if not names:
            print("every generated file is up to date")
    raise typer.Exit(1 if check and names else 0)


def _targets(sources: list[str], out: Path | None) -> dict[Path, Path]:
    """Generated file → source."""
    from mmcourse.grading import release as releasing

    if out is not None:
        return releasing.own_targets([Path(source) for source in sources], out)
    try:
        return releasing.targets(repository(), sources)
    except SheetError:
        own = [source for source in sources if Path(source).is_file()]
        if not own:
            raise
        raise BadInput(f"{own[0]}: say where its notebook goes: --out FOLDER") from None


def prove(
    sheets: Annotated[list[Path], typer.Argument(help="Sheets (.md or .ipynb).")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the run through the real grader.")
    ] = False,
    course: Annotated[
        bool,
        typer.Option("--course", help="The course's rules, too: 79 columns, 3 wrong answers."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove sheets before you hand them out; exit 1 if there is a problem.

    The reference passes every check for several inputs, an untouched answer stops and blocks
    no other, every wrong answer fails its check with its phrase, and in the real grader the
    reference has full points and the untouched sheet none.
    """
    proofs = [_proof(path, quick, course) for path in sheets]
    if as_json:
        print(json.dumps(proofs, indent=1, ensure_ascii=False))
    else:
        for proof in proofs:
            for problem in proof["problems"]:
                print(f"{proof['sheet']}: {problem}", file=sys.stderr)
            if not proof["problems"]:
                print(f"ok {proof['sheet']}: {proof['extent']}")
    raise typer.Exit(1 if any(proof["problems"] for proof in proofs) else 0)


def _proof(path: Path, quick: bool, course: bool) -> dict[str, Any]:
    from mmcourse.grading import bank
    from mmcourse.grading.sheet import read_sheet

    try:
        sheet = read_sheet(path)
    except SheetError as error:  # the other sheets are to be told of, too
        problem = str(error).removeprefix(f"{path}: ")
        return {"sheet": str(path), "extent": "", "problems": [problem]}
    problems = bank.prove(sheet, course)
    if not problems and not quick:
        with tempfile.TemporaryDirectory(prefix="mmcourse-prove-") as folder:
            problems = bank.graded(sheet, Path(folder))
    return {"sheet": str(path), "extent": bank.extent(sheet), "problems": problems}
