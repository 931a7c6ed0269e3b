"""The command that grades: mmcourse grade."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from mmcourse.cli_models import AsJson, BadInput, asking
from mmcourse.grading.sandbox import LEVELS

STATUSES = ("graded", "unreadable", "needs_manual", "grader_error")
AGAIN = "the same command again"


def grade(
    submissions: Annotated[list[Path], typer.Argument(help="Notebooks, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json, grades.csv, feedback/.")],
    source: Annotated[
        Path | None, typer.Option(help="The sheet; else the one the notebook names.")
    ] = None,
    parallel: Annotated[int, typer.Option("-n", min=1, max=64, help="Side by side.")] = 2,
    isolation: Annotated[str, typer.Option(help=f"auto or one of {', '.join(LEVELS)}.")] = "auto",
    cluster: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Grade on a Dask cluster, such as tls://host:8786."),
    ] = "",
    units: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Pack for other machines, take their results back."),
    ] = None,
    budget_s: Annotated[
        float, typer.Option("--budget-s", min=1, help="Seconds of a submission's code in all.")
    ] = 120,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Allow isolation `process`: own work only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Grade submissions: points, a CSV and a feedback page each; hostile notebooks do no harm.

    The same command again goes on where it was stopped.

    Exit status 1: some have no mark, because the grader failed or waits for other machines.
    """
    from mmcourse.grading import batch

    with asking(), _stopping():
        _check_isolation(isolation, allow_unsafe, bool(cluster or units))
        if cluster and units:
            raise BadInput("--cluster and --units are two ways to grade elsewhere: choose one")
        todo = batch.jobs(batch.submissions(submissions), source)
        view = _View(len(todo), quiet=as_json)
        results = batch.grade_all(
            todo, out, parallel=parallel, isolation=isolation, budget_s=budget_s,
            cluster=cluster, unsafe=allow_unsafe, packed=units, on_kept=view.begin,
        )  # fmt: skip
        done = _watched(results, view)
    if as_json:
        print((out / "results.json").read_text(encoding="utf-8"), end="")
    else:
        print(f"{_summary(done)}: see {out / 'grades.csv'} and {out / 'feedback'}")
    raise typer.Exit(_report_failures(done))


def _watched(results: Any, view: _View) -> list[dict[str, Any]]:
    """All results, shown as they come; what stops a run is said, with how to go on."""
    from mmcourse.grading.units import Waiting

    try:
        # Closed at once when stopped, so that the reports are written.
        with view.bar, contextlib.closing(results):
            return [view.show(result) for result in results]
    except KeyboardInterrupt:
        print(f"mmcourse: stopped after {view.seen}; {AGAIN} goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    except Waiting as error:
        print(f"mmcourse: {error}; then {AGAIN}", file=sys.stderr)
        raise typer.Exit(1) from None


def _check_isolation(wanted: str, allow_unsafe: bool, elsewhere: bool) -> None:
    from mmcourse.grading.sandbox import best_isolation

    if wanted not in ("auto", *LEVELS) or not elsewhere:
        level = best_isolation(wanted).level
    else:  # other machines look for themselves
        level = wanted
    if level == "process" and not allow_unsafe:
        raise BadInput(
            "isolation `process` is no protection against other people's code: "
            "install bubblewrap, or add --allow-unsafe to check your own work"
        )


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """A polite end (a batch system's, say) is taken as Ctrl-C: what is there gets reported."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summary(results: list[dict[str, Any]]) -> str:
    """How many, and how many of each status."""
    count = "1 submission" if len(results) == 1 else f"{len(results)} submissions"
    found = Counter(result["status"] for result in results)
    return f"{count} ({', '.join(f'{found[name]} {name}' for name in STATUSES)})"


def _report_failures(results: list[dict[str, Any]]) -> int:
    """Says on which submissions the grader failed; returns the exit status."""
    names = [result["submission"] for result in results if result["status"] == "grader_error"]
    if not names:
        return 0
    some = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    print(
        f"mmcourse: the grader itself failed on {some}: this is no mark, and {AGAIN} "
        "grades just these (why: `infra` in results.json)",
        file=sys.stderr,
    )
    return 1


class _View:
    """On stderr: a line for each submission and, on a terminal, a bar with rate and time left."""

    def __init__(self, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (BarColumn(), MofNCompleteColumn(), _rate_column(), Remaining())
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        # The time left is taken from the last minutes: a submission takes seconds.
        options: dict[str, Any] = {"transient": True, "speed_estimate_period": 300}
        hidden = not console.is_terminal
        self.bar = Progress(*columns, console=console, disable=hidden, **options)
        self.total, self.quiet, self.kept, self.count = total, quiet, 0, 0

    @property
    def seen(self) -> str:
        """How far it is."""
        return f"{self.count} of {self.total}"

    def begin(self, kept: int) -> None:
        """Starts the clock; results of an earlier run are told once and count for no rate."""
        self.kept = kept
        self.task = self.bar.add_task("", total=self.total, completed=kept, kept=kept)
        if kept and not self.quiet:
            self.bar.console.print(f"{kept} kept from an earlier run")

    def show(self, result: dict[str, Any]) -> dict[str, Any]:
        """Counts one result in, and hands it on."""
        from rich.markup import escape

        self.count += 1
        if self.count > self.kept:
            mark = f"{result['points']:g} of {result['max_points']:g}"
            said = mark if result["status"] == "graded" else result["status"]
            if not self.quiet:
                self.bar.console.print(escape(f"{result['submission']}: {said}"))
            self.bar.advance(self.task)
        return result


def _rate_column() -> Any:
    """A column that says how many of this run are done in a minute."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            new = task.completed - task.fields["kept"]
            return Text(f"{60 * new / task.elapsed:.3g}/min" if new and task.elapsed else "–/min")

    return Rate()
