"""The command line: mmcourse doctor | generate | train | evaluate | export | release | prove …"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from mmcourse import __version__
from mmcourse.cli_grade import grade
from mmcourse.cli_models import AsJson, BadInput, evaluate, export, generate, train
from mmcourse.cli_sheets import prove, release
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
app.command()(export)


app.command()(release)
app.command()(prove)
app.command()(grade)


if __name__ == "__main__":
    main()
