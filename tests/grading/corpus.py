"""Makes the corpus of hostile, broken and odd submissions of the sample sheet.

    python tests/grading/corpus.py FOLDER

Grade it, never run it: the notebooks fork, fill disks and delete what they can reach.
"""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.path.insert(0, str(Path(__file__).parents[2]))

from grading.cases import Case
from grading.corpus_code import BOMBS, EXITS, LOOPS, REACHING
from grading.corpus_files import CELLS, MALFORMED, NAMES
from grading.corpus_forgery import FORGERY, PROBES, VALUES
from submissions import EX1, EX1_WRONG, EX2, submission

INNOCENT = [
    Case("innocent-right", submission(EX1, EX2)),
    Case("innocent-wrong", submission(EX1_WRONG, EX2, ("print('working on it')",)), (1, 3)),
    Case("innocent-zeal", submission(EX1, "# mmcourse: answer ex2\nclass Residual(nn.Module):\n"
         "    def forward(self, x): return self.x"), (3, 0)),
]  # fmt: skip
CORPUS = [
    *INNOCENT, *LOOPS, *EXITS, *BOMBS, *REACHING, *FORGERY, *VALUES, *PROBES, *MALFORMED, *CELLS,
    *NAMES,
]  # fmt: skip


def write_corpus(folder: Path, cases: list[Case], port: int = 9, canary: str = "/nowhere") -> None:
    """Writes the submissions to a folder.

    Args:
        cases: which of them.
        port: where this machine listens for them.
        canary: a folder that they try to delete.
    """
    for case in cases:
        path = folder / f"{case.file or case.name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(case.content):
            case.content(path)
        elif isinstance(case.content, bytes):
            path.write_bytes(case.content)
        else:
            text = json.dumps(case.content)
            path.write_text(text.replace("PORT", str(port)).replace("CANARY", canary))


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), CORPUS)
    print(f"{len(CORPUS)} submissions: grade them, never run them")
