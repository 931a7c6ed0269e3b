"""Broken and odd files: what is no notebook, odd names, edited and missing cells."""

import json
import os
from pathlib import Path
from typing import Any

from grading.cases import Case
from submissions import EX1, EX2, code, submission, without

RIGHT = submission(EX1, EX2)
GOOD = json.dumps(RIGHT).encode()


def unreadable(name: str, content: Any, says: str = "") -> Case:
    """A file that is told from a zero."""
    return Case(name, content, None, "unreadable", {"note": says})


def notebook(*cells: Any, **fields: Any) -> dict[str, Any]:
    """A notebook of these raw cells."""
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | fields


def sparse(path: Path) -> None:
    """A file that is said to have 30 MB."""
    with open(path, "wb") as file:
        file.truncate(30 * 2**20)


def locked(path: Path) -> None:
    """A file that nobody but root may read."""
    path.write_bytes(b"Dear teacher")
    path.chmod(0)


OLD = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": []}]}
MALFORMED = [
    unreadable("file-empty", b"", "empty"),
    unreadable("file-blank", b" \n\t\n", "empty"),
    unreadable("file-essay", "Dear teacher, 안녕하세요".encode(), "not JSON"),
    unreadable("file-cut", GOOD[: len(GOOD) // 2], "not JSON"),
    unreadable("file-zeros", bytes(1000), "not JSON"),
    unreadable("file-picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not JSON"),
    unreadable("file-nested", b'{"cells":' + b"[" * 10**6, "not JSON"),
    unreadable("file-number", b'{"cells": ' + b"9" * 10**6 + b"}", ""),
    unreadable("file-list", b"[]", "list of cells"),
    unreadable("file-cells", b'{"cells": {"0": 1}}', "list of cells"),
    unreadable("file-million", b'{"cells": [' + b"{}," * 10**6 + b"{}]}", "more than 2000 cells"),
    unreadable("file-old", json.dumps(OLD).encode(), "format 4"),
    unreadable("file-giant", sparse, "larger than 20 MiB"),
    unreadable("file-link", lambda path: path.symlink_to("/etc/passwd"), "cannot be opened"),
    unreadable("file-pipe", os.mkfifo, "not a regular file"),
    unreadable("file-folder", Path.mkdir, "not a regular file"),
    unreadable("file-locked", locked, ""),
    Case("file-bom", b"\xef\xbb\xbf" + GOOD),
    Case("file-utf16", json.dumps(RIGHT, ensure_ascii=False).encode("utf-16")),
    Case("file-keys-twice", GOOD[:1] + b'"cells": [3], "metadata": 1,' + GOOD[1:]),
    Case("file-no-metadata", json.dumps({"cells": RIGHT["cells"]}).encode()),
]
ODD = [None, 3, "x", [], {}, {"cell_type": 3}, {"cell_type": "code"}, code("\ud800 = '\ud800'"),
       {"cell_type": "code", "source": 3, "metadata": [4]}, code("\0"), code("x" * 2**21),
       {**code(""), "source": ["x", 1, None, {}]},
       code("1", id=7, metadata={"mmcourse": {"key": ["ex1"]}}),
       code("1", metadata={"mmcourse": 9}), code("9" * 5000), code("1e999999"),
       code("# mmcourse: answer ex9\n1"), code("\n" * 10**6), code("(" * 10**5),
       code("-" * 10**5 + "1"), code("%time 1\n" * 300), code("def (")]  # fmt: skip
CELLS = [
    Case("cells-odd", notebook(*RIGHT["cells"], *ODD, metadata=[], nbformat="four")),
    Case("cells-odd-first", notebook(*ODD, *RIGHT["cells"])),
    Case("cells-none", notebook(), None, "needs_manual", {"note": "by hand"}),
    Case("cells-markdown", notebook(*({**c, "cell_type": "markdown"} for c in RIGHT["cells"])),
         None, "needs_manual", {"note": "by hand"}),
    Case("cells-untouched", submission(), (0, 0), says={"ex1.value": "^not answered yet$"}),
    Case("cells-answer-gone", without(submission(EX1, EX2), "ex1"), (0, 3),
         says={"ex1.value": "no answer cell"}),
    Case("cells-setup-gone", without(submission(EX1, EX2), "setup")),
    Case("cells-checks-gone", notebook(*(c for c in RIGHT["cells"] if "." not in c["id"]
                                         and "value" not in c["id"]))),
    Case("cells-reversed", notebook(*RIGHT["cells"][::-1])),
    Case("cells-same-id", notebook(*({**c, "id": "same"} for c in RIGHT["cells"]))),
    Case("cells-ids-swapped", notebook(
        code(EX1, id="ex2", metadata={"mmcourse": {"key": "ex1"}}),
        code(EX2, id="ex1", metadata={"mmcourse": {"key": "ex2"}}))),
    Case("cells-copied", submission(EX1, EX2, (EX1.replace("dim=-1", "dim=0"),))),
    Case("cells-split", submission(None, EX2, (
        EX1.split("\n", 1)[0] + "\ndef scale(q): return q.shape[-1] ** 0.5",
        EX1.replace("q.shape[-1] ** 0.5", "scale(q)")))),
    Case("cells-split-bad", submission(EX1, EX2, ("# mmcourse: answer ex1\n)",))),
    Case("cells-forbidden", submission(None, EX2, (
        "# mmcourse: answer ex1\n)", EX1 + "f = nn.functional.scaled_dot_product_attention")),
        (0, 3), says={"ex1.value": "may not use scaled_dot"}),
    Case("cells-helper-broken", submission(EX1, EX2, ("def broken(:", "1 / 0", "nothing()")),
         says={"cell": "ZeroDivisionError"}),
    Case("cells-answer-broken", submission(EX1.replace("):", ")"), EX2), (0, 3),
         says={"ex1.value": "the answer cell stops: your code raised SyntaxError"}),
    Case("cells-magic", submission("%%time\n" + EX1, EX2, (
        "%matplotlib inline\n!true\nimport asyncio\nawait asyncio.sleep(0)\n%timeit -n1 -r1 1",
        "%reset -f\n%load_ext nothing\n%%capture\n1"), ), (3, 0), says={"ex2.value": "nn"}),
    Case("cells-await", submission(EX1, EX2, ("import asyncio\nawait asyncio.sleep(0)\n",
                                              "asyncio.run(asyncio.sleep(0))"))),
]  # fmt: skip


def with_edited(name: str, source: str) -> dict[str, Any]:
    """A right notebook with another source in one cell."""
    raw = submission(EX1.replace("dim=-1", "dim=0"), EX2)
    for cell in raw["cells"]:
        if cell["id"] == name:
            cell["source"] = source
    return raw


CELLS += [
    Case("cells-check-edited", with_edited("ex1-value", "with check('ex1.value'): pass"), (1, 3)),
    Case("cells-setup-edited", with_edited("setup", "import torch\nfrom torch import nn\n"
         "from mmcourse.grading import *\nclass check:\n    pass\nexpect = student = check"),
         (1, 3)),
]  # fmt: skip
LONG = "가" * 83
NAMES = [
    Case("two_lines", RIGHT, file="two\nlines"),
    Case("한글_숙제", RIGHT, file="한글 숙제"),
    Case("dir__x.ipynb__deep", RIGHT, file="dir/x.ipynb/deep"),
    Case("dir__x", lambda path: path.mkdir(exist_ok=True), None, "unreadable", file="dir/x"),
    *(
        Case(name, b"Dear teacher", None, "unreadable", file=file)
        for name, file in {
            "a_b_c": "a b\tc",
            "a_b_c-2": "a_b_c",
            "a_quote_back_": "a'\"quote`back$(",
            "rf": "-rf",
            "x.._.._etc_passwd": "x..\\..\\etc;passwd",
            "_1_1": "=1+1",
            "_SUM_A1_": "@SUM(A1)",
            "_script_x_lt_script_": "<script>x&lt;script>",
            "_0_percent_20s_n": "{0}%percent%20s%n",
            "bad_": os.fsdecode(b"bad\xff"),
            "가" * 50: LONG,
            "가" * 50 + "-2": LONG[:-1] + "나",
        }.items()
    ),
]
