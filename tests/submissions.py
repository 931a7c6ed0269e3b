"""Submissions of every kind, made from the sample sheet."""

import json
from pathlib import Path

from mmcourse.grading.release import exercise_notebook, notebook_text
from mmcourse.grading.sheet import read_sheet

SAMPLE = Path(__file__).parent / "grading" / "fixtures" / "00_sample.md"
EX1 = """# mmcourse: answer ex1
def attention_weights(q, k):
    return (q @ k.T / q.shape[-1] ** 0.5).softmax(dim=-1)
"""
EX1_WRONG = EX1.replace("dim=-1", "dim=0")
RESIDUAL = """# mmcourse: answer ex2
class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        {}
"""
EX2 = RESIDUAL.format("return x + self.inner(x)")


def raw_exercise() -> dict:
    """The released sample as plain JSON."""
    return json.loads(notebook_text(exercise_notebook(read_sheet(SAMPLE))))


def submission(ex1: str | None = None, ex2: str | None = None, extra: tuple[str, ...] = ()) -> dict:
    """The exercise with some answers filled in and helper cells after the setup."""
    raw = raw_exercise()
    for cell in raw["cells"]:
        if cell["id"] == "ex1" and ex1 is not None:
            cell["source"] = ex1
        if cell["id"] == "ex2" and ex2 is not None:
            cell["source"] = ex2
    raw["cells"][3:3] = [code(source) for source in extra]
    return raw


def code(source: str, **fields: object) -> dict:
    """A code cell such as a learner adds."""
    blank = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    return blank | {"source": source} | fields


def without(raw: dict, name: str) -> dict:
    """The notebook with one cell deleted."""
    raw["cells"] = [cell for cell in raw["cells"] if cell.get("id") != name]
    return raw


def write(folder: Path, name: str, raw: dict) -> Path:
    """Saves a notebook."""
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path
