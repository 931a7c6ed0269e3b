"""DALL-E: pictures as words, and one language model over the caption and the picture."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.diffusion.vqvae import check_divisible, growing, shrinking
from mmcourse.multimodal.ids import check_ids
from mmcourse.transformers.cache import KeyValueCache
from mmcourse.transformers.generation import sample_token
from mmcourse.transformers.gpt import CausalStack

LOGITS = Float[Tensor, "batch codes rows columns"]
IMAGES = Float[Tensor, "batch channels height width"]
SPAN = "be whole numbers in 0 … {last}"  # of a message


def gumbel_noise(shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise: −log(−log u) for uniform u. Its largest entry picks by softmax.

    Source: Jang et al. 2017, arXiv:1611.01144, equation 1 and its footnote.
    """
    u = torch.rand(shape, generator=generator, dtype=torch.float64)
    return -(-u.clamp(min=1e-300).log()).log().float()


def gumbel_softmax(
    logits: LOGITS, temperature: float, noise: Float[Tensor, "batch codes rows columns"]
) -> LOGITS:
    """A draw of one code at each place, softened so that gradients pass.

    y = softmax( (logits + g) / τ ) over the codes

    As τ → 0 it becomes one-hot, with probabilities softmax(logits).

    Args:
        logits: (batch, codes, rows, columns).
        temperature: τ > 0.
        noise: g, standard Gumbel, shaped as the logits.

    Returns:
        Weights of the codes, shaped as the logits, with sum 1 over the codes.

    Raises:
        ValueError: τ ≤ 0, or the shapes differ.

    Source: Jang et al. 2017, arXiv:1611.01144, equation 2; Maddison et al. 2017,
        arXiv:1611.00712.
    """
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
    if logits.shape != noise.shape:
        raise ValueError(
            f"noise must have the logits' shape {tuple(logits.shape)}, got {tuple(noise.shape)}"
        )
    return ((logits + noise) / temperature).softmax(dim=1)


def kl_to_uniform(logits: LOGITS) -> Float[Tensor, "batch"]:
    """How far the choice of codes is from "all equally likely", summed over the places.

    KL = Σ_places ( log K + Σ_k q_k log q_k ),  from 0 to log K at each place, in nats

    Source: Ramesh et al. 2021, arXiv:2102.12092, §2.1 (the uniform prior of the first stage).
    """
    log_q = logits.log_softmax(dim=1)
    each = math.log(logits.shape[1]) + (log_q.exp() * log_q).sum(dim=1)
    return each.flatten(1).sum(dim=1)


class DalleDVAE(nn.Module):
    """The discrete VAE: a grid of *distributions* over codes instead of the nearest code.

    x → logits → Gumbel-softmax weights y → Σ_k y_k e_k → x̂;  loss = ‖x − x̂‖² + β KL(q, uniform)

    Args:
        channels: of the picture.
        width: channels inside.
        num_codes: size K of the codebook; 8192 in the paper.
        code_dim: width of a code.
        blocks: residual blocks on each side.
        downsamplings: how often height and width are halved; 3 in the paper (256 → 32).

    Source: Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation", arXiv:2102.12092, §2.1.
        Smaller, with mean squared error in place of its logit-Laplace likelihood.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 128,
        num_codes: int = 512,
        code_dim: int = 64,
        blocks: int = 2,
        downsamplings: int = 3,
    ) -> None:
        super().__init__()
        if num_codes < 2:
            raise ValueError(f"num_codes must be at least 2, got {num_codes}")
        self.factor, self.num_codes = 2**downsamplings, num_codes
        sizes = {"width": width, "blocks": blocks, "halvings": downsamplings}
        self.encoder = shrinking(channels, num_codes, **sizes)
        self.codebook = nn.Embedding(num_codes, code_dim)
        self.decoder = growing(code_dim, channels, **sizes)

    def logits(self, x: IMAGES) -> LOGITS:
        """Scores of the codes at each place.

        Raises:
            ValueError: height or width is not divisible by 2^downsamplings.
        """
        check_divisible(x, self.factor)
        return self.encoder(x)

    def forward(self, x: IMAGES, temperature: float, noise: Tensor) -> tuple[IMAGES, LOGITS]:
        """Reconstruction through softened draws, and the logits.

        Args:
            x: pictures.
            temperature: τ > 0, lowered during training (to 1/16 in the paper).
            noise: standard Gumbel (batch, codes, rows, columns), see `gumbel_noise`.
        """
        logits = self.logits(x)
        return self.decode_weights(gumbel_softmax(logits, temperature, noise)), logits

    def decode_weights(self, weights: LOGITS) -> IMAGES:
        """The picture of weights over the codes at each place."""
        mixed = torch.einsum("bkhw,kd->bdhw", weights, self.codebook.weight)
        return self.decoder(mixed)

    @torch.no_grad()
    def encode(self, x: IMAGES) -> Int[Tensor, "batch rows columns"]:
        """The likeliest code at each place."""
        return self.logits(x).argmax(dim=1)

    def decode(self, indices: Int[Tensor, "batch rows columns"]) -> IMAGES:
        """The picture that a grid of code numbers stands for.

        Raises:
            ValueError: a number that no code has.
        """
        check_ids(indices, self.num_codes, name="indices", span=SPAN)
        return self.decoder(rearrange(self.codebook(indices), "b h w d -> b d h w"))


class DallePrior(nn.Module):
    """One causal Transformer over the caption's tokens and then the picture's codes.

    log p(text, codes) = Σ log p(text_i | text before) + Σ log p(code_j | text, codes before)

    Args:
        text_vocab: number of text tokens.
        num_codes: number of picture codes.
        text_length: tokens of every caption, padding included (256 in the paper).
        grid: rows and columns of a picture's codes ((32, 32) in the paper).
        embed_dim, depth, num_heads, dropout: of the Transformer.

    Raises:
        ValueError: a size below 1.

    Source: Ramesh et al. 2021, arXiv:2102.12092, §2.2 and appendix B: causal over both parts,
        full attention in place of its sparse patterns, one learned position per token.
    """

    def __init__(
        self,
        *,
        text_vocab: int,
        num_codes: int,
        text_length: int,
        grid: tuple[int, int],
        embed_dim: int = 256,
        depth: int = 4,
        num_heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(text_vocab, num_codes, text_length, *grid) < 1:
            raise ValueError(
                f"sizes must be at least 1, got {text_vocab}, {num_codes}, {text_length}, {grid}"
            )
        self.text_vocab, self.num_codes = text_vocab, num_codes
        self.text_length, self.grid = text_length, grid
        self.text_embedding = nn.Embedding(text_vocab, embed_dim)
        self.code_embedding = nn.Embedding(num_codes, embed_dim)
        for embedding in (self.text_embedding, self.code_embedding):
            nn.init.normal_(embedding.weight, std=0.02)
        self.stack = CausalStack(
            embed_dim,
            depth,
            num_heads,
            max_positions=text_length + self.places - 1,
            dropout=dropout,
        )
        self.text_head = nn.Linear(embed_dim, text_vocab, bias=False)
        self.code_head = nn.Linear(embed_dim, num_codes, bias=False)

    @property
    def places(self) -> int:
        """Codes of a picture."""
        return self.grid[0] * self.grid[1]

    def forward(
        self, text: Int[Tensor, "batch length"], codes: Int[Tensor, "batch rows columns"]
    ) -> tuple[Float[Tensor, "batch rest text_vocab"], Float[Tensor, "batch places codes"]]:
        """Logits of text tokens 1, 2, … and of all codes, each from what comes before it.

        Args:
            text: token numbers (batch, text_length), padded to that length.
            codes: (batch, rows, columns), read row by row.

        Raises:
            ValueError: another length or grid, or a number out of range.
        """
        self._check_text(text)
        if tuple(codes.shape) != (len(text), *self.grid):
            raise ValueError(f"codes must be {(len(text), *self.grid)}, got {tuple(codes.shape)}")
        check_ids(codes, self.num_codes, name="codes", span=SPAN)
        line = rearrange(codes, "b h w -> b (h w)")
        # The last code predicts nothing, so it does not go in.
        parts = [self.text_embedding(text), self.code_embedding(line[:, :-1])]
        hidden = self.stack(torch.cat(parts, dim=1))
        last = self.text_length - 1  # the last text token predicts the first code
        return self.text_head(hidden[:, :last]), self.code_head(hidden[:, last:])

    def loss(
        self,
        text: Int[Tensor, "batch length"],
        codes: Int[Tensor, "batch rows columns"],
        *,
        text_weight: float = 1 / 8,
    ) -> Float[Tensor, ""]:
        """Mean cross-entropies in nats: 1/8 for the text, 7/8 for the picture.

        Raises:
            ValueError: the weight is outside [0, 1], or see `forward`.
        """
        if not 0.0 <= text_weight <= 1.0:
            raise ValueError(f"text_weight must be in [0, 1], got {text_weight}")
        text_logits, code_logits = self(text, codes)
        picture = F.cross_entropy(code_logits.flatten(0, 1), codes.flatten())
        if text_logits.shape[1] == 0:
            return (1 - text_weight) * picture
        words = F.cross_entropy(text_logits.flatten(0, 1), text[:, 1:].flatten())
        return text_weight * words + (1 - text_weight) * picture

    @torch.no_grad()
    def generate(
        self, text: Int[Tensor, "batch length"], **options: Any
    ) -> Int[Tensor, "batch rows columns"]:
        """Draw a picture's codes for each caption, one after another.

        Args:
            text: (batch, text_length).
            options: temperature, top_k, top_p, generator; see `sample_token`.

        Returns:
            (batch, rows, columns).
        """
        self._check_text(text)
        caches = [KeyValueCache(self.text_length + self.places) for _ in self.stack.blocks]
        x, drawn = self.text_embedding(text), []
        for _ in range(self.places):
            hidden = self.stack(x, caches)[:, -1]
            drawn.append(sample_token(self.code_head(hidden), **options))
            x = self.code_embedding(drawn[-1])[:, None]  # (batch, width) -> (batch, 1, width)
        return torch.stack(drawn, dim=1).reshape(-1, *self.grid)  # b (h w) -> b h w

    def _check_text(self, text: Tensor) -> None:
        if text.ndim != 2 or text.shape[1] != self.text_length or not len(text):
            raise ValueError(
                f"text must be (batch ≥ 1, {self.text_length}), got {tuple(text.shape)}"
            )
        check_ids(text, self.text_vocab, name="text", span=SPAN)
