"""The loop with scripted parts: both worked traces, every way it can end, and what it forgets."""

from collections.abc import Callable

import pytest
from helpers import rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.trends import (
    AGREED,
    LIVING_ROOM,
    OUT_OF_CONCEPTS,
    OUT_OF_ROUNDS,
    TENNIS,
    Answer,
    Concept,
    Example,
    Parts,
    Script,
    agreed,
    answer_at_once,
    attend_prompt,
    attend_with,
    predict_prompt,
    predict_with,
    read_answer,
    read_choice,
    scripted_parts,
    see_think_confirm,
    sentences,
    trace_lines,
)

plain = unchecked("mmcourse.trends.see_think_confirm")
plain_prompts = unchecked("mmcourse.trends.prompted")
IMAGE = object()


@pytest.mark.parametrize("script", [TENNIS, LIVING_ROOM], ids=["tennis", "living room"])
def test_worked_traces(script: Script) -> None:
    trace = see_think_confirm(IMAGE, script.question, scripted_parts(script))
    assert trace.answer == script.truth
    assert trace.ended == AGREED
    assert trace.confirmed
    assert trace.caption == script.caption
    assert [concept.name for concept in trace.concepts] == list(script.tags)
    assert [turn.attended.box for turn in trace.rounds] == list(script.attention)
    assert [turn.description for turn in trace.rounds] == list(script.captions.values())
    assert trace.rounds[-1].answer == script.informed
    assert answer_at_once(IMAGE, script.question, scripted_parts(script)) == script.uninformed


def test_tennis_line_by_line() -> None:
    assert trace_lines(see_think_confirm(IMAGE, TENNIS.question, scripted_parts(TENNIS))) == [
        "question: What is the fence meant to block?",
        "see: A man running across a tennis court holding a racquet.",
        "see: fence, ball, car, house, man, roof, bat, tennis court, shirt, window",
        "1 attend: ball",
        "1 describe: Someone has a tennis racket and is about to hit a ball.",
        "1 predict: ball",
        "1 confirm: The fence is meant to block the ball. (kept, score 1.00)",
        "2 attend: tennis court",
        "2 describe: Someone playing a sport on a tennis court.",
        "2 predict: ball",
        "2 confirm: The fence is meant to block the ball. (kept, score 1.00)",
        "answer: ball (confirmed; ended: the answer equals the one before)",
    ]


def test_two_pictures_are_two_concepts() -> None:
    """Removing what was attended to by its name would lose the second picture."""
    trace = see_think_confirm(IMAGE, LIVING_ROOM.question, scripted_parts(LIVING_ROOM))
    assert [turn.attended.name for turn in trace.rounds] == ["picture", "picture"]
    assert trace.rounds[0].description != trace.rounds[1].description


def parts(
    answers: list[Answer],
    *,
    concepts: int = 9,
    verify: Callable[[object, str], float] | None = None,
    heard: list[tuple[str, ...]] | None = None,
) -> Parts:
    """A language model that says `answers` one after another."""
    coming = iter(answers)

    def predict(question: str, context: tuple[str, ...]) -> Answer:
        if heard is not None:
            heard.append(context)
        return next(coming)

    return Parts(
        detect=lambda image: [Concept(f"thing {i}", 1 / (1 + i)) for i in range(concepts)],
        describe=lambda image, concept: f"seen: {concept.name if concept else 'all'}",
        attend=lambda question, left, context: 0,
        predict=predict,
        verify=verify,
    )


def says(*texts: str) -> list[Answer]:
    return [Answer(text, f"Because {text}.") for text in texts]


@pytest.mark.parametrize("strict", [False, True])
def test_a_verifier_that_always_refuses_ends_and_says_so(strict: bool) -> None:
    model = parts(says(*"abcdefghi"), verify=lambda image, sentence: -1.0)
    trace = see_think_confirm(IMAGE, "Why?", model, rounds=20, strict=strict)
    assert trace.ended == OUT_OF_CONCEPTS
    assert not trace.confirmed
    assert trace.answer == "i"
    assert "NOT confirmed" in trace_lines(trace)[-1]
    stubborn = parts(says(*"a" * 9), verify=lambda image, sentence: -1.0)
    trace = see_think_confirm(IMAGE, "Why?", stubborn, rounds=4, strict=strict)
    assert trace.ended == (OUT_OF_ROUNDS if strict else AGREED)
    assert not trace.confirmed


def test_strict_takes_the_last_confirmed_answer() -> None:
    def verify(image: object, sentence: str) -> float:
        return 1.0 if "good" in sentence else -1.0

    turns = says("bad", "bad", "good", "bad", "bad", "worse")
    loose = see_think_confirm(IMAGE, "Why?", parts(turns, verify=verify))
    assert (loose.answer, len(loose.rounds), loose.confirmed) == ("bad", 2, False)
    strict = see_think_confirm(IMAGE, "Why?", parts(turns, verify=verify), strict=True)
    assert (strict.answer, strict.ended, strict.confirmed) == ("good", OUT_OF_ROUNDS, True)


def test_ends() -> None:
    out = see_think_confirm(IMAGE, "Why?", parts(says(*"abcdefghi")), rounds=3)
    assert (out.ended, len(out.rounds), out.answer) == (OUT_OF_ROUNDS, 3, "c")
    last = see_think_confirm(IMAGE, "Why?", parts(says(*"abb"), concepts=3), rounds=3)
    assert last.ended == AGREED  # agreement in the last round counts
    none = see_think_confirm(IMAGE, "Why?", parts([], concepts=0))
    assert (none.ended, none.answer, none.confirmed, none.rounds) == (
        OUT_OF_CONCEPTS, "", False, (),
    )  # fmt: skip
    assert trace_lines(none)[-1].startswith("answer: none (NOT confirmed")
    same = see_think_confirm(IMAGE, "Why?", parts(says("Ball ", "ball")))
    assert same.ended == AGREED
    not_neighbours = see_think_confirm(IMAGE, "Why?", parts(says(*"abab")), rounds=4)
    assert not_neighbours.ended == OUT_OF_ROUNDS  # the round before, not any round


def test_the_context_grows_by_what_was_seen_and_what_was_kept() -> None:
    heard: list[tuple[str, ...]] = []
    turns = [Answer("a", "True one. False one."), Answer("b", ""), Answer("c", "x")]
    model = parts(turns, heard=heard, verify=lambda image, text: 1.0 - 2 * ("False" in text))
    trace = see_think_confirm(IMAGE, "Why?", model, rounds=3)
    assert heard[0] == ("seen: all", "seen: thing 0")
    assert heard[1] == ("seen: all", "seen: thing 0", "True one.", "seen: thing 1")
    assert heard[2] == (*heard[1], "seen: thing 2")
    assert [claim.kept for claim in trace.rounds[0].claims] == [True, False]
    assert not trace.rounds[1].confirmed  # no rationale, nothing confirmed
    assert tuple(turn.context for turn in trace.rounds) == tuple(heard)


def test_the_threshold_itself_does_not_suffice_nor_does_nan() -> None:
    for score, kept in ((0.3, False), (0.31, True), (float("nan"), False)):
        model = parts(says("a", "a"), verify=lambda image, text, score=score: score)
        trace = see_think_confirm(IMAGE, "Why?", model, threshold=0.3)
        assert trace.confirmed is kept
    unchecked_claims = see_think_confirm(IMAGE, "Why?", parts(says("a", "a"))).rounds[0].claims
    assert [(claim.score, claim.kept) for claim in unchecked_claims] == [(None, True)]


def test_concepts_are_offered_by_confidence() -> None:
    model = parts(says("a", "a"))._replace(
        detect=lambda image: [Concept("low", 0.1), Concept("high", 0.9)]
    )
    trace = see_think_confirm(IMAGE, "Why?", model)
    assert [turn.attended.name for turn in trace.rounds] == ["high", "low"]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), st.integers(1, 9))
def test_the_loop_stops_at_the_first_repetition(texts: list[str], rounds: int) -> None:
    trace = see_think_confirm(
        IMAGE, "Why?", parts(says(*texts), concepts=len(texts)), rounds=rounds
    )
    repeats = [i for i in range(1, len(texts)) if texts[i] == texts[i - 1]]
    expected = min(repeats[0] + 1 if repeats else len(texts), rounds, len(texts))
    assert len(trace.rounds) == expected
    assert (trace.ended == AGREED) == agreed(trace.rounds)
    attended = [turn.attended for turn in trace.rounds]
    assert len(set(attended)) == len(attended)  # nothing is looked at twice


def test_sentences() -> None:
    assert sentences("One is 3.5 wide. Two? Three!  four") == [
        "One is 3.5 wide.", "Two?", "Three!", "four",
    ]  # fmt: skip
    assert sentences("  ") == []


def test_prompts_word_for_word() -> None:
    shot = Example(("A dog.",), "What?", Answer("dog", "It barks."), ("cat", "dog"), "dog")
    without = Example(("A cat.",), "Who?", Answer("cat", "It meows."))
    asked = attend_prompt("Why?", ["ball", "car"], ["All.", "Part."], [shot, without])
    assert asked == (
        "Please select the object most related to the question.\n===\n"
        "Context: A dog.\nQuestion: What?\nOptions: cat, dog\nThe most related option is dog.\n"
        "===\nContext: All. Part.\nQuestion: Why?\nOptions: ball, car\nThe most related option is"
    )
    assert predict_prompt("Why?", ["All."], [shot]) == (
        "Please answer the question according to the context.\n===\n"
        "Context: A dog.\nQuestion: What?\nAnswer: The answer is dog. It barks.\n"
        "===\nContext: All.\nQuestion: Why?\nAnswer: The answer is"
    )


def test_completions_are_read() -> None:
    options = ["tennis", "tennis court", "car", "car"]
    assert read_choice("The Tennis Court.", options) == 1
    assert read_choice(" car, not tennis", options) == 2
    assert read_choice("a scar", options) == 0  # names nothing: the surest
    assert read_choice("a ball", ["fence", "ball"]) == 1
    assert read_answer(" ball. The fence\n blocks it.\n===\nContext:") == Answer(
        "ball", "The fence blocks it."
    )
    assert read_answer("The answer is art.") == Answer("art", "")
    assert read_answer("") == Answer("", "")


def test_a_language_model_of_text_alone() -> None:
    """The same loop with text in and text out reproduces the tennis trace."""

    def model(prompt: str) -> str:
        last = prompt.split("===")[-1]
        if "Options:" in last:
            return " ball." if ", ball" in last else " tennis court."
        if TENNIS.decisive in last:
            return " ball. The fence is meant to block the ball."
        return " cars. The fence is meant to block cars."

    scripted = scripted_parts(TENNIS)
    prompted = scripted._replace(attend=attend_with(model), predict=predict_with(model))
    by_text = see_think_confirm(IMAGE, TENNIS.question, prompted)
    assert by_text == see_think_confirm(IMAGE, TENNIS.question, scripted)


def test_bad_input() -> None:
    model = parts(says("a"))
    for question, rounds in (("  ", 3), ("Why?", 0)):
        with rejects("a question and rounds ≥ 1"):
            plain.see_think_confirm(IMAGE, question, model, rounds=rounds)
    for chosen in (-1, 9):
        wrong = model._replace(attend=lambda question, left, context, chosen=chosen: chosen)
        with rejects("attend must answer with 0 … 8"):
            plain.see_think_confirm(IMAGE, "Why?", wrong)
    with rejects("at least one option"):
        plain_prompts.read_choice("a", [])
