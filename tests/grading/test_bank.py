"""The bank finds what is wrong with a sheet."""

import pytest
from submissions import SAMPLE

from mmcourse import cli
from mmcourse.grading.bank import prove
from mmcourse.grading.sheet import read_sheet


def command(monkeypatch, *words):
    """The exit status of `mmcourse prove --quick --course …`."""
    monkeypatch.setattr("sys.argv", ["mmcourse", "prove", "--quick", "--course", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_sample_is_proved(monkeypatch, capsys):
    assert prove(read_sheet(SAMPLE)) == []
    assert command(monkeypatch, SAMPLE) == 0
    assert "4 checks, 6 wrong answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    return scores.softmax(dim=-1)", "    return scores.softmax(dim=0)",
         "ex1.value: the reference fails"),
        ("    ### BEGIN SOLUTION\n    scores", "    ### BEGIN SOLUTION\n    print(1); scores",
         "it should be silent"),
        ("says: not over the keys", "says: something else", "says"),
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
        ("import torch\n", "import torch\nimport no_such_package\n",
         "cell setup does not run: ModuleNotFoundError: No module named 'no_such_package'"),
        ("    return scores.softmax(dim=-1)\n    ### END SOLUTION",
         "    return scores.softmax(dim=-1)\n    ### END SOLUTION\nattention_weights(1, 2)",
         "cell ex1 does not run: AttributeError"),
    ],
)  # fmt: skip
def test_a_fault_is_named(tmp_path, old, new, says):
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "00_sample.md"
    path.write_text(text.replace(old, new, 1))
    problems = prove(read_sheet(path))
    assert any(says in problem for problem in problems), problems


def test_the_command_tells_bad_files_in_a_line(monkeypatch, tmp_path, capsys):
    bad = tmp_path / "x.md"
    bad.write_text("no front matter")
    assert command(monkeypatch, bad, tmp_path / "gone.md") == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(bad), str(tmp_path / "gone.md")]


def test_text_below_the_wrong_answers_would_be_handed_out(tmp_path):
    path = tmp_path / "00_sample.md"
    path.write_text(SAMPLE.read_text() + "\n## More wrong answers\n")
    assert any("stands below a wrong answer" in text for text in prove(read_sheet(path)))


def test_the_course_asks_for_more_than_the_format(tmp_path):
    text = SAMPLE.read_text()
    path = tmp_path / "00_sample.md"
    path.write_text(
        text[: text.index("+++")].replace("import torch\n", f"import torch  # {'x' * 80}\n")
    )
    sheet = read_sheet(path)
    assert prove(sheet, course=False) == []
    assert [problem.split(":")[0] for problem in prove(sheet)] == ["setup", "ex1", "ex2"]
