"""The commands around models: mmcourse generate | train | evaluate."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Steps = Annotated[int, typer.Option(min=1, help="Steps of the sampler.")]
Scale = Annotated[float, typer.Option(help="Of the guidance, 0 or more; 1 = none.")]
Model = Annotated[
    str,
    typer.Option(help="A checkpoint of the package, or your .safetensors, its .json beside it."),
]


class BadInput(ValueError):
    """What the caller asked for cannot be done; the message is one line."""


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Errors about what was asked become one clear line."""
    try:
        yield
    except ValueError as error:
        raise BadInput(str(error)) from None
    except OSError as error:
        raise BadInput(f"{error.filename or 'the file'}: {error.strerror or error}") from None


@contextlib.contextmanager
def progress_bar(silent: bool) -> Iterator[Any]:
    """A bar on the terminal; nothing of it goes to stdout."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    console = Console(stderr=True)
    hidden = silent or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield bar


def generate(
    prompts: Annotated[list[str], typer.Argument(help="Captions, in English or Korean.")],
    out: Annotated[Path, typer.Option(help="The picture's file (.png).")] = Path("picture.png"),
    seed: Annotated[int, typer.Option(min=0, help="Of the noise; the first one of a grid.")] = 0,
    steps: Steps = 10,
    scale: Scale = 3.0,
    negative: Annotated[str | None, typer.Option(help="What should not be seen.")] = None,
    grid: Annotated[int, typer.Option(min=1, help="Pictures of each prompt, side by side.")] = 1,
    strip: Annotated[
        int | None, typer.Option(min=2, help="Show the way there in so many pictures.")
    ] = None,
    enlarge: Annotated[int, typer.Option(min=1, max=32, help="Times the size.")] = 4,
    model: Model = "text-to-image",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw what captions say: one picture, a grid over seeds, or the steps as a strip."""
    from mmcourse import studio
    from mmcourse.diffusion import TextToImage

    begun = time.perf_counter()
    options: dict[str, Any] = {"steps": steps, "scale": scale, "negative": negative}
    with asking(), progress_bar(as_json) as bar:
        if strip and (grid > 1 or len(prompts) > 1):
            raise BadInput("--strip shows the way to one picture: one prompt, no --grid")
        if strip and strip > steps:
            raise BadInput(f"--strip {strip} needs as many --steps or more, got {steps}")
        loaded = TextToImage.load(model, device=device)
        batches = -(-len(prompts) // studio.BATCH)
        task = bar.add_task("drawing", total=steps * batches * grid)
        if strip:
            pictures = studio.strip(loaded, prompts[0], frames=strip, seed=seed, **options)
        else:
            seeds = range(seed, seed + grid)
            options["on_step"] = lambda *_: bar.advance(task)
            pictures = studio.draw(loaded, prompts, seeds=seeds, **options)
        columns = strip or (grid if grid > 1 else max(1, round(len(prompts) ** 0.5)))
        studio.save_picture(studio.layout(pictures, columns), out, enlarge=enlarge)
    seconds = round(time.perf_counter() - begun, 2)
    if as_json:
        told = {"out": str(out), "pictures": len(pictures), "seconds": seconds}
        print(json.dumps({**told, "prompts": prompts}, ensure_ascii=False))
    else:
        noun = "picture" if len(pictures) == 1 else "pictures"
        print(f"{out}: {len(pictures)} {noun} in {seconds} s")


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as text-to-image.")],
    out: Annotated[Path, typer.Option(help="Folder; the same one again goes on.")],
    seed: Annotated[int, typer.Option(min=0, help="Another one gives another model.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates, to try it out.")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a checkpoint by its recipe; after a kill, the same command goes on."""
    from mmcourse import recipes

    tasks: dict[str, Any] = {}
    with asking(), progress_bar(as_json) as bar:

        def tell(stage: str, step: int, steps: int, loss: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=steps)
            told = f"{stage}  loss {loss:.4f}" if loss else stage
            bar.update(tasks[stage], completed=step, description=told)

        file = recipes.run(recipe, out, seed=seed, steps=steps, device=device, tell=tell)
    card = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    if as_json:
        print(json.dumps({"checkpoint": str(file), **card}, ensure_ascii=False))
    else:
        print(f"{file}: {card['parameters']:,} weights after {card['cpu_s']:,} CPU seconds")


def export(
    model: Annotated[str, typer.Argument(help="A checkpoint of the package.")],
    out: Annotated[Path, typer.Option(help="Folder for the graphs and model.json.")],
    as_json: AsJson = False,
) -> None:
    """Write a model as ONNX graphs for the page, and compare them with PyTorch."""
    from mmcourse import inpage

    with asking():
        about = inpage.export(model, out)
    if as_json:
        told = {name: about[name] for name in ("name", "parts", "bytes", "apart")}
        print(json.dumps({"out": str(out), **told}))
        return
    for part in about["parts"]:
        size, apart = about["bytes"][part] / 1e6, about["apart"][part]
        print(f"{out / part}.onnx: {size:.1f} MB, at most {apart:.1g} from PyTorch")


def evaluate(
    models: Annotated[list[str] | None, typer.Argument(help="Names or files.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Captions of each row.")] = 200,
    steps: Steps = 10,
    scale: Scale = 3.0,
    seed: Annotated[int, typer.Option(min=0, help="Of captions and noise.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="How many, from this one on.")] = 1,
    keep: Annotated[bool, typer.Option(help="Write it into the first one's card.")] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Let the oracle judge text-to-image models: seen and held-out pairs, both languages."""
    from mmcourse import studio
    from mmcourse.diffusion import TextToImage
    from mmcourse.training import amend_card
    from mmcourse.weights import checkpoint_file, read_card

    options: dict[str, Any] = {"count": count, "steps": steps, "scale": scale}
    rows: list[dict[str, Any]] = []
    with asking(), progress_bar(as_json) as bar:
        files = [checkpoint_file(name) for name in models or ["text-to-image"]]
        task = bar.add_task("judging", total=12 * len(files) * seeds)
        for file in files:
            loaded = TextToImage.load(file, device=device)
            trained = read_card(file).get("seed")
            for drawn in range(seed, seed + seeds):
                for row in studio.examination(loaded, seed=drawn, **options):
                    rows.append({"trained": trained, "seed": drawn, **_rounded(row)})
                    bar.advance(task)
        if keep:
            amend_card(files[0], evaluation=rows, evaluated={"steps": steps, "scale": scale})
    if as_json:
        print(json.dumps({**options, "seed": seed, "seeds": seeds, "rows": rows}))
    else:
        _show(rows, len(files), seeds)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    from mmcourse import studio

    return {name: round(x, 4) if name in studio.SHARES else x for name, x in row.items()}


def _show(rows: list[dict[str, Any]], models: int, seeds: int) -> None:
    from rich.console import Console
    from rich.table import Table

    names = ["shape", "color", "both", "size", "relation", "exact", "all"]
    runs = models * seeds
    of = f"Means of {models} model(s), {seeds} seed(s) each. " if runs > 1 else ""
    note = "Share found by the oracle, in %. exact: all shapes and colours right."
    table = Table(caption=of + note)
    for name in ("objects", "pairs", "language"):
        table.add_column(name)
    for name in names:
        table.add_column(name, justify="right")
    each = len(rows) // runs
    for place, row in enumerate(rows[:each]):
        same = rows[place::each]
        shares = [f"{100 * sum(one[name] for one in same) / runs:.1f}" for name in names]
        table.add_row(str(row["objects"]), row["pairs"], row["language"], *shares)
    Console().print(table)
