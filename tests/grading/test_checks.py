"""Checks in the learner's own kernel: verdicts, messages, values."""

import pytest
import torch
from torch import nn

from mmcourse.grading import check, checks, expect, rand, randint, randn, student
from mmcourse.grading.bank import execute
from mmcourse.grading.expect import CheckFailed


@pytest.fixture
def names():
    """The learner's names, with a backend that looks there."""
    before = checks.session.backend
    namespace: dict = {"torch": torch, "nn": nn}
    checks.session.backend = checks.LocalBackend(namespace)
    yield namespace
    checks.session.backend = before


def test_a_right_answer_prints_one_line(names, capsys):
    names["double"] = lambda x: 2 * x
    with check("ex1.value"):
        x = rand(3)
        expect.close(student.double(x), 2 * x)
    assert capsys.readouterr().out == "ok ex1.value\n"


def test_a_misconception_is_named_in_one_sentence(names):
    names["double"] = lambda x: x * x
    x = rand(3)
    with (
        pytest.raises(checks.NotYet, match=r"^ex1\.value: you squared$") as caught,
        check("ex1.value"),
    ):
        expect.not_close(student.double(x), x * x, "you squared")
    assert len(caught.value._render_traceback_()) == 1


@pytest.mark.parametrize("stub", [True, False], ids=["stub", "undefined"])
def test_the_unanswered_stays_a_not_implemented_error(names, stub):
    def double(x):
        raise NotImplementedError

    if stub:
        names["double"] = double
    with pytest.raises(NotImplementedError) as caught, check("ex1.value"):
        student.double(1)
    assert type(caught.value) is NotImplementedError
    assert "not answered yet" in caught.value._render_traceback_()[0]


CRASH = "# mmcourse: answer ex1\ndef double(x):\n    y = x\n    return y / 0\n"


def test_an_error_of_the_learner_shows_the_learners_own_line_and_no_other(names):
    execute(CRASH, "ex1", names)
    with pytest.raises(ZeroDivisionError) as caught, check("ex1.value"):
        student.double(1)
    first, second = caught.value._render_traceback_()
    assert checks.plain(first) == (
        "not yet ex1.value: your code raised ZeroDivisionError: division by zero"
    )
    assert second == "your line 4: return y / 0"


def test_an_error_deep_in_a_library_is_shown_at_the_learners_line(names):
    execute("def double(x):\n    return torch.ones(2, 3) @ x\n", "ex1", names)
    with pytest.raises(RuntimeError) as caught, check("ex1.value"):
        student.double(torch.ones(2, 3))
    lines = caught.value._render_traceback_()
    assert len(lines) == 2
    assert lines[1] == "your line 2: return torch.ones(2, 3) @ x"


@pytest.mark.parametrize("text", ["", "no row may be empty"], ids=["bare", "said"])
def test_an_assertion_of_the_learner_is_the_learners_error_with_its_line(names, text):
    line = f'assert x < 0, "{text}"' if text else "assert x < 0"
    execute(f"def double(x):\n    {line}\n    return 2 * x\n", "ex1", names)
    with pytest.raises(AssertionError) as caught, check("ex1.value"):
        student.double(1)
    first, second = caught.value._render_traceback_()
    assert "your code raised AssertionError" in checks.plain(first)
    assert text in first
    assert second == f"your line 2: {line}"


@pytest.mark.parametrize("text", ["", "the rows differ"])
def test_an_assertion_of_the_check_is_its_verdict(names, text):
    names["double"] = lambda x: 2 * x

    def compare(result):
        if result != 3:
            raise AssertionError(text)

    with pytest.raises(checks.NotYet, match=text or "an assertion failed"), check("ex1.value"):
        compare(student.double(1))


def test_a_call_that_does_not_fit_names_no_line(names):
    execute(CRASH, "ex1", names)
    with pytest.raises(TypeError) as caught, check("ex1.value"):
        student.double(1, 2)
    (line,) = caught.value._render_traceback_()
    assert "your code raised TypeError: double() takes 1" in line


def test_a_result_that_the_check_cannot_use_is_not_called_the_learners_error(names):
    names["double"] = lambda x: None
    with pytest.raises(AttributeError) as caught, check("ex1.value"):
        _ = student.double(1).shape
    (line,) = caught.value._render_traceback_()
    assert "the result cannot be used (AttributeError: 'NoneType'" in line


ALLOWED = "# mmcourse: answer ex1\ndef double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    "line",
    [
        "    return q_sample(x)",
        "    return diffusion.q_sample(x)",
        "    from mmcourse.diffusion import q_sample as f\n    return f(x)",
        "    f = q_sample\n    return f(x)",
        "    return list(map(q_sample, x))",
    ],
)
def test_a_call_that_is_not_allowed_is_refused_in_the_notebook(names, line):
    names["double"] = lambda x: 2 * x
    source = f"# mmcourse: answer ex1\ndef double(x):\n{line}\n"
    names["In"] = ["", ALLOWED, source, 'with check("ex1.value"): ...']
    with (
        pytest.raises(checks.NotYet, match=r"^ex1\.value: this answer may not use q_sample$"),
        check("ex1.value", forbid=["q_sample"]),
    ):
        student.double(1)


def test_the_newest_run_of_the_right_answer_cell_counts(names, capsys):
    names["double"] = lambda x: 2 * x
    other = "# mmcourse: answer ex2\nq_sample(1)"
    names["In"] = ["", ALLOWED.replace("2 * x", "q_sample(x)"), ALLOWED, other, "q_sample(1)"]
    with check("ex1.value", forbid=["q_sample"]):
        student.double(1)
    assert capsys.readouterr().out == "ok ex1.value\n"


def test_arguments_and_results_are_copies(names):
    names["fill"] = lambda x: x.fill_(7)
    with check("ex1.copy"):
        x = torch.zeros(2)
        y = student.fill(x)
        expect.close(x, torch.zeros(2))
        expect.close(y, torch.full((2,), 7.0))


def test_modules_are_handles_that_can_be_used(names):
    with check("ex1.module"):
        net = student.run("return nn.Sequential(nn.Linear(2, 3), nn.ReLU())")
        x = rand(4, 2)
        layer = net[0]
        expect.close(net(x), (x @ layer.weight.T + layer.bias).relu())
        expect.true(len(net) == 2, "two layers")
        expect.close(student.run("return m(x)", m=net, x=x), net(x))


def test_gradients_are_taken_over_there(names):
    names["square"] = lambda x: x**2
    with check("ex1.gradient"):
        x = rand(3)
        source = """
            x.requires_grad_()
            square(x).sum().backward()
            return x.grad
        """
        expect.close(student.run(source, x=x), 2 * x)


def test_inputs_depend_on_the_check_alone(names):
    def draw(key):
        with check(key):
            return rand(2), randn(2), randint(0, 9, (3,))

    for one, other in zip(draw("ex1.a"), draw("ex1.a"), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(draw("ex1.a")[0], draw("ex1.b")[0])
    numbers = randint(2, 4, (200,))
    assert set(numbers.tolist()) == {2, 3}


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: expect.tensor(None, "y"), "y should be a torch.Tensor, got None"),
        (lambda: expect.tensor(torch.tensor([float("nan")]), "y"), "y holds NaN"),
        (lambda: expect.shape(torch.ones(2), (2, 1), "y"), r"shape \(2, 1\), got \(2,\)"),
        (lambda: expect.close(torch.ones(2), torch.zeros(2), what="y"), "2 of 2 places"),
        (lambda: expect.close(torch.ones(2), torch.ones(3)), r"shape \(3,\), got \(2,\)"),
        (lambda: expect.close((1.0, 2.0), (1.0, 2.5)), r"\[1\] should be 2.5, got 2"),
        (lambda: expect.close({"a": 1}, {"b": 1}), "keys"),
        (lambda: expect.close([1.0], torch.ones(1)), "should be a torch.Tensor, got list"),
        (lambda: expect.close(None, 1.0), "got None"),
        (lambda: expect.close("x", "y"), "should be 'y', got 'x'"),
        (lambda: expect.not_close(1.0, 1.0, "the mistake"), "the mistake"),
        (lambda: expect.true(torch.tensor(False), "no"), "no"),
        (lambda: expect.raises(ValueError, lambda: 1, "say so"), "say so"),
        (lambda: expect.raises("ValueError", lambda: 1 / 0, "say so"), "ZeroDivisionError"),
    ],
)
def test_expectations_fail_in_one_sentence(ask, says):
    with pytest.raises(CheckFailed, match=says) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_expectations_pass_what_is_right():
    expect.close({"a": [1, (2.0, torch.ones(2))]}, {"a": [1, (2.0, torch.ones(2))]})
    expect.close(torch.ones(2, dtype=torch.float16), torch.ones(2))
    expect.close(3, 3.0)
    expect.not_close(torch.ones(2), torch.ones(3), "another shape is no such mistake")
    expect.raises(ValueError, lambda: int("x"), "it should")


def test_terminal_codes_and_control_characters_are_removed():
    assert checks.plain("\x1b[31mred\x1b[0m\x07\n<b>") == "red \n<b>"
    assert len(checks.plain("x" * 9000)) == 2000


def test_messages_hold_no_halves_of_characters_and_no_turned_writing():
    assert checks.plain("a\ud800b\u202ec\x9b2Jd\x00e") == "a?b c 2Jd e"
    checks.plain("\ud800").encode()


def test_a_list_of_giants_is_stopped_before_it_fills_the_memory(names, monkeypatch):
    monkeypatch.setattr(checks, "MAX_CHECK_BYTES", 10_000)

    class Endless:
        def __getitem__(self, _):
            return torch.zeros(1000)

    names["Endless"] = Endless
    with pytest.raises(checks.NotYet, match="larger than"), check("ex1.value"):
        list(student.Endless())


def test_a_value_that_cannot_cross_is_not_the_error_that_was_asked_for(names):
    deep = []
    deep.append(deep)
    names["refuse"] = lambda: deep
    with pytest.raises(checks.NotYet, match="nested"), check("ex1.value"):
        expect.raises(ValueError, lambda: student.refuse(), "refuse it")


def test_an_object_of_the_learners_is_never_a_true_condition(names):
    names["f"] = torch.nn.ReLU
    with pytest.raises(checks.NotYet, match="not true"), check("ex1.value"):
        expect.true(student.f(), "not true")


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (torch.ones(2) + 0j, "should hold real numbers, got complex ones"),
        (torch.ones(2).to_sparse(), "got one without plain numbers"),
        (torch.nn.ReLU(), "got ReLU"),
    ],
)
def test_an_odd_result_is_named(names, result, says):
    names["f"] = lambda: result
    with pytest.raises(checks.NotYet, match=says), check("ex1.value"):
        expect.close(student.f(), torch.ones(2))
