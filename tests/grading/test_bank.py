"""The bank finds what is wrong with a sheet."""

import pytest
from submissions import SAMPLE

from mmcourse.grading.bank import main, prove
from mmcourse.grading.sheet import read_sheet


def test_the_sample_is_proved(capsys):
    assert prove(read_sheet(SAMPLE)) == []
    assert main([str(SAMPLE)]) == 0
    assert "4 checks, 6 wrong answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    return scores.softmax(dim=-1)", "    return scores.softmax(dim=0)",
         "ex1.value: the reference fails"),
        ("    ### BEGIN SOLUTION\n    scores", "    ### BEGIN SOLUTION\n    print(1); scores",
         "it should be silent"),
        ("says: not over the keys", "says: something else", "says"),
        ("says: not over the keys", "says: not over, the keys", "unknown field 'the keys'"),
        ("    return (q @ k.T).softmax(dim=-1)", "    return (q @ k.T / 2).softmax(dim=-1)",
         "ex1.no-scale: passes ex1.value"),
        ("    return (q @ k.T).softmax(dim=-1)", "    return undefined", "ex1.no-scale: crashes"),
        ('y = student.attention_weights(q, k)\nexpect.shape', 'y = q @ k.T\nexpect.shape',
         "ex1.value"),
        ('y = student.Residual(inner)(x)', 'y = Residual(inner)(x)', "ex2.value"),
        ("import torch\n", "import torch\nfrom operator import add as Residual\n",
         "setup: defines Residual"),
        ("    scores = q @ k.T / q.shape[-1] ** 0.5\n",
         "    scores = q @ k.T / q.shape[-1] ** 0.5\n    F.scaled_dot_product_attention\n",
         "which is forbidden"),
        ("import torch\n", f"import torch\n# {'x' * 80}\n", "columns"),
        ("from mmcourse.grading import check,", "from mmcourse.grading import  check,",
         "must hold the line"),
    ],
)  # fmt: skip
def test_a_fault_is_named(tmp_path, old, new, says):
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "00_sample.md"
    path.write_text(text.replace(old, new, 1))
    problems = prove(read_sheet(path))
    assert any(says in problem for problem in problems), problems


def test_the_command_tells_bad_files_in_a_line(tmp_path, capsys):
    bad = tmp_path / "x.md"
    bad.write_text("no front matter")
    assert main([str(bad), str(tmp_path / "gone.md")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
