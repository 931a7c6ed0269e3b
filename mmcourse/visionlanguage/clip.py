"""CLIP: one tower reads pictures, one reads captions, and both point into the same space."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.ids import check_ids
from mmcourse.selfsupervision.contrastive import symmetric_info_nce
from mmcourse.transformers.block import TransformerBlock
from mmcourse.transformers.gpt import CausalStack
from mmcourse.weights import load_strict, read_checkpoint, read_tensors

IMAGES = Float[Tensor, "batch channels height width"]
TOKENS = Int[Tensor, "captions tokens"]
VECTORS = Float[Tensor, "pairs embed"]


def clip_loss(
    image_embeddings: VECTORS, text_embeddings: VECTORS, logit_scale: float | Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Which caption is whose, asked in both directions; row i of one belongs to row i of the other.

    S = exp(logit_scale) · I Tᵀ;  L = −½ mean_i[log softmax(S_i·)_i + log softmax(S_·i)_i]

    Args:
        image_embeddings, text_embeddings: this process's pairs, unit vectors (pairs, embed); with
            several processes, every one meets the vectors of all.
        logit_scale: the *log* of the inverse temperature; keep it at or below ln 100.

    Returns:
        The mean over all pairs, in nats: log N if nothing is known, 0 for a single pair. A caption
        that stands twice is its twin's negative, and costs both at least log 2. Vectors of zeros
        give a finite loss too.

    Raises:
        ValueError: no pairs, different shapes, or a scale that is not finite.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
    """
    scale = torch.as_tensor(logit_scale).exp()
    if not bool(scale.isfinite()):
        raise ValueError(f"exp(logit_scale) must be finite, got logit_scale {float(logit_scale)}")
    return symmetric_info_nce(image_embeddings, text_embeddings, scale.to(image_embeddings.device))


class TextTower(nn.Module):
    """A causal Transformer over the tokens of a caption.

    h = LN(blocks(E[ids] + P)); the sentence is h at the end-of-text token.

    Args:
        vocab_size: number of tokens.
        max_positions: longest caption.
        width, depth, num_heads: of the Transformer.
        end_id: the end-of-text token; None takes the largest number in each row, which is the
            end of text in the published vocabulary.
        block: activation, norm_eps and hidden_dim of the blocks.

    Raises:
        ValueError: a size that `CausalStack` refuses.

    Source: Radford et al. 2021, arXiv:2103.00020, §2.4; the stack and its starting values are
        those of GPT-2.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 49408,
        max_positions: int = 77,
        width: int = 512,
        depth: int = 12,
        num_heads: int = 8,
        end_id: int | None = None,
        **block: Any,
    ) -> None:
        super().__init__()
        block = {"activation": "quick_gelu", **block}
        self.end_id = end_id
        self.tokens = nn.Embedding(vocab_size, width)
        self.stack = CausalStack(width, depth, num_heads, max_positions=max_positions, **block)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, ids: TOKENS) -> Float[Tensor, "captions tokens width"]:
        """The vectors of all tokens, (batch, tokens, width).

        Raises:
            ValueError: no token, too many, or a number that no token has.
        """
        self._check(ids)
        return self.stack(self.tokens(ids))

    def sentence(self, ids: TOKENS) -> Float[Tensor, "captions width"]:
        """One vector a caption: that of its (first) end-of-text token.

        Raises:
            ValueError: a caption has no end-of-text token; and as `forward`.
        """
        ends = self.ends(ids)
        return self(ids)[torch.arange(len(ids), device=ids.device), ends]

    def ends(self, ids: TOKENS) -> Int[Tensor, " captions"]:
        """The place of each caption's (first) end-of-text token; raises as `sentence`."""
        self._check(ids)
        if self.end_id is None:
            return ids.argmax(dim=1)
        found = ids == self.end_id
        if not bool(found.any(dim=1).all()):
            raise ValueError(f"every caption needs the end-of-text token {self.end_id}")
        return found.int().argmax(dim=1)

    def _check(self, ids: Tensor) -> None:
        most = self.stack.positions.num_embeddings
        check_ids(
            ids,
            self.tokens.num_embeddings,
            form=f"be whole numbers (batch ≥ 1, 1 … {most} tokens)",
            fits=ids.ndim == 2 and len(ids) > 0 and 1 <= ids.shape[1] <= most,
            span="be from 0 to {last}",
        )

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "TextTower":
        """Load a published `CLIPTextModel`, as in the text_encoder folder of Stable Diffusion.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.visionlanguage.clip_checkpoint import text_arguments, text_names

        config, tensors = read_checkpoint(path_or_hub_id)
        tower = cls(**text_arguments(config))
        load_strict(tower, text_names(tensors))
        return tower.eval()


class ImageTower(nn.Module):
    """A Vision Transformer; the picture is the class token's vector.

    z = LN([class; patches] + P);  z ← block(z);  LN(z)[class]

    Unlike the `ViT` of chapter 3 it normalises before the first block too, and its patch
    embedding has no bias.

    Args:
        image_size, patch_size: in pixels; the second divides the first.
        channels: of the picture.
        width, depth, num_heads: of the Transformer.
        block: activation, norm_eps and hidden_dim of the blocks.

    Raises:
        ValueError: the patches do not fill the picture, or no block.

    Source: Radford et al. 2021, arXiv:2103.00020, §2.4.
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        patch_size: int = 32,
        channels: int = 3,
        width: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        **block: Any,
    ) -> None:
        super().__init__()
        if patch_size < 1 or image_size < patch_size or image_size % patch_size:
            raise ValueError(f"patch_size must divide {image_size}, got {patch_size}")
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        block = {"activation": "quick_gelu", **block}
        eps = block.get("norm_eps", 1e-5)
        self.image_size, self.width = image_size, width
        self.patches = nn.Conv2d(channels, width, patch_size, stride=patch_size, bias=False)
        self.class_token = nn.Parameter(width**-0.5 * torch.randn(width))
        count = (image_size // patch_size) ** 2
        self.positions = nn.Parameter(width**-0.5 * torch.randn(count + 1, width))
        self.pre_norm = nn.LayerNorm(width, eps=eps)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, num_heads, norm_first=True, **block) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(self, images: IMAGES) -> Float[Tensor, "batch d"]:
        """One vector a picture, (batch, width).

        Raises:
            ValueError: whole numbers, or another size or number of channels.
        """
        wanted = (self.patches.in_channels, self.image_size, self.image_size)
        if not images.is_floating_point() or tuple(images.shape[1:]) != wanted:
            raise ValueError(
                f"images must be float (batch, {', '.join(map(str, wanted))}), "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        patches = rearrange(self.patches(images), "b c h w -> b (h w) c")
        first = self.class_token.expand(len(patches), 1, -1)
        x = self.pre_norm(torch.cat([first, patches], dim=1) + self.positions)
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])


class CLIP(nn.Module):
    """Two towers and a projection each: pictures and captions as unit vectors of one space.

    similarity = exp(logit_scale) · ⟨image, text⟩

    Args:
        image, text: the towers; any module with a `width` that gives one vector a picture will do.
        embed_dim: width of the common space.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3. The temperature starts at 0.07 and is
        held at or above 0.01 by the trainer, not by the model.
    """

    def __init__(self, image: nn.Module, text: TextTower, *, embed_dim: int = 512) -> None:
        super().__init__()
        if embed_dim < 1:
            raise ValueError(f"embed_dim must be at least 1, got {embed_dim}")
        self.image, self.text = image, text
        widths: tuple[int, int] = (image.width, text.tokens.embedding_dim)  # pyright: ignore
        self.image_projection, self.text_projection = (
            nn.Linear(width, embed_dim, bias=False) for width in widths
        )
        for layer, width in zip((self.image_projection, self.text_projection), widths, strict=True):
            nn.init.normal_(layer.weight, std=width**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, images: IMAGES) -> Float[Tensor, "batch embed"]:
        """Unit vectors of pictures, (batch, embed_dim)."""
        return F.normalize(self.image_projection(self.image(images)), dim=-1)

    def encode_text(self, ids: TOKENS) -> Float[Tensor, "captions embed"]:
        """Unit vectors of captions, (batch, embed_dim)."""
        return F.normalize(self.text_projection(self.text.sentence(ids)), dim=-1)

    def forward(self, images: IMAGES, ids: TOKENS) -> Float[Tensor, "batch captions"]:
        """Similarity of every picture (rows) with every caption (columns), scaled."""
        scale = self.logit_scale.exp()
        return scale * self.encode_image(images) @ self.encode_text(ids).T

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "CLIP":
        """Load a published `CLIPModel` checkpoint (config.json and safetensors).

        Args:
            path_or_hub_id: a folder, or a hub id such as "openai/clip-vit-base-patch32".

        Returns:
            The model in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        from mmcourse.visionlanguage.clip_checkpoint import from_huggingface

        config, tensors = read_checkpoint(path_or_hub_id)
        return cls._loaded(*from_huggingface(config, tensors))

    @classmethod
    def from_open_clip(
        cls,
        source: Mapping[str, Tensor] | str | Path,
        *,
        quick_gelu: bool = False,
        num_heads: tuple[int, int] | None = None,
    ) -> "CLIP":
        """Load the state dict of an open_clip model with two Transformer towers.

        Args:
            source: the state dict, or a .safetensors file of it.
            quick_gelu: whether it was trained with x · sigmoid(1.702 x), as OpenAI's were;
                the weights leave no trace of it.
            num_heads: of the image and the text tower; by default width / 64.

        Returns:
            The model in evaluation mode.

        Raises:
            ValueError: no such file, or another architecture.
        """
        from mmcourse.visionlanguage.clip_checkpoint import from_open_clip

        if not isinstance(source, Mapping):
            source = read_tensors(source)
        return cls._loaded(*from_open_clip(source, quick_gelu, num_heads))

    @classmethod
    def _loaded(cls, sizes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "CLIP":
        towers = ImageTower(**sizes["image"]), TextTower(**sizes["text"])
        model = cls(*towers, embed_dim=sizes["embed_dim"])
        load_strict(model, tensors)
        return model.eval()
