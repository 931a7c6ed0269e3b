"""Prompt box: type a prompt, watch the pictures come. It draws where a kernel runs."""

from collections.abc import Callable
from typing import Any

import traitlets
from anywidget.experimental import command

from mmcourse.widgets.base import CourseWidget, pixels
from mmcourse.widgets.prompt_grid import sheet

Tell = Callable[[Any], None]
Draw = Callable[[str, int, Tell], Any]


class PromptBox(CourseWidget):
    """A line to type in, a button, and what the model draws for it.

    In a page without a kernel the last pictures stand there, and a sentence says where it is
    alive.

    Attributes:
        prompt, seed: what the pictures were drawn from (shared with the page).
        problem: why nothing was drawn, such as a word that the model does not know.
    """

    _files = "prompt_box"

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(self, draw: Draw, prompt: str, *, seed: int = 0, caption: str = "") -> None:
        """Draw the first pictures and wait for more prompts.

        Args:
            draw: called as draw(prompt, seed, tell); gives pictures (count, 3, height, width) in
                [-1, 1], and may call tell(pictures) on the way there. A ValueError is shown to
                the reader.
            prompt, seed: of the first pictures.
            caption: a sentence below.

        Raises:
            ValueError: the first prompt cannot be drawn.
        """
        self._ask = draw
        self._pictures = _seen(draw(prompt, seed, lambda pictures: None))
        super().__init__(
            data=sheet(self._pictures[None]),
            shape=list(self._pictures.shape),
            prompt=prompt,
            seed=seed,
            caption=caption,
        )

    @command
    def draw(self, message: dict[str, Any], buffers: list[bytes]) -> tuple[Any, list[bytes]]:
        """What the page asks for: {"prompt", "seed"}; {} only asks whether somebody is there."""
        if message:
            self.ask(str(message["prompt"]), int(message["seed"]))
        return {"problem": self.problem}, []

    def ask(self, prompt: str, seed: int = 0) -> None:
        """Draw pictures and show them; what cannot be drawn is told in `problem`."""

        def show(pictures: Any) -> None:
            self._pictures = _seen(pictures)
            with self.hold_sync():
                self.problem, self.prompt, self.seed = "", prompt, seed
                self.shape = list(self._pictures.shape)
                self.data = sheet(self._pictures[None])

        try:
            show(self._ask(prompt, seed, show))
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


def _seen(pictures: Any) -> Any:
    found = pixels(pictures, "pictures", "count, channels, height, width")
    if found.shape[1] != 3 or len(found) > 16:
        raise ValueError(f"pictures must be at most 16 with 3 channels, got {found.shape}")
    return found
