"""From the sources to what a learner opens: sheets without solutions, paired lessons.

    solutions/NN_slug.md  →  exercises/NN_slug.ipynb   (solutions, hidden checks, bank removed)
    notebooks/NN_slug.md  →  notebooks/NN_slug.ipynb   (the same notebook, without outputs, after
                                                        a cell for Colab and Binder: `launch`)

Releasing twice gives identical files.
"""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmcourse.grading.launch import TAG, launch_cell, published
from mmcourse.grading.sheet import (
    BEGIN,
    END,
    Cell,
    Sheet,
    SheetError,
    read_notebook,
    read_sheet,
    write_atomically,
)

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT = ("role", "key", "exercise", "title", "points", "timeout_s", "defines", "forbid")


def stub(source: str) -> str:
    """An answer cell with every solution region replaced by NotImplementedError."""
    lines: list[str] = []
    inside = False
    for line in source.splitlines():
        if line.strip() == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [f"{indent}# Your code here", f"{indent}raise NotImplementedError"]
            inside = True
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def block(cell: Cell, forbid: Sequence[str] = ()) -> str:
    """A check as a `with` block around the very same source.

    Args:
        cell: the check.
        forbid: calls that the notebook's own check refuses (the grader looks by itself).
    """
    inside_string = _lines_inside_strings(cell.source)
    body = [
        line if number in inside_string or not line.strip() else f"    {line}"
        for number, line in enumerate(cell.source.splitlines(), start=1)
    ]
    first = f'with check("{cell.key}"):'
    if forbid:
        names = "".join(f'        "{name}",\n' for name in forbid)
        first = f'with check(\n    "{cell.key}",\n    forbid=[\n{names}    ],\n):'
    return "\n".join([first, *body])


def note(sheet: Sheet) -> str:
    """How a sheet is worked with, and that it has checks which run at hand-in only."""
    total = sum(cell.points for cell in sheet.role("check"))
    text = (
        f"**{_points(total)} in all.** The folded cell below an answer checks it: run it, and it "
        "says `ok`, or what is not right yet."
    )
    if any(cell.hidden for cell in sheet.role("check")):
        text += (
            " Some checks run only when you hand in. They try other cases, and their points are "
            "part of the question's: so read the question again when every cell says `ok`."
        )
    return text


def terms(sheet: Sheet, answer: Cell) -> str:
    """What a question is worth, and what its answer may not use."""
    text = f"**{_points(sum(cell.points for cell in sheet.checks_of(answer.key)))}.**"
    forbid = answer.meta.get("forbid", [])
    if forbid:
        text += f" Not allowed in this answer: {', '.join(f'`{name}`' for name in forbid)}."
    return text


def _points(number: float) -> str:
    return f"{number:g} point{'' if number == 1 else 's'}"


def _lines_inside_strings(source: str) -> set[int]:
    """Lines that begin inside a multi-line string: indenting them would change the string."""
    inside: set[int] = set()
    starts: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING:
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
        elif tokenize.tok_name[token.type] == "FSTRING_START":  # in parts since Python 3.12
            starts.append(token.start[0])
        elif tokenize.tok_name[token.type] == "FSTRING_END":
            inside.update(range(starts.pop() + 1, token.end[0] + 1))
    return inside


def exercise_notebook(sheet: Sheet) -> Any:
    """The notebook that a learner fills in."""
    return _notebook(sheet, solved=False)


def solution_notebook(sheet: Sheet) -> Any:
    """The same notebook with the reference answers and the output each check should print."""
    return _notebook(sheet, solved=True)


def _notebook(sheet: Sheet, solved: bool) -> Any:
    from nbformat import v4

    kept = [c for c in sheet.cells if c.role != "wrong" and (solved or not c.hidden)]
    first = next(index for index, cell in enumerate(kept) if cell.kind == "code")
    cells, texts = [], 0
    for index, cell in enumerate(kept):
        texts += cell.kind != "code"
        name = cell.key.replace(".", "-") if cell.kind == "code" else f"text-{texts}"
        if index == first:
            cells.append(v4.new_markdown_cell(note(sheet), id="text-checks"))
        if cell.kind == "code" and cell.role == "answer":
            cells.append(v4.new_markdown_cell(terms(sheet, cell), id=f"text-{cell.key}"))
        cells.append(_cell(sheet, cell, name, solved))
    about = {"assignment": sheet.assignment, "version": sheet.version}
    return v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}, "mmcourse": about},
    )


def _cell(sheet: Sheet, cell: Cell, name: str, solved: bool) -> Any:
    from nbformat import v4

    about = {k: v for k, v in cell.meta.items() if k in KEPT}
    metadata = dict(cell.metadata) | ({"mmcourse": about} if about else {})
    if cell.kind != "code":
        make = v4.new_raw_cell if cell.kind == "raw" else v4.new_markdown_cell
        pictures = {"attachments": cell.attachments} if cell.attachments else {}
        return make(cell.source, id=name, metadata=metadata, **pictures)
    source, outputs, count = cell.source, [], None
    if cell.role == "answer" and not solved:
        source = stub(source)
    elif cell.role == "check":
        source = block(cell, sheet.answers[cell.exercise].meta.get("forbid", []))
        # Folded in JupyterLab: a check's source gives much of the answer away.
        metadata["jupyter"] = {"source_hidden": True} | metadata.get("jupyter", {})
        if solved:
            source = f"# NBVAL_CHECK_OUTPUT\n{source}"
            outputs, count = [v4.new_output("stream", text=f"ok {cell.key}\n")], 1
    made = v4.new_code_cell(source, id=name, metadata=metadata, outputs=outputs)
    made.execution_count = count
    return made


def paired_notebook(path: Path) -> Any:
    """A lesson's text notebook as .ipynb without outputs, with ids that follow the content.

    Raises:
        SheetError: the text holds the cell that belongs to the .ipynb alone.
    """
    from nbformat import v4

    text = read_notebook(path)
    if any(TAG in cell.metadata.get("tags", []) for cell in text.cells):
        raise SheetError(f"{path}: take out the cell tagged `{TAG}`: only the .ipynb has it")
    seen: Counter[str] = Counter()
    cells = [launch_cell(published(path.parents[1]))]
    for cell in text.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        name = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        make = {"code": v4.new_code_cell, "raw": v4.new_raw_cell}.get(
            cell.cell_type, v4.new_markdown_cell
        )
        cells.append(make(cell.source, id=name, metadata=cell.metadata))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    metadata["jupytext"] = {"formats": "ipynb,md:myst"}
    return v4.new_notebook(cells=cells, metadata=metadata)


def notebook_text(notebook: Any) -> str:
    """The bytes of a notebook file; equal notebooks give equal text."""
    import nbformat

    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def release(source: Path) -> Any:
    """The released notebook of a sheet's source file.

    Raises:
        SheetError: the source breaks a rule of the format.
    """
    return exercise_notebook(read_sheet(source))


def targets(root: Path, lessons: list[str]) -> dict[Path, Path]:
    """Generated file → source, for the named lessons (all, if none is named).

    Args:
        root: the course's folder.
        lessons: slugs or numbers, such as `31_attention` or `31`.

    Raises:
        SheetError: a lesson that does not exist; the message lists the known ones.
    """
    found: dict[Path, Path] = {}
    for source in sorted((root / "notebooks").glob("*.md")):
        found[source.with_suffix(".ipynb")] = source
    for source in sorted((root / "solutions").glob("*.md")):
        found[root / "exercises" / f"{source.stem}.ipynb"] = source
    known = sorted({source.stem for source in found.values()})
    chosen: set[str] = set()
    for lesson in lessons:
        wanted = Path(lesson).stem
        matches = {stem for stem in known if wanted in (stem, stem.split("_")[0])}
        if not matches:
            raise SheetError(f"unknown lesson {lesson!r}; known: {', '.join(known) or 'none'}")
        chosen |= matches
    return {made: source for made, source in found.items() if not lessons or source.stem in chosen}


def generated(source: Path) -> str:
    """The text of the file that a source generates: a sheet's, unless it is a lesson."""
    lesson = source.parent.name == "notebooks" and not _is_sheet(source)
    return notebook_text(paired_notebook(source) if lesson else release(source))


def _is_sheet(source: Path) -> bool:
    return "mmcourse" in read_notebook(source).metadata


def own_targets(sources: list[Path], out: Path) -> dict[Path, Path]:
    """Learner's notebook → sheet, for sheets that lie anywhere.

    Raises:
        SheetError: no sheet, two of the same name, or one that its own notebook would replace.
    """
    if not sources:
        raise SheetError("name the sheets that --out is for")
    found: dict[Path, Path] = {}
    for source in sources:
        made = out / f"{source.stem}.ipynb"
        if made in found:
            raise SheetError(f"{source} and {found[made]} would both become {made}")
        if made.resolve() == source.resolve():
            raise SheetError(f"{source}: its notebook would replace it: choose another --out")
        found[made] = source
    return found


def differing(targets: dict[Path, Path]) -> list[Path]:
    """Generated files that are missing or differ from what their source gives."""
    return [
        made
        for made, source in targets.items()
        if not made.is_file() or made.read_text(encoding="utf-8") != generated(source)
    ]


def orphans(root: Path, targets: dict[Path, Path]) -> list[Path]:
    """Generated files of the course that have lost their source."""
    present = [*(root / "notebooks").glob("*.ipynb"), *(root / "exercises").glob("*.ipynb")]
    return sorted(path for path in present if path not in targets)


def write(targets: dict[Path, Path], chosen: list[Path]) -> None:
    """Writes generated files, each whole or not at all."""
    for made in chosen:
        write_atomically(made, generated(targets[made]))


def drifted(root: Path, lessons: list[str]) -> list[Path]:
    """The course's generated files that differ from what their source gives, or have none."""
    wanted = targets(root, lessons)
    return differing(wanted) + ([] if lessons else orphans(root, wanted))


def write_all(root: Path, lessons: list[str]) -> list[Path]:
    """Writes the course's generated files that differ; returns them."""
    wanted = targets(root, lessons)
    changed = differing(wanted)
    write(wanted, changed)
    return changed
