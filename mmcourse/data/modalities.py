"""Machines in a hall, each observed in four ways: a note, a photo, a recording, two gauges.

A machine has three hidden signs: it is hot, it is worn, it is fast. It must be stopped (label 1)
when two or all of them hold. No modality but the note shows all three, and a note leaves out:

            hot    worn   fast
    text    says each of them with chance 2/3
    image   red    star   –       colour and outline of the lamp on the front
    audio   –      rattle high    clicks, and the pitch of the hum
    sensor  warm   –      quick   a temperature, and a current that swings

So modalities agree where they show the same sign (consensus) and add up where they do not
(complementarity), and one alone cannot know the label however clean it is.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmcourse.data.observations import Level, Observations, levels
from mmcourse.data.renderer import render
from mmcourse.data.scenes import Object_, Scene

MODALITIES = ("text", "image", "audio", "sensor")
SIGNS = ("hot", "worn", "fast")
SHOWS = {
    "text": ("hot", "worn", "fast"),
    "image": ("hot", "worn"),
    "audio": ("worn", "fast"),
    "sensor": ("hot", "fast"),
}
"""Which of the signs each modality can show."""

NOTE_WORDS = (
    "[PAD]", "cool", "cold", "fresh", "hot", "warm", "glowing", "sound", "tidy", "new", "worn",
    "cracked", "loose", "slow", "calm", "lazy", "fast", "racing", "rushing", "the", "machine",
    "runs", "today", "seems", "again", "and", "looks",
)  # fmt: skip
"""The vocabulary of the notes: three words for no and three for yes, sign by sign, then words
that say nothing."""

NOTE_LENGTH, IMAGE_SIZE, AUDIO_LENGTH, SENSOR_LENGTH = 8, 16, 256, 32
_PLAIN = 19  # the first word that says nothing
_SAID = 2 / 3  # how likely a note is to say a sign

SIGN_TABLE = Bool[Tensor, "n 3"]


def observe_machines(
    count: int, *, noise: Level = 0.5, missing: Level = 0.0, generator: torch.Generator
) -> Observations:
    """Draw machines and observe each in all four modalities.

    Args:
        count: number of machines.
        noise: ≥ 0, for all modalities or by name. For image, audio and sensor the deviation of
            the Gaussian noise that is added (their signals are about 1); for text the chance that
            a word is replaced by any other (1 if above 1).
        missing: the chance that a cell is missing, for all or by name; see `Observations.lose`.
        generator: source of randomness.

    Returns:
        `values` with text (n, 8) word numbers, image (n, 3, 16, 16) and audio (n, 256) and
        sensor (n, 2, 32) as numbers around [-1, 1]; `labels` 1 = must be stopped;
        `hidden` (n, 3) the signs, in the order of `SIGNS`.

    Raises:
        ValueError: a count below 1, noise below 0, a chance outside [0, 1], an unknown name.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    text, *signals = levels("noise", noise, MODALITIES)
    levels("missing", missing, MODALITIES, most=1.0)
    signs = torch.rand(count, len(SIGNS), generator=generator) < 0.5
    values: dict[str, Tensor] = {"text": _notes(signs, min(text, 1.0), generator)}
    for name, level, draw in zip(MODALITIES[1:], signals, (_photos, _hums, _gauges), strict=True):
        clean = draw(signs, generator)
        values[name] = clean + level * torch.randn(clean.shape, generator=generator)
    labels = (signs.sum(dim=1) >= 2).long()
    whole = Observations(values, torch.ones(count, len(MODALITIES)).bool(), labels, signs)
    return whole.lose(missing, generator=generator)


def read_note(ids: Int[Tensor, "words"]) -> str:
    """The words of a note; a missing one is empty."""
    return " ".join(NOTE_WORDS[number] for number in ids.tolist() if number)


def machine_features(observations: Observations) -> dict[str, Float[Tensor, "n features"]]:
    """Each modality as one row of plain numbers, for networks of linear layers.

    text: how often each word occurs, X^{doc}_{term}; image: the numbers X^{color}_{x,y} in a row;
    audio: the size of each frequency, log(1 + |FFT|), as the phase of a hum tells nothing;
    sensor: the readings X^{sensor}_{time} in a row.

    Args:
        observations: of machines.

    Returns:
        a tensor for each modality; rows of missing cells are 0.
    """
    values, count = observations.values, len(observations)
    words = torch.nn.functional.one_hot(values["text"], len(NOTE_WORDS))[:, :, 1:]
    return {
        "text": words.sum(dim=1).float(),
        "image": values["image"].reshape(count, -1),
        "audio": torch.fft.rfft(values["audio"], norm="ortho").abs().log1p(),
        "sensor": values["sensor"].reshape(count, -1),
    }


def _notes(signs: SIGN_TABLE, noise: float, generator: torch.Generator) -> Int[Tensor, "n words"]:
    """For each sign one of its three words, or one that says nothing, among others like it."""
    count = len(signs)
    which = torch.randint(3, signs.shape, generator=generator)
    said = torch.rand(signs.shape, generator=generator) < _SAID
    meaning = 1 + 6 * torch.arange(len(SIGNS)) + 3 * signs.long() + which
    plain = torch.randint(_PLAIN, len(NOTE_WORDS), (count, NOTE_LENGTH), generator=generator)
    words = plain.clone()
    words[:, : len(SIGNS)] = torch.where(said, meaning, plain[:, : len(SIGNS)])
    order = torch.rand(words.shape, generator=generator).argsort(dim=1)
    anything = torch.randint(1, len(NOTE_WORDS), words.shape, generator=generator)
    replaced = torch.rand(words.shape, generator=generator) < noise
    return torch.where(replaced, anything, words.gather(1, order))


def _photos(signs: SIGN_TABLE, generator: torch.Generator) -> Float[Tensor, "n 3 16 16"]:
    """A lamp, red or blue, star or circle, anywhere in the picture and on any background."""
    places = 0.25 + 0.5 * torch.rand(len(signs), 2, generator=generator)
    large = torch.rand(len(signs), generator=generator) < 0.5
    scenes = [
        Scene((Object_(
            "star" if worn else "circle", "red" if hot else "blue",
            "large" if size else "small", (x, y),
        ),))
        for (hot, worn, _), (x, y), size in zip(
            signs.tolist(), places.tolist(), large.tolist(), strict=True
        )
    ]  # fmt: skip
    return render(scenes, IMAGE_SIZE)


def _hums(signs: SIGN_TABLE, generator: torch.Generator) -> Float[Tensor, "n 256"]:
    """A hum of 12–20 or 24–40 periods, and where worn a click every 16 samples or so."""
    base, phase, spacing, start = torch.rand(4, len(signs), 1, generator=generator)
    time = torch.arange(AUDIO_LENGTH)
    periods = (12 + 8 * base) * torch.where(signs[:, 2:], 2.0, 1.0)
    hum = torch.sin(2 * math.pi * (periods * time / AUDIO_LENGTH + phase))
    every = 12 + 8 * spacing
    clicks = ((time + every * start) % every < 1).float() * 2
    return 0.5 * hum + clicks * signs[:, 1:2]


def _gauges(signs: SIGN_TABLE, generator: torch.Generator) -> Float[Tensor, "n 2 32"]:
    """A temperature that drifts to −0.5 or +0.5, and a current that swings 2 or 5 times."""
    start, phase = torch.rand(2, len(signs), 1, generator=generator)
    time = torch.arange(SENSOR_LENGTH) / SENSOR_LENGTH
    end = torch.where(signs[:, :1], 0.5, -0.5)
    temperature = end + (start - 0.5) * torch.exp(-4 * time)
    swings = torch.where(signs[:, 2:], 5.0, 2.0)
    current = 0.7 * torch.sin(2 * math.pi * (swings * time + phase))
    return rearrange([temperature, current], "gauge n time -> n gauge time")
