"""A page with widgets, written as the book writes it: for the browser tests of the widgets."""

import functools
import importlib.util
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ipywidgets.embed import dependency_state, embed_data
from playwright.sync_api import Locator, Page, expect
from torch import nn

from mmcourse.data import WordTokenizer
from mmcourse.diffusion.schedule import NoiseSchedule, cosine_betas, linear_betas
from mmcourse.inpage import PageModel, Part
from mmcourse.trends import TENNIS, Answer, Concept, Parts, scripted_parts, see_think_confirm
from mmcourse.visionlanguage import CLIP, ConvTower, TextTower
from mmcourse.widgets import (
    AttentionExplorer,
    AugmentationPlayground,
    BudgetPlanner,
    CapacityGrid,
    CaptionGaze,
    CaptionMatch,
    CodebookExplorer,
    DenoisingScrubber,
    DescentExplorer,
    DigitSteps,
    FlowScrubber,
    GuidanceGrid,
    LabelTree,
    LatentEditor,
    LatentPlane,
    MaskedPicture,
    MaskedWords,
    ModalityBoard,
    ModeScrubber,
    NoiseScheduleExplorer,
    PatchAttention,
    PretextGallery,
    PromptBox,
    PromptComparison,
    PromptGrid,
    Retrieval,
    SamplingExplorer,
    SimilarityMatrix,
    StyleMixer,
    TokenScrubber,
    TraceViewer,
    TrilemmaTriangle,
    WordAttention,
    ZeroShotBuilder,
)
from mmcourse.widgets.reader import Reader

HOST = Path(__file__).parents[1] / "mmcourse" / "widgets" / "static_host.js"
WORDS = ["The", "animal", "didn't", "cross", "the", "street"]
WORDS += ["because", "it", "was", "too", "tired", "."]


def weights(rows: int, columns: int, *, causal: bool = False, seed: int = 0) -> np.ndarray:
    """Attention weights (2 layers, 4 heads, rows, columns) with a pattern per head."""
    scores = np.random.default_rng(seed).normal(size=(2, 4, rows, columns)) * 1.3
    for head in range(4):
        for i in range(rows):
            scores[:, head, i, (i - head) % columns] += 2
    if causal:
        scores = np.where(np.tri(rows, columns, dtype=bool), scores, -np.inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(**options: Any) -> AttentionExplorer:
    """An explorer with three sentences: plain, causal, and between two languages."""
    english, korean = ["a", "large", "red", "circle"], ["크고", "빨간", "동그라미"]
    count = len(WORDS)
    sentences = [
        {"name": "Plain", "tokens": WORDS, "weights": weights(count, count)},
        {"name": "Causal", "tokens": WORDS, "weights": weights(count, count, causal=True)},
        {"name": "Korean", "tokens": english, "queries": korean, "weights": weights(3, 4)},
    ]
    presets = [
        {"name": "What is “it”?", "sentence": 0, "layer": 1, "head": 0, "pinned": 7},
        {"name": "No peeking", "sentence": 1, "pinned": 4, "note": "Later words are hidden."},
    ]
    return AttentionExplorer.from_sentences(sentences, **{"presets": presets, **options})


def scene(size: int = 24) -> np.ndarray:
    """A red disc on blue, (3, size, size) in [-1, 1]."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    disc = (x + 0.2) ** 2 + (y + 0.1) ** 2 < 0.3
    return np.where(disc, np.array([0.9, -0.6, -0.6])[:, None, None], [[[-0.4]], [[0.1]], [[0.6]]])


def noise(**options: Any) -> NoiseScheduleExplorer:
    """An explorer with the linear and the cosine schedule."""
    betas = {"linear": linear_betas(1000), "cosine": cosine_betas(1000)}
    schedules = {name: NoiseSchedule(beta).alpha_bar for name, beta in betas.items()}
    presets = [
        {"name": "Late", "step": 900, "slip": False},
        {"name": "The slip", "step": 900, "slip": True, "schedule": 2, "note": "Too much is left."},
    ]
    return NoiseScheduleExplorer(scene(), schedules=schedules, **{"presets": presets, **options})


def scrubber(**options: Any) -> DenoisingScrubber:
    """Two tracks of eleven frames with four pictures each."""
    clean = np.stack([np.roll(scene(12), shift, axis=-1) for shift in range(4)])
    grain = np.random.default_rng(0).normal(size=clean.shape)
    shares = np.linspace(0, 1, 11)
    noisy = [np.sqrt(s) * clean + np.sqrt(1 - s) * grain for s in shares]
    frames = np.stack([noisy, [s * clean for s in shares]]).clip(-1, 1)
    labels = [f"t = {t}" for t in np.linspace(999, 0, 11).round().astype(int)]
    named = {"labels": labels, "tracks": ["x_t", "x̂₀ predicted"], "curve": {"distance": 1 - shares}}
    presets = [{"name": "Half way", "frame": 5}]
    return DenoisingScrubber(frames, **named, **{"presets": presets, **options})


def patch_weights(pictures: int = 2, side: int = 4, seed: int = 0) -> np.ndarray:
    """Weights (3 layers, pictures, 2 heads, tokens, tokens): the deeper, the more decided."""
    tokens = 1 + side * side
    scores = np.random.default_rng(seed).normal(size=(3, pictures, 2, tokens, tokens))
    powers = np.exp(scores * np.arange(1, 4).reshape(3, 1, 1, 1, 1))
    return powers / powers.sum(-1, keepdims=True)


def patches(**options: Any) -> PatchAttention:
    """Two pictures of four by four patches, three layers of two heads."""
    images = np.stack([scene(24), np.roll(scene(24), 8, axis=-1)])
    presets = [
        {"name": "One patch", "pinned": 6, "layer": 0, "head": 0, "note": "Few look far."},
        {"name": "All layers", "pinned": 0, "layer": -1},
    ]
    options = {"names": ["left", "right"], "presets": presets, **options}
    return PatchAttention(images, patch_weights(), **options)


def holes(**options: Any) -> MaskedPicture:
    """Two pictures, three ratios and two masks each; every guess is the picture, faded."""
    images = np.stack([scene(24), np.roll(scene(24), 8, axis=-1)])
    order = np.random.default_rng(6).random((2, 3, 2, 36)).argsort(axis=-1).argsort(axis=-1)
    gone = order < np.array([9, 18, 27])[:, None, None]
    guesses = np.broadcast_to(0.6 * images[:, None, None], (2, 3, 2, 3, 24, 24))
    presets = [
        {"name": "A quarter", "ratio": 0, "note": "Little is missing."},
        {"name": "Another mask", "picture": 1, "ratio": 2, "mask": 1},
    ]
    named = {"ratios": [0.25, 0.5, 0.75], "names": ["left", "right"], "ratio": 1}
    options = {**named, "presets": presets, **options}
    return MaskedPicture(images, guesses, gone.reshape(2, 3, 2, 6, 6), **options)


def masked(**options: Any) -> MaskedWords:
    """An English and a Korean sentence; the marks at their ends cannot be hidden."""
    words = "[CLS] [SEP] my dog is hairy small cute cat 밤 감자 을 먹었다"
    vocabulary = words.split()
    sentences = []
    for name, text in (("English", "my dog is hairy"), ("Korean", "밤 을 먹었다")):
        tokens = ["[CLS]", *text.split(), "[SEP]"]
        scores = np.random.default_rng(len(tokens)).normal(size=(len(tokens), len(vocabulary)))
        for place, token in enumerate(tokens):
            scores[place, vocabulary.index(token)] += 2
        shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        shares[[0, -1]] = 0
        sentences.append({"name": name, "tokens": tokens, "probabilities": shares})
    presets = [
        {"name": "Hairy", "sentence": 0, "position": 4, "note": "What may a dog be?"},
        {"name": "밤", "sentence": 1, "position": 1},
    ]
    return MaskedWords(sentences, vocabulary, **{"presets": presets, **options})


def sampling(**options: Any) -> SamplingExplorer:
    """A tree of prefixes over twenty words, from two starts; "dog" and "moon" end texts."""
    text = "[BOS] a the old red cat dog sat ran on by my to in it mat sun moon sky ."
    words = text.split()
    prefixes = [[0], [0, 1], [0, 1, 3], [0, 1, 3, 5], [0, 1, 4], [2], [2, 5]]
    logits = np.random.default_rng(5).normal(size=(len(prefixes), len(words))) * 2
    for row, tokens in enumerate(prefixes):
        for longer in prefixes:
            if longer[:-1] == tokens:
                logits[row, longer[-1]] = 4 - 0.5 * (longer[-1] % 2)
    presets = [
        {"name": "Greedy", "temperature": 0.0, "top_k": 0, "top_p": 1.0},
        {"name": "Nucleus", "top_p": 0.9, "top_k": 0, "draws": 100, "note": "Few are left."},
    ]
    return SamplingExplorer(logits, prefixes, words, **{"prefix": 1, "presets": presets, **options})


def guidance(**options: Any) -> GuidanceGrid:
    """Two classes of four noises at nine scales; the pictures grow brighter with the scale."""
    scales = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0]
    noises = [np.roll(scene(10), shift, axis=-1) for shift in range(4)]
    classes = np.stack([noises, [np.flip(one, axis=0) for one in noises]])[:, :, None]
    shares = np.linspace(0.3, 1, 9).reshape(9, 1, 1, 1)
    curves = {"judge agrees": 1 - 0.9 ** np.arange(9), "coverage": np.linspace(0.9, 0.3, 9)}
    named = {"scales": scales, "labels": ["disc", "hole"], "curves": curves}
    presets = [
        {"name": "No guidance", "label": 0, "scale": 2, "note": "Varied."},
        {"name": "Too much", "label": 1, "seed": 3, "scale": 8},
    ]
    options = {"real": {"coverage": 0.93}, "presets": presets, **options}
    return GuidanceGrid(classes * shares, **named, **options)


def codebook(**options: Any) -> CodebookExplorer:
    """Two pictures of six by six places, twelve codes, a decoder that looks around."""
    images = np.stack([scene(24), np.roll(scene(24), 8, axis=-1)])
    cut = images.reshape(2, 3, 6, 4, 6, 4).transpose(0, 1, 3, 5, 2, 4).reshape(2, 48, 6, 6)
    places = cut.transpose(0, 2, 3, 1).reshape(-1, 48)
    book = np.random.default_rng(4).permutation(places)[:12] + np.linspace(-0.1, 0.1, 12)[:, None]
    layers = codebook_layers()
    presets = [
        {"name": "A corner", "picture": 0, "place": 0, "swap": -1},
        {"name": "Another code", "picture": 1, "place": 14, "swap": 5, "note": "Look around it."},
    ]
    options = {"names": ["left", "right"], "place": 8, "presets": presets, **options}
    return CodebookExplorer(images, cut, book, layers, **options)


def codebook_layers(d: int = 48, width: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    """Three small convolutions from d numbers to d."""
    random, sizes = np.random.default_rng(3), [(width, d, 3), (width, width, 3), (d, width, 1)]
    return [
        (random.normal(size=(out, into, k, k)) / (k * into**0.5), random.normal(size=out) / 10)
        for out, into, k in sizes
    ]


def tokens(**options: Any) -> TokenScrubber:
    """Two pictures written in sixteen codes of twelve; each code paints a colour."""
    random = np.random.default_rng(4)
    codes = random.integers(0, 12, size=(2, 4, 4))
    chances = random.dirichlet(np.ones(12) / 2, size=(2, 16))
    paint = random.uniform(-1, 1, size=(12, 3))
    after = np.arange(17)[:, None] > np.arange(16)  # (written, places)
    seen = np.where(after[None, :, :, None], paint[codes.reshape(2, 1, 16)], 1.0)
    pictures = seen.reshape(2, 17, 4, 4, 3).repeat(3, axis=2).repeat(3, axis=3)
    swatches = paint[:, :, None, None] * np.ones((2, 2))
    presets = [
        {"name": "Half", "written": 8, "note": "What comes next?"},
        {"name": "Done", "sample": 1, "written": 16},
    ]
    options = {"titles": ["a disc", "a ring"], "written": 5, "presets": presets, **options}
    return TokenScrubber(np.moveaxis(pictures, -1, 2), codes, chances, swatches, **options)


def word_maps(scenes: int = 2, steps: int = 5, side: int = 4, seed: int = 0) -> np.ndarray:
    """Weights (scenes, steps, rows, columns, 4 words): the later, the more decided."""
    scores = np.random.default_rng(seed).normal(size=(scenes, steps, side, side, 4))
    powers = np.exp(scores * np.arange(1, steps + 1).reshape(1, -1, 1, 1, 1) / 2)
    return powers / powers.sum(-1, keepdims=True)


def words(**options: Any) -> WordAttention:
    """Two captions of four words, and their pictures coming up in five steps."""
    discs = np.stack([scene(16), np.roll(scene(16), 5, axis=-1)])[:, None]
    pictures = discs * np.linspace(0.2, 1, 5).reshape(1, 5, 1, 1, 1)
    captions = [["a", "large", "red", "disc"], ["a", "large", "red", "hole"]]
    named = {"captions": captions, "labels": [f"step {i + 1} of 5" for i in range(5)]}
    presets = [
        {"name": "The colour", "word": 2, "note": "Who reads “red”?"},
        {"name": "At first", "scene": 1, "step": 0, "word": 3},
    ]
    return WordAttention(pictures, word_maps(), **named, **{"presets": presets, **options})


def prompts(**options: Any) -> PromptGrid:
    """Two prompts, three noises, six steps from grey to a disc."""
    noises = np.stack([np.roll(scene(16), 3 * shift, axis=-1) for shift in range(3)])[:, None]
    ways = noises * np.linspace(0.1, 1, 6).reshape(6, 1, 1, 1)
    pictures = np.stack([ways, ways[..., ::-1, :]])
    named = {
        "prompts": ["a red disc", "빨간 원"],
        "labels": [f"step {i + 1} of 6" for i in range(6)],
    }
    presets = [
        {"name": "The first step", "step": 0, "note": "What is decided already?"},
        {"name": "In Korean", "prompt": 1, "step": 5},
    ]
    verdicts = [["right", "right", "wrong"], ["wrong", "right", "right"]]
    options = {"verdicts": verdicts, "step": 3, "presets": presets, **options}
    return PromptGrid(pictures, **named, **options)


def pretext(**options: Any) -> PretextGallery:
    """Two pictures, all orders of four tiles; the surer, the further the picture was turned."""
    images = np.stack([scene(24), np.roll(scene(24), 8, axis=-1)])
    orders = list(itertools.permutations(range(4)))
    random = np.random.default_rng(6)
    turns = random.normal(size=(2, 4, 4)) + np.eye(4) * np.arange(4)[:, None]
    solved = random.normal(size=(2, 24, 24)) + 4 * np.eye(24)
    shares = [np.exp(scores) / np.exp(scores).sum(-1, keepdims=True) for scores in (turns, solved)]
    presets = [
        {"name": "Turned", "task": 0, "turn": 3, "note": "Which way is up?"},
        {"name": "Shuffled", "task": 1, "picture": 1, "order": 9},
    ]
    named = {"orders": orders, "names": ["disc on the left", "disc on the right"], "margin": 2}
    return PretextGallery(images, *shares, **named, **{"presets": presets, **options})


def draw_discs(prompt: str, seed: int, tell: Callable[[Any], None], **_: Any) -> np.ndarray:
    """Two discs, by way of darker ones; it knows "disc" and "hole" and no other word."""
    if prompt not in ("disc", "hole"):
        raise ValueError(f"unknown word {prompt!r}; the nearest known: disc, hole")
    discs = np.stack([np.roll(scene(16), shift + seed, axis=-1) for shift in (0, 5)])
    drawn = discs if prompt == "disc" else discs[:, :, ::-1]
    tell(0.3 * drawn)
    return drawn


def augmentation(**options: Any) -> AugmentationPlayground:
    """Two discs to crop, colour and blur."""
    images = np.stack([scene(24), np.roll(scene(24), 8, axis=-1)])
    presets = [
        {"name": "Crop", "operator": 1, "strength": 9, "note": "A part of it."},
        {"name": "Edges", "picture": 1, "operator": 9, "draw": 2},
    ]
    options = {"names": ["left", "right"], "presets": presets, **options}
    return AugmentationPlayground(images, **options)


def box(**options: Any) -> PromptBox:
    """A box that draws discs. It needs a kernel, so what is asked of every widget is not."""
    return PromptBox(draw_discs, "disc", **options)


def similarity(**options: Any) -> SimilarityMatrix:
    """Ten pictures and their captions; two captions nearly the same."""
    images = np.stack([np.roll(scene(16), 2 * shift, axis=-1) for shift in range(10)])
    random = np.random.default_rng(6)
    vectors = random.normal(size=(2, 10, 5)) * 0.5 + random.normal(size=(1, 10, 5))
    vectors[1, 3] = vectors[1, 7] + 0.02
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    presets = [
        {"name": "Sure", "question": 0, "scale": 7, "pair": 0, "note": "Nearly all on one."},
        {"name": "A caption asks", "question": 1, "scale": 3, "pair": 2},
    ]
    captions = [f"a disc at {2 * shift}" for shift in range(10)]
    options = {"scale": 4, "pair": 3, "presets": presets, **options}
    return SimilarityMatrix(images, unit[0] @ unit[1].T, captions, **options)


def retrieval(**options: Any) -> Retrieval:
    """Twelve pictures; texts in two languages that lie near one of them each."""
    images = np.stack([np.roll(scene(16), 2 * shift, axis=-1) for shift in range(12)])
    random = np.random.default_rng(8)
    own = random.normal(size=(12, 16))
    asked = own[[0, 3, 6], None] + 0.9 * random.normal(size=(3, 2, 16))
    own, asked = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (own, asked))
    presets = [
        {"name": "Found", "query": 0, "language": 0, "note": "The right one comes first."},
        {"name": "In Korean", "query": 1, "language": 1},
    ]
    named = {
        "names": [f"disc at {2 * shift}" for shift in range(12)],
        "queries": [[f"disc {place}", f"원판 {place}"] for place in (0, 3, 6)],
        "languages": ["English", "Korean"],
        "targets": [0, 3, -1],
        "query_vectors": asked,
    }
    return Retrieval(images, own, **named, **{"query": 2, "presets": presets, **options})


def labels(**options: Any) -> LabelTree:
    """Three pictures; six classes of two kinds, whose names say something else than the kinds."""
    random = np.random.default_rng(4)
    images = np.stack([np.roll(scene(16), 4 * shift, axis=-1) for shift in range(3)])
    scores = [1.5 * random.normal(size=(3, size)) for size in (12, 6)]
    shares = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in scores]
    words = ("tools", "plants", "food", "signs", "places", "faces")
    presets = [
        {"name": "Kinds alone", "picture": 0, "reweight": False, "note": "The best kind decides."},
        {"name": "With the class", "picture": 1, "reweight": True},
    ]
    named = {
        "names": ["disc, left", "disc, middle", "disc, right"],
        "classes": list(words),
        "kinds": [f"{size} {word}" for word in words for size in ("small", "large")],
        "parent": [place for place in range(6) for _ in range(2)],
        "truth": [1, 5, 2],
        "picture": 2,
    }
    return LabelTree(images, *shares, **{**named, "presets": presets, **options})


def comparison(**options: Any) -> PromptComparison:
    """Four pictures under a lamp; the later a prompt, the longer it holds out."""
    images = np.stack([np.roll(scene(16), 3 * shift, axis=-1) for shift in range(4)])
    levels = [0, 0.25, 0.5, 0.75, 1]
    lamp = np.array([0.3, 0, -0.3])[:, None, None] * np.reshape(levels, (5, 1, 1, 1))
    pictures = (0.7 * images[:, None] + lamp).clip(-1, 1)
    scores = np.random.default_rng(6).normal(size=(3, 4, 5, 6)) / 3
    for prompt in range(3):
        for place in range(4):
            scores[prompt, place, :, place] += 3 - (3 - prompt) * np.array(levels)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    presets = [
        {"name": "No lamp", "level": 0, "note": "All agree."},
        {"name": "Learned", "picture": 0, "prompt": 1, "level": 4},
    ]
    named = {
        "prompts": ["by hand", "learned", "by picture"],
        "levels": levels,
        "names": [[f"class {i}" for i in range(6)]] * 4,
        "targets": range(4),
        "dial": "Lamp",
    }
    options = {"picture": 1, "level": 2, "presets": presets, **options}
    return PromptComparison(pictures, shares, **named, **options)


# What is asked of every widget is asked of these: one line for a new one.
def flow(**options: Any) -> FlowScrubber:
    """Forty points of noise, sheared and shrunk by three maps, with a net."""
    random = np.random.default_rng(9)
    start, axis = random.normal(size=(40, 2)), np.linspace(-2, 2, 9)
    across = np.stack(np.meshgrid(axis, axis), -1)  # (9, 9, 2)
    net = np.concatenate([across, across.transpose(1, 0, 2)])
    maps = [np.array(m) for m in ([[1, 0], [0.8, 1]], [[0.5, 0], [0, 1]], [[1, -0.4], [0, 1.2]])]
    path, lines = [start], [net]
    logs = [-(start**2).sum(-1) / 2 - np.log(2 * np.pi)]
    for matrix in maps:
        path.append(path[-1] @ matrix.T)
        lines.append(lines[-1] @ matrix.T)
        logs.append(logs[-1] - np.log(abs(np.linalg.det(matrix))))
    presets = [
        {"name": "Squeezed", "step": 2, "note": "Half the area, twice the density."},
        {"name": "Another point", "step": 3, "point": 17},
    ]
    named = {"groups": (start[:, 0] > 0).astype(int), "names": ["left", "right"], "net": lines}
    options = {**named, "step": 1, "point": 4, "presets": presets, **options}
    return FlowScrubber(path, logs, **options)


def latent(**options: Any) -> LatentPlane:
    """Two networks: the disc moves over the plane, and brighter; codes in a ring."""
    y, x = np.mgrid[0:6, 0:6] / 2.5 - 1
    across, up = np.meshgrid(np.linspace(-0.7, 0.7, 9), np.linspace(-0.7, 0.7, 9))
    gaps = (x - across[..., None, None]) ** 2 + (y + up[..., None, None]) ** 2
    discs = np.exp(-4 * gaps)[:, :, None] * 2 - 1
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([2 * np.cos(angles), 1.5 * np.sin(angles)], axis=-1)
    presets = [
        {"name": "The middle", "network": 0, "column": 4, "row": 4, "note": "Nobody is here."},
        {"name": "A corner", "network": 1, "column": 8, "row": 8},
    ]
    named = {"names": ["VAE", "autoencoder"], "labels": [str(i % 10) for i in range(12)]}
    named["extents"] = [(-3.0, 3.0, -2.0, 2.0), (-6.0, 6.0, -4.0, 4.0)]
    options = {"column": 1, "row": 3, "presets": presets, **options}
    tiles, codes = np.stack([discs, 0.8 * discs]), np.stack([ring, 2.1 * ring])
    return LatentPlane(tiles, codes, **named, **options)


def small_decoder() -> nn.Module:
    """Latents (1, 2, 4, 4) to pictures (1, 3, 16, 16) in (-1, 1), by two layers."""
    torch.manual_seed(0)
    parts = nn.Conv2d(2, 48, 3, padding=1), nn.PixelShuffle(4), nn.Tanh()
    return nn.Sequential(*parts).eval()


def latents(**options: Any) -> LatentEditor:
    """Two latents, and each with its first channel at 0."""
    z = torch.randn(2, 2, 2, 4, 4, generator=torch.Generator().manual_seed(1)).half().float()
    z[:, 1] = z[:, 0]
    z[:, 1, 0] = 0
    with torch.no_grad():
        pictures = small_decoder()(z.flatten(0, 1)).unflatten(0, (2, 2))
    presets = [
        {"name": "Half of it", "scene": 1, "edit": 1, "channel": 0, "place": 5, "note": "Gone?"},
        {"name": "As it was", "scene": 0, "edit": 0, "channel": 1, "place": 0},
    ]
    names = {"names": ["a disc", "a hole"], "edits": ["as encoded", "channel 1 at 0"]}
    return LatentEditor(z, pictures, **names, **({"presets": presets} | options))


def ring(**options: Any) -> ModeScrubber:
    """Two trainings from the middle outwards: to eight modes, and to one of them."""
    turn = np.arange(64) * np.pi / 4
    ends = 2 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    goals = np.stack([ends, np.broadcast_to(ends[1], ends.shape)])
    grain = 0.05 * np.random.default_rng(7).uniform(-1, 1, size=(2, 1, 64, 2))
    samples = goals[:, None] * np.linspace(0, 1, 5).reshape(1, 5, 1, 1) + grain
    judged = np.broadcast_to(np.linspace(0, 1, 16), (2, 5, 12, 16))
    presets = [
        {"name": "All modes", "track": 0, "frame": 4, "note": "A fair share for each."},
        {"name": "One mode", "track": 1, "frame": 3},
    ]
    named = {"names": ["spread", "collapse"], "labels": [f"step {100 * i}" for i in range(5)]}
    options = {**named, "judged": judged, "frame": 2, "presets": presets, **options}
    return ModeScrubber(samples, ends[:8], radius=0.3, **options)


def mixer(**options: Any) -> StyleMixer:
    """Four sources: coarse moves a disc, middle sets its width, fine its brightness."""
    y, x = np.mgrid[0:8, 0:8] / 3.5 - 1
    places = x - (np.arange(4).reshape(4, 1, 1) - 1.5) * 0.4
    gaps = (places**2 + y**2)[:, None, None]
    widths = np.array([0.1, 0.25, 0.4, 0.6]).reshape(1, 4, 1, 1, 1)
    light = np.array([1.0, 1.3, 1.6, 2.0]).reshape(1, 1, 4, 1, 1)
    mixtures = (np.exp(-gaps / widths) * light - 1)[:, :, :, None]
    new = np.stack([0.3 * mixtures[:, 0, 0], mixtures[:, 1, 2]])
    old = new.reshape(2, 4, 1, 4, 2, 4, 2).mean(axis=(4, 6))
    presets = [
        {"name": "All from B", "coarse": 1, "middle": 1, "fine": 1, "note": "A source itself."},
        {"name": "Only the new", "coarse": 0, "moment": 0, "alpha": 10},
    ]
    named = {"names": list("ABCD"), "moments": ["at first", "at the end"]}
    named["seen"] = [f"number {i}" for i in range(64)]
    options = {"middle": 1, "fine": 1, "moment": 1, "alpha": 5, "presets": presets, **options}
    return StyleMixer(mixtures, old, new, **named, **options)


def triangle(**options: Any) -> TrilemmaTriangle:
    """Four models, two measures; two of them lie close together."""
    random = np.random.default_rng(11)
    scores = np.stack([random.uniform(0.1, 0.9, size=(4, 3)), random.uniform(size=(4, 3))])
    scores[0, 3] = scores[0, 2] + 0.01
    pictures = np.stack([np.roll(scene(8), 2 * i, axis=-1) for i in range(28)])
    said = [[[f"{row}-{j} of {part}" for j in range(3)] for row in range(4)] for part in range(2)]
    presets = [
        {"name": "No hurry", "third": 0, "note": "Everybody slides down."},
        {"name": "The other measure", "measure": 1, "model": 3, "third": 2},
    ]
    named = {"names": ["fast", "broad", "fine", "finer"], "measures": ["features", "pixels"]}
    options = {**named, "said": said, "model": 2, "presets": presets, **options}
    return TrilemmaTriangle(pictures.reshape(4, 7, *pictures.shape[1:]), scores, **options)


def board(**options: Any) -> ModalityBoard:
    """Two models, two levels of noise, two examples; the more is on, the more is right."""
    states = np.indices((3, 3, 3, 3))
    known = np.where(states > 0, 3 - states, 0).sum(axis=0) / 8
    shares = np.stack([0.5 + 0.3 * known, 0.5 + 0.5 * known])
    pictures = np.stack([np.roll(scene(16), 4 * i, axis=-1) for i in range(4)])
    time = np.linspace(0, 1, 64)
    sounds = np.stack([np.sin(2 * np.pi * (4 + 2 * i) * time) for i in range(4)])
    gauges = np.stack([np.stack([time - 0.5, np.sin(20 * time + i)]) for i in range(4)])
    examples = {
        "notes": [[f"note {i} at level {k}" for k in range(2)] for i in range(2)],
        "pictures": pictures.reshape(2, 2, 3, 16, 16),
        "sounds": sounds.reshape(2, 2, 64),
        "gauges": gauges.reshape(2, 2, 2, 64),
        "truths": ["truth 0", "truth 1"],
    }
    presets = [
        {"name": "All clean", "text": 1, "image": 1, "audio": 1, "sensor": 1},
        {"name": "One left", "text": 0, "image": 2, "audio": 0, "sensor": 0, "note": "Who copes?"},
    ]
    named = {"models": ["early", "late"], "levels": ["clean", "noisy"], "audio": 2}
    return ModalityBoard(shares, **{**named, **examples, "presets": presets, **options})


def capacity(**options: Any) -> CapacityGrid:
    """Two kinds of noise, three widths; without noise two of the four shares are missing."""
    random = np.random.default_rng(21)
    shares = np.sort(random.uniform(size=(2, 3, 3, 4, 4)), axis=3)
    shares[:, 0, :, :, 2:] = np.nan
    names = {"kinds": ["noisy pictures", "noisy labels"], "noises": ["0%", "40%", "80%"]}
    names |= {"widths": ["4", "16", "64"], "moments": [f"pass {k}" for k in (1, 3, 8, 20)]}
    names |= {"tracks": ["new digits", "real examples", "noise as told", "noise resisted"]}
    presets = [
        {"name": "Early", "moment": 0, "note": "Nothing is stored yet."},
        {"name": "By heart", "moment": 3, "track": 2, "noise": 2, "width": 2},
    ]
    options = {
        **names,
        "kind": 1,
        "noise": 1,
        "width": 1,
        "moment": 1,
        "presets": presets,
        **options,
    }
    return CapacityGrid(shares, **options)


def descent(**options: Any) -> DescentExplorer:
    """Six points of a parabola, fitted worst by as many features; and calmer with ridge."""
    x, grid = np.linspace(-0.9, 0.9, 6), np.linspace(-1, 1, 41)
    sizes = [1, 3, 6, 9, 40]
    swing = np.array([[0.5, 0.2, 4.0, 0.8, 0.3], [0.5, 0.2, 0.3, 0.3, 0.2]])
    fits = grid**2 + swing[..., None] * np.sin(9 * grid)
    presets = [
        {"name": "Just enough", "size": 2, "method": 0, "note": "The worst of all."},
        {"name": "Ridge", "size": 3, "method": 1},
    ]
    parts: dict[str, Any] = {
        "grid": grid,
        "truth": grid**2,
        "points": np.stack([x, x**2], axis=-1),
        "sizes": sizes,
        "methods": ["no ridge", "ridge λ = 0.1"],
        "train_error": np.maximum(0, [[0.3, 0.1, 0, 0, 0], [0.3, 0.1, 0.05, 0.04, 0.02]]),
        "test_error": swing**2 / 2,
        "size": 1,
        "presets": presets,
    }
    return DescentExplorer(fits, **{**parts, **options})


def planner(**options: Any) -> BudgetPlanner:
    """A published law and a small one, with ranges of their own."""
    laws = {
        "Besiroglu": (1.8172, 482.01, 2085.43, 0.3478, 0.3658),
        "ours": (0.6, 31, 92, 0.7, 0.66),
    }
    presets = [
        {"name": "GPT-3", "law": 0, "budget": 22, "size": 85, "note": "Is a smaller one better?"},
        {"name": "Ours", "law": 1, "budget": 12, "size": 30},
    ]
    ranges = [((18, 26), (7, 13)), ((5, 11), (2, 6))]
    given = {"units": ["tokens", "questions"], "budget": 20, "size": 60, "presets": presets}
    return BudgetPlanner(laws, ranges=ranges, **{**given, **options})


def traces(**options: Any) -> TraceViewer:
    """A disc whose colour is guessed first, with and without a verifier, and the tennis court."""
    boxes = ((2, 4, 14, 18), (-4, -4, 10, 8), (10, 10, 22, 22))
    concepts = [Concept("disc", 1 - i / 4, box) for i, box in enumerate(boxes)]

    def predict(question: str, context: Sequence[str]) -> Answer:
        blue = len(context) > 2
        return Answer("blue", "It is blue.") if blue else Answer("red", "It is red.")

    parts = Parts(
        detect=lambda image: concepts,
        describe=lambda image, one: f"A disc, {one.confidence:g}." if one else "Three discs.",
        attend=lambda question, left, context: 0,
        predict=predict,
        verify=lambda image, sentence: 0.9 if "blue" in sentence else -0.2,
    )
    checked = see_think_confirm(0, "What colour is it?", parts)
    believed = see_think_confirm(0, "What colour is it?", parts._replace(verify=None))
    tennis = see_think_confirm(0, TENNIS.question, scripted_parts(TENNIS))
    cases = [
        {"name": "Disc", "trace": checked, "truth": "blue", "picture": 0},
        {"name": "Disc, believed", "trace": believed, "truth": "blue", "picture": 0},
        {"name": "Tennis", "trace": tennis, "truth": TENNIS.truth},
    ]
    presets = [
        {"name": "Refused", "case": 0, "step": 4, "note": "It does not fit the picture."},
        {"name": "Believed", "case": 1, "step": 4},
    ]
    state = {"step": 6, "presets": presets, **options}
    return TraceViewer(cases, scene(24)[None], **state)


def gaze(**options: Any) -> CaptionGaze:
    """Two captions, of four words and of three, over a grid of four by four places."""
    pictures = np.stack([scene(16), np.roll(scene(16), 5, axis=-1)])
    random = np.random.default_rng(12)
    weights = random.dirichlet(np.full(16, 0.3), size=(2, 4))
    chances = np.sort(random.dirichlet(np.ones(4), size=(2, 4))[..., :3])[..., ::-1]
    presets = [
        {"name": "The shape", "scene": 0, "word": 2, "note": "Where does it look for “disc”?"},
        {"name": "The end", "scene": 1, "word": 2},
    ]
    named = {
        "grid": (4, 4),
        "words": [["a", "red", "disc", "[EOS]"], ["a", "disc", "[EOS]"]],
        "gates": random.uniform(size=(2, 4)),
        "guesses": [[["red", "disc", "hole"]] * 4] * 2,
        "titles": ["a red disc", "a disc"],
        "word": 1,
    }
    options = {**named, "presets": presets, **options}
    return CaptionGaze(pictures, weights, chances=chances, **options)


def digit_steps(**options: Any) -> DigitSteps:
    """Two walks of six stops over ten noise levels; the second stands still once."""
    power = np.linspace(0.95, 0.05, 10)
    grain = np.random.default_rng(5).normal(size=(1, 8, 8))
    disc = scene(8)[:1]

    def walk(steps: int, bend: float) -> list[int]:
        return [round(9 * (1 - i / steps) ** bend) for i in range(steps)] + [-1]

    walks = {"even": [walk(n, 1.0) for n in range(1, 9)]}
    walks["late"] = [[min(9, t + 2) if t > 4 else t for t in walk(n, 1.0)] for n in range(1, 9)]
    shares = [[1.0 if t < 0 else power[t] for t in ones[4]] for ones in walks.values()]
    held = [[np.sqrt(s) * disc + np.sqrt(1 - s) * grain for s in row] for row in shares]
    guess = [[s * disc for s in row] for row in shares]
    frames = np.stack([np.array(held), np.array(guess)], axis=2).clip(-1, 1)
    presets = [
        {"name": "The first guess", "shown": 1, "step": 0, "note": "Hardly a disc."},
        {"name": "Half way", "shown": 0, "step": 3},
    ]
    options = {"digit": 3, "seed": 7, "step": 2, "presets": presets, **options}
    return DigitSteps(frames, walks, power, **options)


TINY = {"width": 16, "depth": 1, "num_heads": 2}
KNOWN = {
    "words": ["a", "small", "red", "blue", "disc", "hole"],
    "말": ["a", "작은", "빨간", "원판"],
}


@functools.cache
def text_readers() -> list[Reader]:
    """Two untrained CLIPs of 16 × 16 pictures: one knows six words, one four, three of them Korean.

    Sized so that every row of a caption of five words fits, as do twelve prompts.
    """
    found = []
    for seed, (name, words) in enumerate(KNOWN.items()):
        torch.manual_seed(seed)
        tokens = WordTokenizer(words)
        text = TextTower(vocab_size=len(tokens), max_positions=8, end_id=tokens.eos, **TINY)
        image = ConvTower(channels=(8, 8), image_size=16, num_heads=2, blocks=0)
        clip = CLIP(image, text, embed_dim=8).eval().requires_grad_(False)
        torch.nn.init.normal_(text.tokens.weight)  # else all captions are nearly alike
        options = {"length": 7, "rows": 12, "part": f"text{seed}", "note": f"It knows {name}."}
        found.append(Reader(name, clip, tokens.encode, words, **options))
    return found


def text_model(name: str) -> PageModel:
    """The two of `text_readers` for a page."""
    return PageModel(name, {r.part: Part(r.texts, {"ids": r.example}) for r in text_readers()})


def discs() -> torch.Tensor:
    """Six discs, three of them blue on red: (6, 3, 16, 16)."""
    red = np.stack([np.roll(scene(16), 4 * shift, axis=-1) for shift in range(3)])
    return torch.from_numpy(np.concatenate([red, red[:, ::-1]])).float()


def matching(**options: Any) -> CaptionMatch:
    """Six discs; two captions are stored, one of them Korean."""
    presets = [
        {"name": "Red", "asked": 0, "note": "Which word matters?"},
        {"name": "In Korean", "asked": 1},
    ]
    named = {"names": [f"disc {i}" for i in range(6)], "marks": ["seen", *[""] * 5]}
    captions = [(0, "a small red disc"), (1, "빨간 원판")]
    options = {"presets": presets, **named, **options}
    return CaptionMatch(discs(), text_readers(), captions, **options)


def building(**options: Any) -> ZeroShotBuilder:
    """The same six; classifiers of two classes with and without a truth."""
    presets = [
        {"name": "Colours", "asked": 0, "note": "How many are right?"},
        {"name": "Nobody knows", "asked": 1},
    ]
    named = {
        "names": [f"{color} disc {i}" for color in ("red", "blue") for i in range(3)],
        "truths": [[color, "disc"] for color in ("red", "blue") for _ in range(3)],
        "attributes": ["red", "blue", "disc", "hole"],
    }
    stored = [(0, "red, blue", "a {} disc"), (1, "빨간, 작은 원판", "{}")]
    options = {"presets": presets, **named, **options}
    return ZeroShotBuilder(discs(), text_readers(), stored, **options)


# These have text to type and need a model for it, so what is asked of every widget is not.
LIVE: list[Callable[..., Any]] = [box, matching, building]

MAKERS: list[Callable[..., Any]] = [
    attention,
    augmentation,
    board,
    capacity,
    codebook,
    comparison,
    descent,
    digit_steps,
    flow,
    gaze,
    guidance,
    holes,
    labels,
    latent,
    latents,
    masked,
    mixer,
    noise,
    patches,
    planner,
    pretext,
    prompts,
    retrieval,
    ring,
    sampling,
    scrubber,
    similarity,
    tokens,
    traces,
    triangle,
    words,
]


def themes() -> list[str]:
    """The style sheets of the book's theme, as addresses of files."""
    found = []
    for package, path in [
        ("pydata_sphinx_theme", "theme/pydata_sphinx_theme/static/styles/pydata-sphinx-theme.css"),
        ("sphinx_book_theme", "theme/sphinx_book_theme/static/styles/sphinx-book-theme.css"),
    ]:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        found.append((Path(spec.origin).parent / path).as_uri())
    return found


def script(kind: str, content: Any) -> str:
    text = json.dumps(content).replace("</", "<\\/")
    return f'<script type="application/vnd.jupyter.{kind}+json">{text}</script>'


def states(widgets: Sequence[Any]) -> dict[str, Any]:
    """The state of these widgets (and of no other), as a notebook holds it."""
    needed = dependency_state(widgets, drop_defaults=False)
    return embed_data(views=widgets, state=needed)["manager_state"]


def page(
    path: Path,
    views: Sequence[Any],
    *,
    theme: str = "light",
    state: Any = None,
    host: str = HOST.as_uri(),
) -> str:
    """Write a page that shows the widgets (one may come twice); its address."""
    embedded = states(list(dict.fromkeys(views)))
    ids = [widget.model_id for widget in views]
    shown = "".join(
        f"<h2>Widget {i + 1}</h2>{script('widget-view', {'model_id': name})}"
        for i, name in enumerate(ids)
    )
    sheets = "".join(f'<link rel="stylesheet" href="{sheet}">' for sheet in themes())
    html = f"""<!DOCTYPE html><html lang="en" data-theme="{theme}" data-mode="{theme}">
<head><meta charset="utf-8"><title>Widgets</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{sheets}
<style>main {{ width: min(46rem, 100%); margin: 0 auto; padding: 1rem; }}</style></head>
<body><main class="bd-article"><h1>Widgets</h1>{shown}</main>
{script("widget-state", embedded if state is None else state)}
<script defer src="{host}"></script></body></html>"""
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


# ---- in a browser ----

# What is drawn: canvases and curves; in a widget that has neither, its lists of bars.
PICTURES = """host => {
  const canvases = Array.from(host.querySelectorAll("canvas"))
    .filter((c) => !c.closest("[hidden]")).map((c) => c.toDataURL());
  const curves = Array.from(host.querySelectorAll("svg:not(.mm-swatch)"), (s) => s.innerHTML);
  const bars = Array.from(host.querySelectorAll(".mm-shares, .mm-capacity"), (b) => b.innerHTML);
  const drawn = [...canvases, ...curves, ...bars];
  return drawn.length ? drawn : Array.from(host.querySelectorAll("ol"), (o) => o.innerHTML); }"""
DESCRIPTIONS = """host => Array.from(host.querySelectorAll("[role=img]"))
  .filter((node) => !node.closest("[hidden]")).map((node) => node.getAttribute("aria-label"))"""


def shown(opened: Page, index: int = 0) -> Locator:
    """A widget of the page, once it stands there."""
    found = opened.locator(".mm-host").nth(index)
    expect(found.locator(".mm-widget")).to_be_visible()
    expect(found.locator(".mm-summary")).not_to_be_empty()
    return found


def changes(widget: Locator, act: Callable[[], None], *, silent: bool = False) -> None:
    """Pictures and sentence differ after the act; if silent, pictures and their descriptions."""
    said = widget.locator(".mm-summary")
    pictures, sentence = widget.evaluate(PICTURES), said.inner_text()
    described = widget.evaluate(DESCRIPTIONS)
    act()
    if silent:
        assert widget.evaluate(DESCRIPTIONS) != described, "the descriptions stayed the same"
    else:
        expect(said).not_to_have_text(sentence)
    assert widget.evaluate(PICTURES) != pictures, "the picture stayed the same"
