"""The recipes of the checkpoints that come with the package.

A recipe works in a folder and leaves there all that it needs to go on after a kill: the parts
that are finished, and every few minutes the state of the part in work.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmcourse.recipes import clip_openmoji, text_to_emoji
from mmcourse.recipes.clip import ClipRun
from mmcourse.recipes.clip_shapes import CLIP_SHAPES, ShapePairs
from mmcourse.recipes.resume import Tell
from mmcourse.recipes.run import Recipe, Run
from mmcourse.recipes.text_to_image import TEXT_TO_IMAGE, Scenes
from mmcourse.recipes.workshop import Workshop


def _emoji() -> tuple[type[Run], Recipe, Any]:
    recipe = text_to_emoji.recipe()
    return Workshop, recipe, text_to_emoji.EmojiWorld(recipe)


RECIPES: dict[str, Callable[[], tuple[type[Run], Recipe, Any]]] = {
    "text-to-image": lambda: (Workshop, TEXT_TO_IMAGE, Scenes()),
    "text-to-emoji": _emoji,
    "clip-shapes": lambda: (ClipRun, CLIP_SHAPES, ShapePairs()),
    "clip-openmoji": lambda: (ClipRun, clip_openmoji.recipe(), clip_openmoji.EmojiPairs()),
}
"""Of each checkpoint: how it is trained, and on what."""

__all__ = ["RECIPES", "Recipe", "run"]


def run(
    name: str,
    out: str | Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    device: str = "auto",
    tell: Tell = lambda stage, step, steps, loss: None,
) -> Path:
    """Train a checkpoint, or go on where an earlier run in the same folder ended.

    Args:
        name: of the recipe.
        out: folder for the checkpoint and all that is needed to go on.
        seed: another one gives another model.
        steps: updates of each training; None for the recipe's own.
        device: see `pick_device`.
        tell: called as tell(stage, step, steps, loss) after every update.

    Returns:
        The checkpoint's file; its card lies beside it.

    Raises:
        ValueError: no such recipe, or a folder in which another run was begun.
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}; there are {', '.join(sorted(RECIPES))}")
    make_run, recipe, world = RECIPES[name]()
    if steps is not None:
        recipe = replace(recipe, steps=dict.fromkeys(recipe.steps, steps))
    return make_run(recipe, world, Path(out), seed=seed, device=device, tell=tell).make()
