"""See, think, confirm: a loop in which a language model asks for what it wants to be told.

Nothing here is a network: the parts are callables, so that a real model, a rule or a script can
take each place, and what happened is data.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

AGREED = "the answer equals the one before"
OUT_OF_ROUNDS = "no rounds left"
OUT_OF_CONCEPTS = "no concepts left"


class Concept(NamedTuple):
    """Something that the detector found.

    Attributes:
        name: what it is; two of one name are two concepts.
        confidence: of the detector; the list is sorted by it.
        box: where it is, in whatever form detector and captioner share; None for a script.
    """

    name: str
    confidence: float = 1.0
    box: Any = None


class Answer(NamedTuple):
    """What the language model predicts.

    Attributes:
        text: a word or two.
        rationale: why, in sentences.
    """

    text: str
    rationale: str


class Claim(NamedTuple):
    """A sentence of a rationale, and what the verifier made of it.

    Attributes:
        sentence: as the language model said it.
        score: of the verifier; None without one.
        kept: whether the score is above the threshold (always, without a verifier).
    """

    sentence: str
    score: float | None
    kept: bool


class Round(NamedTuple):
    """One turn of the loop.

    Attributes:
        attended: the concept that the language model chose.
        description: what the captioner says about its region.
        context: all that the language model was told when it answered.
        answer: its answer and rationale.
        claims: the rationale's sentences, verified.
    """

    attended: Concept
    description: str
    context: tuple[str, ...]
    answer: Answer
    claims: tuple[Claim, ...]

    @property
    def confirmed(self) -> bool:
        """Whether a sentence of the rationale was kept."""
        return any(claim.kept for claim in self.claims)


class Trace(NamedTuple):
    """Everything that happened, see `see_think_confirm`.

    Attributes:
        question, caption, concepts: what the loop began with; concepts by confidence.
        rounds: in order; empty if nothing was detected.
        answer: the final one; "" if there was no round.
        confirmed: whether a sentence of the final answer's rationale was kept.
        ended: one of `AGREED`, `OUT_OF_ROUNDS`, `OUT_OF_CONCEPTS`.
    """

    question: str
    caption: str
    concepts: tuple[Concept, ...]
    rounds: tuple[Round, ...]
    answer: str
    confirmed: bool
    ended: str


class Parts(NamedTuple):
    """The pluggable parts.

    Attributes:
        detect: image → concepts.
        describe: (image, concept) → caption of its region; with None, of the whole image.
        attend: (question, concepts, context) → index of the one that has most to do with it.
        predict: (question, context) → answer with a rationale.
        verify: (image, sentence) → score, larger for a sentence that fits the image; None to
            believe everything.
    """

    detect: Callable[[Any], Sequence[Concept]]
    describe: Callable[[Any, Concept | None], str]
    attend: Callable[[str, Sequence[Concept], Sequence[str]], int]
    predict: Callable[[str, Sequence[str]], Answer]
    verify: Callable[[Any, str], float] | None = None


def see_think_confirm(
    image: Any,
    question: str,
    parts: Parts,
    *,
    rounds: int = 5,
    threshold: float = 0.0,
    strict: bool = False,
) -> Trace:
    """Look at one concept after another until the answer stays the same.

    See: concepts and a caption of the whole. Then in each round, think: *attend* to a concept not
    yet looked at, *describe* its region, *predict* from all that was said; and confirm: sentences
    of the rationale with score > threshold join the context of later rounds.

    Args:
        image: whatever the parts understand.
        question: in words.
        parts: the callables.
        rounds: at most so many, ≥ 1.
        threshold: a sentence is kept if its score is *above* it.
        strict: a round with no sentence kept neither agrees with its neighbours nor gives the
            final answer, unless no round is better. The published program does not ask this:
            there a refused rationale is only forgotten.

    Returns:
        the trace. A verifier that refuses everything cannot hold the loop up; the trace then
        says `confirmed` = False.

    Raises:
        ValueError: no question, rounds below 1, or a part that answers with an index that is not
            there.

    Source: Chen et al. 2023, "See, Think, Confirm", arXiv:2301.05226, and the published program
        (UMass-Foundation-Model/VisualCoT), whose stop rule this is.
    """
    if not question.strip() or rounds < 1:
        raise ValueError(f"need a question and rounds ≥ 1, got {question!r} and {rounds}")
    concepts = tuple(sorted(parts.detect(image), key=lambda concept: -concept.confidence))
    caption = parts.describe(image, None)
    left, context, done = list(concepts), [caption], []
    ended = OUT_OF_CONCEPTS
    while left:
        if len(done) == rounds:
            ended = OUT_OF_ROUNDS
            break
        concept = left.pop(attend(parts, question, left, context))
        description = parts.describe(image, concept)
        context.append(description)
        answer = parts.predict(question, tuple(context))
        claims = verify(parts, image, answer.rationale, threshold=threshold)
        done.append(Round(concept, description, tuple(context), answer, claims))
        context += [claim.sentence for claim in claims if claim.kept]
        if agreed(done, strict=strict):
            ended = AGREED
            break
    final = final_round(done, strict=strict)
    answer, confirmed = (final.answer.text, final.confirmed) if final else ("", False)
    return Trace(question, caption, concepts, tuple(done), answer, confirmed, ended)


def attend(parts: Parts, question: str, left: Sequence[Concept], context: Sequence[str]) -> int:
    """Index of the concept that the language model wants described next.

    Raises:
        ValueError: an index outside the concepts that are left.
    """
    chosen = parts.attend(question, tuple(left), tuple(context))
    if not 0 <= chosen < len(left):
        raise ValueError(f"attend must answer with 0 … {len(left) - 1}, got {chosen}")
    return chosen


def verify(
    parts: Parts, image: Any, rationale: str, *, threshold: float = 0.0
) -> tuple[Claim, ...]:
    """Judge a rationale sentence by sentence: kept if score > threshold.

    Args:
        parts: its `verify` scores; without one every sentence is kept.
        image: what the sentences should fit.
        rationale: sentences, see `sentences`.
        threshold: a score equal to it, or NaN, does not suffice.
    """
    if parts.verify is None:
        return tuple(Claim(sentence, None, True) for sentence in sentences(rationale))
    scored = [(s, float(parts.verify(image, s))) for s in sentences(rationale)]
    return tuple(Claim(sentence, score, score > threshold) for sentence, score in scored)


def agreed(rounds: Sequence[Round], *, strict: bool = False) -> bool:
    """The stop rule: the last answer equals that of the round before, letter case aside.

    Args:
        rounds: so far; one alone cannot agree.
        strict: both rounds must also be confirmed.
    """
    if len(rounds) < 2 or (strict and not all(turn.confirmed for turn in rounds[-2:])):
        return False
    before, last = (turn.answer.text.strip().casefold() for turn in rounds[-2:])
    return before == last


def final_round(rounds: Sequence[Round], *, strict: bool = False) -> Round | None:
    """The round whose answer counts: the last; if strict, the last that was confirmed, if any."""
    confirmed = [turn for turn in rounds if turn.confirmed] if strict else []
    candidates = confirmed or list(rounds)
    return candidates[-1] if candidates else None


def sentences(text: str) -> list[str]:
    """Split after each full stop, question or exclamation mark that a blank or the end follows."""
    found, start = [], 0
    for i, letter in enumerate(text):
        if letter in ".!?" and (i + 1 == len(text) or text[i + 1].isspace()):
            found.append(text[start : i + 1].strip())
            start = i + 1
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def answer_at_once(image: Any, question: str, parts: Parts) -> Answer:
    """The way without a loop: one caption and all names, then predict.

    Source: the baseline PICa (Yang et al. 2022, arXiv:2109.05014), which tells a language model a
        caption and tags.
    """
    concepts = sorted(parts.detect(image), key=lambda concept: -concept.confidence)
    names = ", ".join(concept.name for concept in concepts)
    return parts.predict(question, (parts.describe(image, None), f"There are: {names}."))


def trace_lines(trace: Trace) -> list[str]:
    """A trace as lines to read: what was seen, thought and confirmed, and why it ended."""
    names = ", ".join(concept.name for concept in trace.concepts) or "nothing"
    lines = [f"question: {trace.question}", f"see: {trace.caption}", f"see: {names}"]
    for number, turn in enumerate(trace.rounds, start=1):
        lines.append(f"{number} attend: {turn.attended.name}")
        lines.append(f"{number} describe: {turn.description}")
        lines.append(f"{number} predict: {turn.answer.text}")
        for claim in turn.claims:
            score = "not checked" if claim.score is None else f"score {claim.score:.2f}"
            verdict = "kept" if claim.kept else "refused"
            lines.append(f"{number} confirm: {claim.sentence} ({verdict}, {score})")
    sure = "confirmed" if trace.confirmed else "NOT confirmed"
    lines.append(f"answer: {trace.answer or 'none'} ({sure}; ended: {trace.ended})")
    return lines
