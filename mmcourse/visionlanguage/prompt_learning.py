"""Prompt learning: the words around a class name become vectors, and are trained (CoOp, CoCoOp)."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

FEATURES = Float[Tensor, "batch embed"]
LOGITS = Float[Tensor, "batch classes"]


@runtime_checkable
class TextReader(Protocol):
    """A CLIP with its tokenizer, such as `TrainedCLIP`."""

    model: Any  # CLIP

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Numbers (texts, tokens): first a start token, somewhere the end-of-text token."""
        ...


class ClassNames:
    """Class names as the frozen text tower sees them, with room for a context before each.

    Args:
        clip: a CLIP with its tokenizer; its weights are frozen here.
        names: of the classes, at least one.

    Raises:
        ValueError: no class, or a name that the tokenizer refuses.
    """

    def __init__(self, clip: TextReader, names: Sequence[str]) -> None:
        if isinstance(names, str) or not len(names):
            raise ValueError(f"class_names must be a list of at least one name, got {names!r}")
        clip.model.requires_grad_(False)
        self.clip, self.names = clip, list(names)
        self.ids = clip.tokenize(self.names)
        self.ends = clip.model.text.ends(self.ids)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, context: Float[Tensor, "rows m width"]) -> Float[Tensor, "rows embed"]:
        """Unit vectors of "context name", for every name in turn, over and over.

        Args:
            context: (k · classes, M, width): vectors that stand between the start token and the
                name, row i for class i mod classes.

        Raises:
            ValueError: context and name together are longer than the tower reads.
        """
        model, count = self.clip.model, context.shape[1]
        most = model.text.stack.positions.num_embeddings
        if count + self.ids.shape[1] > most:
            raise ValueError(
                f"{count} context vectors and {self.ids.shape[1]} tokens are more than the "
                f"{most} that the text tower reads"
            )
        times = len(context) // len(self)
        names = model.text.tokens(self.ids).repeat(times, 1, 1)  # (rows, tokens, width)
        x = torch.cat([names[:, :1], context.to(names.dtype), names[:, 1:]], dim=1)
        places = self.ends.repeat(times) + count
        sentence = model.text.stack(x)[torch.arange(len(x), device=x.device), places]
        return F.normalize(model.text_projection(sentence), dim=-1)


class PromptLearner(nn.Module):
    """CoOp: context vectors, trained on a few labelled pictures; CLIP itself is frozen.

    prompt_c = [start] v_1 … v_M [name of c] [end],   p(c | x) = softmax_c( s ⟨x, text(prompt_c)⟩ )

    The vectors live among the word vectors, but need not be any word's.

    Args:
        clip: a CLIP with its tokenizer, see `TextReader`; its weights are frozen.
        class_names: of the classes.
        num_context: M, number of vectors; not used with `init`.
        class_specific: vectors of its own for each class, rather than the same for all.
        init: words to begin with, such as "a photo of a", or vectors (M, width);
            None draws them from a normal of standard deviation 0.02.
        generator: source of that randomness.

    Raises:
        ValueError: no class, no context vector, or prompts longer than the tower reads.

    Source: Zhou et al. 2022, "Learning to Prompt for Vision-Language Models", arXiv:2109.01134,
        §3.2; starting values as in its published code. Names come last, with nothing after them.
    """

    def __init__(
        self,
        clip: TextReader,
        class_names: Sequence[str],
        *,
        num_context: int = 16,
        class_specific: bool = False,
        init: str | Float[Tensor, "m width"] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.classes = ClassNames(clip, class_names)
        start = first_context(clip, num_context, init, generator)
        if class_specific:
            start = repeat(start, "m width -> classes m width", classes=len(self.classes))
        self.context = nn.Parameter(start.clone())
        with torch.no_grad():
            self.text_features()  # prompts that are too long are told at once

    def text_features(self) -> Float[Tensor, "classes embed"]:
        """Unit vectors of the prompts, (classes, embed)."""
        context = self.context.expand(len(self.classes), *self.context.shape[-2:])
        return self.classes.read(context)

    def forward(self, image_features: FEATURES) -> LOGITS:
        """Scaled similarities (batch, classes) of pictures' unit vectors (batch, embed)."""
        return scale_of(self.classes.clip) * image_features @ self.text_features().T

    def for_classes(self, class_names: Sequence[str]) -> "PromptLearner":
        """The same context, a copy of it, for other classes.

        Raises:
            ValueError: the context belongs to its classes (class_specific).
        """
        if self.context.ndim == 3:
            raise ValueError("a class-specific context says nothing about other classes")
        return PromptLearner(self.classes.clip, class_names, init=self.context.detach())


class ConditionalPromptLearner(nn.Module):
    """CoCoOp: a small network moves the context vectors by what is seen in the picture.

    π(x) = W₂ ReLU(W₁ x + b₁) + b₂,   v_m(x) = v_m + π(x),   p(c | x) as in `PromptLearner`

    Every picture has prompts of its own: a batch of b costs b · classes prompts.

    Args:
        clip, class_names, init, generator: see `PromptLearner`.
        num_context: M, number of vectors; not used with `init`.
        reduction: the network's hidden layer is so many times narrower than its input.

    Raises:
        ValueError: as `PromptLearner`.

    Source: Zhou et al. 2022, "Conditional Prompt Learning for Vision-Language Models",
        arXiv:2203.05557, §3.2; the picture's vector is a unit vector, as in its published code.
    """

    def __init__(
        self,
        clip: TextReader,
        class_names: Sequence[str],
        *,
        num_context: int = 4,
        init: str | Float[Tensor, "m width"] | None = None,
        generator: torch.Generator | None = None,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"reduction must be at least 1, got {reduction}")
        self.classes, self.reduction = ClassNames(clip, class_names), reduction
        start = first_context(clip, num_context, init, generator)
        self.context = nn.Parameter(start.clone())
        width_in, width_out = clip.model.text_projection.out_features, start.shape[1]
        hidden = max(width_in // reduction, 1)
        self.meta_net = nn.Sequential(
            nn.Linear(width_in, hidden), nn.ReLU(), nn.Linear(hidden, width_out)
        ).to(start.device)
        _draw(self.meta_net, generator)
        with torch.no_grad():
            self.text_features(start.new_zeros(1, width_in))

    def text_features(self, image_features: FEATURES) -> Float[Tensor, "batch classes embed"]:
        """Unit vectors of the prompts for each picture, (batch, classes, embed)."""
        moved = self.context + self.meta_net(image_features)[:, None]  # (batch, M, width)
        rows = repeat(moved, "b m width -> (b classes) m width", classes=len(self.classes))
        vectors = self.classes.read(rows)
        return rearrange(vectors, "(b classes) embed -> b classes embed", b=len(moved))

    def forward(self, image_features: FEATURES) -> LOGITS:
        """Scaled similarities (batch, classes) of pictures' unit vectors (batch, embed)."""
        vectors = self.text_features(image_features)
        similar = torch.einsum("bd,bcd->bc", image_features, vectors)
        return scale_of(self.classes.clip) * similar

    def for_classes(self, class_names: Sequence[str]) -> "ConditionalPromptLearner":
        """The same context and network, copies of them, for other classes."""
        start, reduction = self.context.detach(), self.reduction
        again = ConditionalPromptLearner(
            self.classes.clip, class_names, init=start, reduction=reduction
        )
        again.load_state_dict(self.state_dict())
        return again


def first_context(
    clip: TextReader,
    num_context: int,
    init: str | Tensor | None,
    generator: torch.Generator | None,
) -> Float[Tensor, "m width"]:
    """Context vectors to begin with: of words, as given, or drawn from N(0, 0.02²).

    Raises:
        ValueError: fewer than one vector, or vectors of another width.
    """
    table = clip.model.text.tokens.weight.detach()
    if isinstance(init, str):
        ids = clip.tokenize([init])
        end = int(clip.model.text.ends(ids)[0])
        return table[ids[0, 1:end]]  # without start and end
    if init is None:
        if num_context < 1:
            raise ValueError(f"num_context must be at least 1, got {num_context}")
        start = 0.02 * torch.randn(num_context, table.shape[1], generator=generator)
    elif init.ndim != 2 or not len(init) or init.shape[1] != table.shape[1]:
        got = tuple(init.shape)
        raise ValueError(f"init must be vectors (M ≥ 1, {table.shape[1]}), got {got}")
    else:
        start = init
    return start.to(table.device, table.dtype)


def scale_of(clip: TextReader) -> Tensor:
    """CLIP's own factor of similarities, exp(logit_scale), which stays as it is."""
    return clip.model.logit_scale.exp()


def _draw(network: nn.Sequential, generator: torch.Generator | None) -> None:
    """Starting weights in ±1/√inputs, as PyTorch's own, from an explicit generator."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            for weight in (layer.weight, layer.bias):
                nn.init.uniform_(weight, -bound, bound, generator=generator)
