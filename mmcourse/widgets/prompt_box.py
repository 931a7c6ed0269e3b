"""Prompt box: type a prompt, watch the pictures come, by a kernel or by the page itself."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets
from anywidget.experimental import command

from mmcourse.widgets.base import pixels
from mmcourse.widgets.live import LiveWidget
from mmcourse.widgets.prompt_grid import sheet

Tell = Callable[[Any], None]
Draw = Callable[..., Any]
OPTIONS = ("steps", "scale", "negative")


class PromptBox(LiveWidget):
    """A line to type in, a button, and what the model draws for it.

    In a page without a kernel the last pictures stand there. If the book has the model's files
    (see `mmcourse.inpage`), a button loads them, and the page draws by itself: the same picture
    as `TextToImage.generate` for the same settings. Otherwise a sentence says where it is alive.

    Attributes:
        prompt, seed, steps, scale, negative: what is drawn from (shared with the page).
        model: the name of the exported model that the page may load; empty for none.
        problem: why nothing was drawn, such as a word that the model does not know.
        words: what the model knows, for suggestions.
    """

    _files = "prompt_box"
    _also = ("model_host", "own_line", "veil")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    steps = traitlets.Int(10).tag(sync=True)
    scale = traitlets.Float(3.0).tag(sync=True)
    negative = traitlets.Unicode().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        draw: Draw,
        prompt: str,
        *,
        seed: int = 0,
        story: Callable[..., Any] | None = None,
        model: str = "",
        words: Sequence[str] = (),
        caption: str = "",
    ) -> None:
        """Draw the first pictures and wait for more prompts.

        Args:
            draw: called as draw(prompt, seed, tell, steps=…, scale=…, negative=…); gives pictures
                (count, 3, height, width) in [-1, 1], and may call tell(pictures) on the way
                there. A ValueError is shown to the reader.
            prompt, seed: of the first pictures.
            story: called as story(prompt, seed, steps=…, scale=…, negative=…) when a reader asks
                a kernel; gives pictures (steps, 3, height, width) in [-1, 1], maps (steps, rows,
                columns, words) and the words, see `mmcourse.studio.storyteller`. None: `draw` is
                called, and its pictures are shown without steps and words.
            model: the name of the exported model, such as "text-to-image".
            words: known ones, suggested while somebody types.
            caption: a sentence below.

        Raises:
            ValueError: the first prompt cannot be drawn.
        """
        self._ask, self._story = draw, story
        options = {"steps": 10, "scale": 3.0, "negative": ""}
        self._pictures = _seen(draw(prompt, seed, lambda pictures: None, **options))
        super().__init__(
            model=model,
            words=[str(word) for word in words],
            data=sheet(self._pictures[None]),
            shape=list(self._pictures.shape),
            prompt=prompt,
            seed=seed,
            caption=caption,
        )

    @command
    def draw(self, message: dict[str, Any], buffers: list[bytes]) -> tuple[Any, list[bytes]]:
        """What the page asks for: {"prompt", "seed", and perhaps "steps", "scale", "negative"}.

        {} only asks whether somebody is there. With a story the answer has the sizes of its
        pictures and maps, and the words; the numbers are in two buffers.
        """
        options = {name: message[name] for name in OPTIONS if name in message}
        if not message:
            return {"problem": self.problem}, []
        if self._story is None:
            self.ask(str(message["prompt"]), int(message["seed"]), **options)
            return {"problem": self.problem}, []
        try:
            told = self._story(str(message["prompt"]), int(message["seed"]), **options)
        except ValueError as error:
            return {"problem": str(error)}, []
        seen = _seen(told.pictures, most=50)
        maps = np.asarray(told.maps, dtype="<f4")
        sizes = {"pictures": list(seen.shape), "maps": list(maps.shape), "words": told.words}
        return {"problem": "", **sizes}, [seen.tobytes(), maps.tobytes()]

    def ask(
        self, prompt: str, seed: int = 0, *, steps: int = 10, scale: float = 3.0, negative: str = ""
    ) -> None:
        """Draw pictures and show them; what cannot be drawn is told in `problem`."""
        options = {"steps": int(steps), "scale": float(scale), "negative": str(negative)}

        def show(pictures: Any) -> None:
            self._pictures = _seen(pictures)
            with self.hold_sync():
                self.problem, self.prompt, self.seed = "", prompt, seed
                self.steps, self.scale, self.negative = int(steps), float(scale), str(negative)
                self.shape = list(self._pictures.shape)
                self.data = sheet(self._pictures[None])

        try:
            show(self._ask(prompt, seed, show, **options))
        except ValueError as error:
            self.problem = str(error)
        self.alt = self._describe()

    def _describe(self) -> str:
        """The sentence of the page."""
        count = self.shape[0]
        noun = "picture" if count == 1 else "pictures"
        return f"“{self.prompt}”: {count} {noun} from seed {self.seed}."

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        return image_grid(self._pictures / 127.5 - 1, columns=min(len(self._pictures), 4))


def _seen(pictures: Any, most: int = 16) -> Any:
    found = pixels(pictures, "pictures", "count, channels, height, width")
    if found.shape[1] != 3 or len(found) > most:
        raise ValueError(f"pictures must be at most {most} with 3 channels, got {found.shape}")
    return found
