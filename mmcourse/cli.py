"""The command line: mmcourse doctor | generate | train | evaluate | release | grade."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmcourse import __version__
from mmcourse.cli_models import AsJson, BadInput, evaluate, generate, train
from mmcourse.grading.sheet import SheetError, repository

app = typer.Typer(
    name="mmcourse",
    help="Multimodal deep learning in text-to-image generation: the course's tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Typer carries its own copy of click in some versions and imports it in others.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def main() -> None:
    """Runs the command line; bad input gives one line on stderr and exit status 2."""
    try:
        code = app(standalone_mode=False)
    except USAGE_ERROR as error:
        _refuse(error.format_message())  # type: ignore[attr-defined]
    except (BadInput, SheetError) as error:
        _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("mmcourse: stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(message: str) -> None:
    if message:  # without arguments typer has shown the help and says nothing
        print(f"mmcourse: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _show_version(wanted: bool | None) -> None:
    if wanted:
        print(f"mmcourse {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Version."),
    ] = None,
) -> None:
    """Multimodal deep learning in text-to-image generation: the course's tools."""


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which device, how fast, what is missing and how to mend it."""
    from mmcourse import doctor as surgery

    found = surgery.examine(repository())
    if as_json:
        print(json.dumps(surgery.as_json(found), indent=1))
    else:
        _show_findings(found)
    raise typer.Exit(1 if any(finding.mend for finding in found) else 0)


def _show_findings(found: list[Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        mark = "[red]✗[/]" if finding.mend else "[green]✓[/]"
        console.print(f"{mark} [bold]{finding.name}[/]  {escape(finding.value)}")
        if finding.mend:
            console.print(f"  to mend it: {escape(finding.mend)}")


app.command()(generate)
app.command()(train)
app.command()(evaluate)


@app.command()
def release(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="Slugs or numbers; all, if none is given.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file has drifted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Generate exercises/*.ipynb from solutions/*.md and notebooks/*.ipynb from notebooks/*.md."""
    from mmcourse.grading import release as releasing

    root = repository()
    chosen = lessons or []
    files = releasing.drifted(root, chosen) if check else releasing.write_all(root, chosen)
    names = [str(path.relative_to(root)) for path in files]
    if as_json:
        print(json.dumps({"drifted" if check else "written": names}, indent=1))
    else:
        for name in names:
            print(f"drifted: {name} (run `mmcourse release`)" if check else f"wrote {name}")
        if not names:
            print("every generated file is up to date")
    raise typer.Exit(1 if check and names else 0)


@app.command()
def grade(
    submissions: Annotated[list[Path], typer.Argument(help="Notebooks, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json, grades.csv, feedback/.")],
    source: Annotated[
        Path | None, typer.Option(help="The sheet; else the one the notebook names.")
    ] = None,
    parallel: Annotated[int, typer.Option("-n", min=1, max=64, help="Side by side.")] = 2,
    isolation: Annotated[str, typer.Option(help="auto, bwrap or process.")] = "auto",
    budget_s: Annotated[
        float, typer.Option("--budget-s", min=1, help="Seconds of a submission's code in all.")
    ] = 120,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Allow isolation `process`: own work only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Grade submissions: points, a CSV and a feedback page each; hostile notebooks do no harm."""
    from mmcourse.grading import batch

    _check_isolation(isolation, allow_unsafe)
    todo = batch.jobs(batch.submissions(submissions), source)
    _check_folder(out)
    run = batch.grade_all(todo, out, parallel=parallel, isolation=isolation, budget_s=budget_s)
    results = list(run) if as_json else list(_with_progress(run, len(todo)))
    if as_json:
        print((out / "results.json").read_text(encoding="utf-8"), end="")
    else:
        count = "1 submission" if len(results) == 1 else f"{len(results)} submissions"
        print(f"{count}: see {out / 'grades.csv'} and {out / 'feedback'}")
    raise typer.Exit(1 if any(r["status"] == "grader_error" for r in results) else 0)


def _check_isolation(wanted: str, allow_unsafe: bool) -> None:
    from mmcourse.grading.sandbox import best_isolation

    try:
        found = best_isolation(wanted)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if found.level == "process" and not allow_unsafe:
        raise BadInput(
            "isolation `process` is no protection against other people's code: "
            "install bubblewrap, or add --allow-unsafe to check your own work"
        )


def _check_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: {error.strerror}") from None


def _with_progress(results: Any, total: int) -> Any:
    """One line a submission, and a bar below them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    errors = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("", total=total)
        for result in results:
            mark = f"{result['points']:g} of {result['max_points']:g}"
            said = mark if result["status"] == "graded" else result["status"]
            progress.console.print(escape(f"{result['submission']}: {said}"), highlight=False)
            progress.advance(task)
            yield result


if __name__ == "__main__":
    main()
