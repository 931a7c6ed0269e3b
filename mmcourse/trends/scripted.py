"""Parts that follow a script: both worked examples of the paper's figure, without a model.

The scripted language model is no tape: it gives the right answer only once it has been told a
decisive caption, and the wrong one as long as it has not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmcourse.trends.see_think_confirm import Answer, Concept, Parts


class Script(NamedTuple):
    """A picture and what each part would say about it.

    Attributes:
        question, caption: of the whole picture.
        tags: names that the detector finds, surest first.
        attention: tags (their indices) in the order in which the language model asks for them.
        captions: of the regions, by index of the tag.
        decisive: the language model sees the answer once a text it is told holds these words.
        informed, uninformed: its answer from then on, and before.
        truth: what people answer.
        false_claims: sentences that the verifier refuses.
    """

    question: str
    caption: str
    tags: tuple[str, ...]
    attention: tuple[int, ...]
    captions: dict[int, str]
    decisive: str
    informed: Answer
    uninformed: Answer
    truth: str
    false_claims: tuple[str, ...]


TENNIS = Script(
    question="What is the fence meant to block?",
    caption="A man running across a tennis court holding a racquet.",
    tags=(
        "fence",
        "ball",
        "car",
        "house",
        "man",
        "roof",
        "bat",
        "tennis court",
        "shirt",
        "window",
    ),
    attention=(1, 7),
    captions={
        1: "Someone has a tennis racket and is about to hit a ball.",
        7: "Someone playing a sport on a tennis court.",
    },
    decisive="hit a ball",
    informed=Answer("ball", "The fence is meant to block the ball."),
    uninformed=Answer("cars", "The fence is meant to block cars."),
    truth="ball",
    false_claims=("The fence is meant to block cars.",),
)

LIVING_ROOM = Script(
    question="What is this wall used for?",
    caption="A living room with a couch a table and a lamp.",
    tags=("lamp", "wall", "door", "couch", "pillow", "pillow", "picture", "picture", "table"),
    attention=(6, 7),
    captions={
        6: "Someone is taking a picture of some art.",
        7: "There's a lamp and a picture hanging on the wall.",
    },
    decisive="some art",
    informed=Answer("art", "The wall is used for displaying art."),
    uninformed=Answer("sofa", "The wall is used for a sofa."),
    truth="art",
    false_claims=("The wall is used for a sofa.",),
)


def scripted_parts(script: Script) -> Parts:
    """Detector, captioner, language model and verifier that play the script; any image will do.

    Source: Chen et al. 2023, arXiv:2301.05226, figure 4, for `TENNIS` and `LIVING_ROOM`; the
        scores of the verifier, ±1, are ours.
    """
    steps = len(script.tags)
    concepts = [
        Concept(name, confidence=1 - i / steps, box=i) for i, name in enumerate(script.tags)
    ]

    def describe(_: Any, concept: Concept | None) -> str:
        if concept is None:
            return script.caption
        return script.captions.get(concept.box, f"There is a {concept.name}.")

    def attend(_: str, left: Sequence[Concept], __: Sequence[str]) -> int:
        places = [concept.box for concept in left]
        wanted = [place for place in script.attention if place in places]
        return places.index(wanted[0]) if wanted else 0

    def predict(_: str, context: Sequence[str]) -> Answer:
        told = any(script.decisive in text for text in context)
        return script.informed if told else script.uninformed

    def verify(_: Any, sentence: str) -> float:
        return -1.0 if sentence in script.false_claims else 1.0

    return Parts(lambda _: concepts, describe, attend, predict, verify)
