"""The rules of the house, read from the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError
from typechecking import SHAPED

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmcourse"
CHAPTERS = [
    "multimodal",
    "trends",
    "transformers",
    "selfsupervision",
    "visionlanguage",
    "generative",
    "diffusion",
]
SERVICES = {"data", "training", "pace", "plots", "weights", "widgets", "grading"}
# Chapters compute; what a lesson shows, trains or loads is composed in the lesson.
FORBIDDEN_IN_CHAPTERS = {
    "training",
    "pace",
    "plots",
    "widgets",
    "grading",
    "data",
    "cli",
    "recipes",
}
ALLOWED_OUTSIDE = {"torch", "einops", "jaxtyping"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names of the modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                found.add(".".join([*base, *([node.module] if node.module else [])]))
            elif node.module == "mmcourse":
                found |= {f"mmcourse.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    return found


def part(name: str) -> str | None:
    """The part of the package that a dotted name lies in: "mmcourse.data.text" → "data"."""
    pieces = name.split(".")
    return pieces[1] if pieces[0] == "mmcourse" and len(pieces) > 1 else None


def owner(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    mine, used = owner(path), {part(name) for name in imports(path)} - {None}
    if mine in CHAPTERS:
        later = set(CHAPTERS[CHAPTERS.index(mine) + 1 :])
        assert not used & (later | FORBIDDEN_IN_CHAPTERS), f"{mine} may not import {used}"
        outside = (
            {n.split(".")[0] for n in imports(path)} - {"mmcourse"} - set(sys.stdlib_module_names)
        )
        assert outside <= ALLOWED_OUTSIDE, f"a chapter may import {ALLOWED_OUTSIDE}, not {outside}"
    elif mine in SERVICES:
        assert not used & set(CHAPTERS), f"{mine} may not import a chapter, it imports {used}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 310, "a file is at most about 300 lines"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef):
            continue
        doc = ast.get_docstring(node, clean=False)
        body = node.end_lineno - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
        assert body <= 45, f"{node.name} has {body} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_things_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_chapters_never_use_a_bare_assert() -> None:
    for path in FILES:
        if owner(path) in CHAPTERS:
            asserts = [
                n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)
            ]
            assert not asserts, f"{path.name}: raise a ValueError with expected and received"


def test_nothing_unpickles() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "torch.load(" not in text, path
        assert "pickle" not in imports(path), path


def test_import_is_light() -> None:
    """Beside torch itself, `import mmcourse.transformers, mmcourse.diffusion` pulls in little."""
    code = (
        "import torch, sys; before = set(sys.modules)\n"
        "import mmcourse.transformers, mmcourse.diffusion, mmcourse.data, mmcourse.training\n"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    heavy = {"matplotlib", "IPython", "sklearn", "ipywidgets", "anywidget", "PIL", "resvg_py"}
    assert not heavy & set(run.stdout.split())


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of a machine and no reference to anything outside the repository."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    words = ("../" + "shared", "/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/")
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yml", ".toml", ".js", ".css", ".ipynb", ".txt", ".bib"}:
            text = path.read_text(encoding="utf-8")
            assert not [word for word in words if word in text], name


def test_shapes_are_checked_while_the_tests_run() -> None:
    """The tests' own set-up wraps all that announces shapes, and says so where they differ."""
    from mmcourse.transformers.attention import split_heads

    announcing = [path for path in FILES if "jaxtyping" in imports(path)]
    assert [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in announcing] == SHAPED
    with pytest.raises(TypeCheckError):
        split_heads(torch.zeros(2, 3), num_heads=1)
