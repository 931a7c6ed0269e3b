"""What is done with a text-to-image model: draw, lay out, save, judge."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from mmcourse.data import Scene, Shapes, describe_all, score
from mmcourse.diffusion import TextToImage
from mmcourse.diffusion.text_to_image import BATCH
from mmcourse.inpage import WatchedUNet

__all__ = [
    "BATCH",
    "SHARES",
    "agreement",
    "draw",
    "examination",
    "layout",
    "save_picture",
    "sketcher",
    "storyteller",
    "strip",
]

ATTRIBUTES = ("shape", "color", "both", "size", "relation", "count", "background", "all")
SHARES = (*ATTRIBUTES, "exact")  # what `agreement` tells
Pictures = Float[Tensor, "n channels height width"]


def agreement(pictures: Pictures, wanted: Sequence[Scene]) -> dict[str, float]:
    """How much of what was wanted the oracle finds in the pictures, each in [0, 1].

    The means of `score` over the pictures; "exact" is the share of pictures in which every
    object has its shape and its colour, and "all" of those without any mistake.

    Raises:
        ValueError: not one scene for each picture.
    """
    if len(pictures) != len(wanted) or not wanted:
        raise ValueError(f"need one scene for each picture, got {len(pictures)}, {len(wanted)}")
    scores = [
        score(seen, scene) for seen, scene in zip(describe_all(pictures), wanted, strict=True)
    ]
    table = {name: sum(s[name] for s in scores) / len(scores) for name in ATTRIBUTES}
    return {**table, "exact": sum(s["both"] == 1 for s in scores) / len(scores)}


def examination(
    model: Any,
    *,
    count: int = 200,
    steps: int = 10,
    scale: float = 3.0,
    seed: int = 1,
    subset: str = "full",
    pixels: int = 64,
) -> Iterator[dict[str, Any]]:
    """Judge a model by the oracle, a row at a time: objects × seen or held-out × language.

    Args:
        model: whatever has a method `generate` like that of `TextToImage`.
        count: captions of a row.
        steps, scale, seed: see `TextToImage.generate`.
        subset: of the world, see `Shapes`.
        pixels: of a picture's side.

    Yields:
        "objects", "pairs" ("seen" or "held-out"), "language", "captions", and `agreement`.
    """
    for objects in (1, 2, 3) if subset == "full" else (1, 2):
        for split, name in (("train", "seen"), ("held_out", "held-out")):
            # a seed apart from those of any training
            asked = Shapes(pixels, count, 10**9 + seed, objects=objects, subset=subset, split=split)
            scenes = asked.scenes(range(count))
            for language in ("en", "ko"):
                prompts = [asked.caption(i, language) for i in range(count)]
                pictures = model.generate(prompts, steps=steps, scale=scale, seed=seed)
                row = {"objects": objects, "pairs": name, "language": language, "captions": count}
                yield {**row, **agreement(pictures, scenes)}


def draw(
    model: TextToImage,
    prompts: Sequence[str],
    *,
    seeds: Sequence[int] = (0,),
    steps: int = 25,
    scale: float = 3.0,
    negative: str | None = None,
    on_step: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Pictures:
    """A picture for every prompt and seed: (prompts · seeds, channels, height, width)."""
    options = {"steps": steps, "scale": scale, "negative": negative, "on_step": on_step}
    columns = [model.generate(prompts, seed=seed, **options) for seed in seeds]
    return rearrange(torch.stack(columns), "seeds prompts c h w -> (prompts seeds) c h w")


def strip(
    model: TextToImage, prompt: str, *, frames: int = 6, steps: int = 25, **options: Any
) -> Float[Tensor, "frames channels height width"]:
    """The way from noise to picture: what the model expects the picture to be, step by step.

    Raises:
        ValueError: fewer than two frames, or more than steps.
    """
    if not 2 <= frames <= steps:
        raise ValueError(f"frames must be in 2 … steps = {steps}, got {frames}")
    seen: list[Tensor] = []
    last = model.generate(
        prompt, steps=steps, on_step=lambda step, z, z0: seen.append(z0), **options
    )
    chosen = torch.linspace(0, steps - 1, frames).long()
    with torch.no_grad():
        early = [model.model.decode(seen[i]).float().cpu() for i in chosen.tolist()[:-1]]
    return torch.cat([*early, last])


def sketcher(
    model: TextToImage, *, count: int = 4, steps: int = 10, scale: float = 3.0
) -> Callable[..., Pictures]:
    """What `widgets.PromptBox` wants: draw(prompt, seed, tell, …) gives `count` pictures.

    After every second step it tells what the model expects the pictures to be. Other steps, scale
    and what should not be seen (`negative`) may be asked for.
    """

    def draw(
        prompt: str,
        seed: int,
        tell: Callable[[Tensor], None],
        *,
        steps: int = steps,
        scale: float = scale,
        negative: str = "",
    ) -> Pictures:
        calls = itertools.count(1)

        def on_step(step: int, z: Tensor, z0: Tensor) -> None:
            if next(calls) % 2 == 0:
                with torch.no_grad():
                    tell(model.model.decode(z0).float().cpu())

        options: dict[str, Any] = {"steps": steps, "scale": scale, "negative": negative or None}
        return model.generate([prompt] * count, seed=seed, on_step=on_step, **options)

    return draw


class Story(NamedTuple):
    """How one picture came to be: see `storyteller`."""

    pictures: Float[Tensor, "steps channels height width"]  # what was expected, in [-1, 1]
    maps: Float[Tensor, "steps rows columns words"]  # where each word was read
    words: list[str]


def storyteller(model: TextToImage) -> Callable[..., Story]:
    """What `widgets.PromptBox` wants for a single picture: story(prompt, seed, steps=…, …).

    At each step stands the picture that the model expects, the last one being the picture
    itself, and the cross-attention of the same step: for each place a distribution over the
    caption's words, padding included, the mean over heads and over the layers with as many
    places as the latent.
    """

    @torch.no_grad()
    def tell(
        prompt: str, seed: int, *, steps: int = 10, scale: float = 3.0, negative: str = ""
    ) -> Story:
        device = next(model.model.parameters()).device
        ids = model.vocabulary.encode([prompt])
        channels = model.model.autoencoder.latent_channels
        generator = torch.Generator().manual_seed(seed)
        states = [torch.randn(1, channels, model.size, model.size, generator=generator).to(device)]
        expected: list[Tensor] = []

        def on_step(step: int, z: Tensor, z0: Tensor) -> None:
            states.append(z)
            expected.append(model.model.decode(z0).float().cpu())

        options: dict[str, Any] = {"steps": steps, "scale": scale, "negative": negative or None}
        last = model.generate(prompt, seed=seed, on_step=on_step, **options)
        context, watched = model.model.reader(ids.to(device)), WatchedUNet(model.model.unet)
        stops = torch.tensor(model.model.walk(steps)[:-1], device=device)
        seen = zip(states, stops.split(1), strict=False)
        maps = [watched(z, step, context)[1].float().cpu() for z, step in seen]
        words = [model.vocabulary.words[i - 2] for i in ids[0].tolist() if i > 1]
        return Story(torch.cat([*expected[:-1], last]), torch.cat(maps), words)

    return tell


def layout(
    pictures: Pictures, columns: int, *, gap: int = 2
) -> Float[Tensor, "channels rows columns"]:
    """Pictures in rows, left to right, on white: one picture (channels, height, width)."""
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    columns = min(columns, len(pictures))
    missing = -len(pictures) % columns
    padded = F.pad(pictures, (0, gap, 0, gap), value=1.0)
    padded = torch.cat([padded, padded.new_ones(missing, *padded.shape[1:])])
    whole = rearrange(padded, "(rows columns) c h w -> c (rows h) (columns w)", columns=columns)
    return whole[:, : whole.shape[1] - gap, : whole.shape[2] - gap]


def save_picture(
    picture: Float[Tensor, "3 height width"], path: str | Path, *, enlarge: int = 1
) -> None:
    """Write a picture in [-1, 1] as a file, each pixel as a square of `enlarge` pixels.

    Raises:
        ValueError: an ending that stands for no kind of picture.
    """
    from PIL import Image

    values = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte()
    image = Image.fromarray(rearrange(values, "c h w -> h w c").numpy())
    wide = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST)
    try:
        wide.save(path)
    except ValueError as error:
        raise ValueError(f"{path}: end the file's name in .png, .jpg or .webp") from error
