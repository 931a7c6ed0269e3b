"""What the tests check of annotations while they run, and where.

Only the modules that announce shapes are wrapped: what pyright checks already would make the
grader's and the renderer's many small functions five to ten times slower.
"""

from pathlib import Path

from beartype import BeartypeConf, beartype

# An int is accepted where a float is announced (PEP 484).
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))

ROOT = Path(__file__).parents[1]
SHAPED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "mmcourse").rglob("*.py"))
    if "\nfrom jaxtyping import" in path.read_text(encoding="utf-8")
]
