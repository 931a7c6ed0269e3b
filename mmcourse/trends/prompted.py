"""A language model, text in and text out, in the two places of the loop that need one."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmcourse.trends.see_think_confirm import Answer, Concept

LanguageModel = Callable[[str], str]


class Example(NamedTuple):
    """A worked example for the prompt ("few-shot").

    Attributes:
        context: what was told.
        question: what was asked.
        answer: with its rationale.
        options: names to choose from, and `chosen`, the right one; for `attend_prompt`.
    """

    context: tuple[str, ...]
    question: str
    answer: Answer
    options: tuple[str, ...] = ()
    chosen: str = ""


def attend_prompt(
    question: str,
    options: Sequence[str],
    context: Sequence[str],
    examples: Sequence[Example] = (),
) -> str:
    """Ask which object has most to do with the question.

    Args:
        question: in words.
        options: names, in order of confidence.
        context: what was said so far.
        examples: worked ones, put before; those without options are left out.

    Returns:
        a text that ends where the model has to write a name.

    Source: the wording of the published program of arXiv:2301.05226 (`main_aokvqa.py`).
    """
    blocks = ["Please select the object most related to the question."]
    for told, asked, _, names, chosen in examples:
        if names:
            blocks.append(f"{_attend(told, asked, names)} {chosen}.")
    return "\n===\n".join([*blocks, _attend(context, question, options)])


def predict_prompt(question: str, context: Sequence[str], examples: Sequence[Example] = ()) -> str:
    """Ask for an answer and its rationale.

    Returns:
        a text that ends after "The answer is", where the model has to go on.

    Source: as `attend_prompt`.
    """
    blocks = ["Please answer the question according to the context."]
    for told, asked, answer, _, _ in examples:
        blocks.append(f"{_predict(told, asked)} {answer.text}. {answer.rationale}")
    return "\n===\n".join([*blocks, _predict(context, question)])


def read_choice(text: str, options: Sequence[str]) -> int:
    """Which option a completion names: the one named first; of equal names the first.

    A name counts where a word begins: "car" is not in "scar". Where two begin at the same letter,
    the longer counts: "tennis court" is not "tennis".

    Args:
        text: what the model wrote.
        options: names, at least one.

    Returns:
        index; 0, the surest concept, if none is named.

    Raises:
        ValueError: no options.
    """
    if not options:
        raise ValueError("need at least one option, got none")
    found: list[tuple[int, int, int]] = []
    for i, name in enumerate(options):
        place = re.search(rf"(?<!\w){re.escape(name)}", text, re.IGNORECASE)
        if place:
            found.append((place.start(), -len(name), i))
    return min(found, default=(0, 0, 0))[2]


def read_answer(text: str) -> Answer:
    """Split a completion: up to the first full stop the answer, then the rationale.

    Args:
        text: what the model wrote after "The answer is"; a repetition of these words, and what
            follows a blank line or "===", is cut off.
    """
    text = text.split("===")[0].strip().split("\n\n")[0]
    start = "the answer is"
    if text.casefold().startswith(start):
        text = text[len(start) :]
    answer, _, rationale = text.strip(" :\n").partition(".")
    return Answer(answer.strip(), " ".join(rationale.split()))


def attend_with(
    model: LanguageModel, examples: Sequence[Example] = ()
) -> Callable[[str, Sequence[Concept], Sequence[str]], int]:
    """The part `attend` of a language model: prompt, complete, read the choice."""

    def attend(question: str, concepts: Sequence[Concept], context: Sequence[str]) -> int:
        names = [concept.name for concept in concepts]
        return read_choice(model(attend_prompt(question, names, context, examples)), names)

    return attend


def predict_with(
    model: LanguageModel, examples: Sequence[Example] = ()
) -> Callable[[str, Sequence[str]], Answer]:
    """The part `predict` of a language model: prompt, complete, read answer and rationale."""

    def predict(question: str, context: Sequence[str]) -> Answer:
        return read_answer(model(predict_prompt(question, context, examples)))

    return predict


def _attend(context: Sequence[str], question: str, options: Sequence[str]) -> str:
    listed = ", ".join(options)
    return (
        f"Context: {' '.join(context)}\nQuestion: {question}\nOptions: {listed}\n"
        "The most related option is"
    )


def _predict(context: Sequence[str], question: str) -> str:
    return f"Context: {' '.join(context)}\nQuestion: {question}\nAnswer: The answer is"
