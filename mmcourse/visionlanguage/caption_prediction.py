"""Two ways to learn from captions that CLIP gave up: predict their words, in order or in a bag.

Both read a picture's features and predict the text itself. A caption can then be scored for a
picture, which makes them zero-shot classifiers that can be compared with CLIP.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.ids import check_ids
from mmcourse.transformers.attention import causal_mask
from mmcourse.transformers.decoder import DecoderBlock

TOKENS = Int[Tensor, "captions tokens"]
BAGS = Float[Tensor, "captions vocabulary"]


class CaptionDecoder(nn.Module):
    """p(next word | words so far, picture), by a Transformer that looks at the picture's places.

    x = E[ids] + P;  memory = W f;  x ← decoder block(x, memory);  logits = LN(x) Eᵀ

    Args:
        vocab_size: number of tokens.
        max_positions: longest caption.
        feature_dim: width of the picture's features f.
        width, depth, num_heads: of the Transformer.

    Raises:
        ValueError: a size below 1, or heads that do not divide `width`.

    Source: Desai & Johnson 2021 (VirTex), arXiv:2006.06666, §3. Deviations: the blocks normalise
        first, and captions are read from left to right only; VirTex adds a second decoder that
        reads from right to left.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        max_positions: int,
        feature_dim: int,
        width: int = 512,
        depth: int = 1,
        num_heads: int = 8,
    ) -> None:
        super().__init__()
        sizes = (vocab_size, max_positions, feature_dim, width, depth)
        if min(sizes) < 1:
            raise ValueError(f"sizes must be at least 1, got {sizes}")
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(max_positions, width)
        self.memory = nn.Linear(feature_dim, width)
        self.blocks = nn.ModuleList(
            DecoderBlock(width, num_heads, norm_first=True, activation="gelu") for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=0.02)

    def forward(
        self, features: Float[Tensor, "captions places features"], ids: TOKENS
    ) -> Float[Tensor, "captions tokens vocabulary"]:
        """Scores of the word that follows each token.

        Args:
            features: of the pictures, (batch, places, feature_dim).
            ids: their captions, one for each picture.

        Raises:
            ValueError: another number of captions than of pictures, no token, too many, or a
                number that no token has.
        """
        most = self.positions.num_embeddings
        check_ids(
            ids,
            self.tokens.num_embeddings,
            form=f"be whole numbers (one caption a picture, 1 … {most} tokens)",
            fits=ids.ndim == 2 and len(ids) == len(features) and 1 <= ids.shape[1] <= most,
        )
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        memory = self.memory(features)
        mask = causal_mask(ids.shape[1], device=ids.device)
        for block in self.blocks:
            x = block(x, memory, mask)
        return self.norm(x) @ self.tokens.weight.T


def caption_log_likelihood(
    logits: Float[Tensor, "captions tokens vocabulary"], ids: TOKENS, *, pad_id: int
) -> Float[Tensor, "captions"]:
    """log p(caption | picture) = Σ_k log p(w_k | w_<k, picture), one number a caption.

    The first token is given, not predicted; padding counts nothing.

    Args:
        logits: what `CaptionDecoder` says of `ids`.
        ids: the captions.
        pad_id: the token that fills up short captions.

    Raises:
        ValueError: the two do not belong together.

    Source: as `caption_loss`.
    """
    if logits.shape[:-1] != ids.shape:
        raise ValueError(f"logits must be {tuple(ids.shape)} + (vocabulary,), got {logits.shape}")
    following = ids[:, 1:]
    log_probs = logits[:, :-1].log_softmax(dim=-1).gather(-1, following[..., None])[..., 0]
    return log_probs.masked_fill(following == pad_id, 0.0).sum(dim=1)


def caption_loss(
    logits: Float[Tensor, "captions tokens vocabulary"], ids: TOKENS, *, pad_id: int
) -> Float[Tensor, ""]:
    """The mean surprise of a word, −log p(w_k | w_<k, picture), in nats.

    Arguments and errors as in `caption_log_likelihood`. A batch without any word to predict has
    loss 0.

    Source: Desai & Johnson 2021, arXiv:2006.06666, eq. 1 (its forward half, over all words).
    """
    count = (ids[:, 1:] != pad_id).sum().clamp(min=1)
    return -caption_log_likelihood(logits, ids, pad_id=pad_id).sum() / count


def caption_scores(
    decoder: CaptionDecoder,
    features: Float[Tensor, "batch places features"],
    ids: TOKENS,
    *,
    pad_id: int,
) -> Float[Tensor, "batch captions"]:
    """log p(caption | picture) of every caption for every picture: a zero-shot classifier.

    Arguments and errors as in `CaptionDecoder.forward` and `caption_log_likelihood`, but here
    every caption meets every picture.
    """
    columns = []
    for caption in ids:
        row = caption.expand(len(features), -1)
        columns.append(caption_log_likelihood(decoder(features, row), row, pad_id=pad_id))
    return torch.stack(columns, dim=1)


def bag_of_words(ids: TOKENS, vocab_size: int, *, ignore: Sequence[int] = ()) -> BAGS:
    """Which words a caption holds, as shares that sum to 1; their order and number are lost.

    Args:
        ids: the captions.
        vocab_size: number of tokens.
        ignore: tokens that are no words, such as padding and the marks of beginning and end.

    Raises:
        ValueError: a caption without any word, or a number that no token has.

    Source: Joulin et al. 2016, arXiv:1511.02251.
    """
    check_ids(ids, vocab_size, fits=ids.ndim == 2)
    held = torch.zeros(len(ids), vocab_size, device=ids.device).scatter(1, ids.long(), 1.0)
    held[:, list(ignore)] = 0.0
    count = held.sum(dim=1, keepdim=True)
    if not bool((count > 0).all()):
        raise ValueError(f"every caption needs a word other than {list(ignore)}")
    return held / count


def bag_of_words_loss(
    logits: Float[Tensor, "captions vocabulary"], bags: BAGS
) -> Float[Tensor, ""]:
    """−Σ_w bag_w · log softmax(logits)_w, averaged over the pictures.

    Args:
        logits: a score of each word for each picture.
        bags: what `bag_of_words` makes of the pictures' captions.

    Raises:
        ValueError: the shapes differ.

    Source: Joulin et al. 2016, arXiv:1511.02251 (its multiclass logistic loss).
    """
    if logits.shape != bags.shape:
        raise ValueError(f"logits and bags must share a shape, got {logits.shape}, {bags.shape}")
    return F.cross_entropy(logits, bags)


def bag_of_words_scores(
    logits: Float[Tensor, "batch vocabulary"], bags: BAGS
) -> Float[Tensor, "batch captions"]:
    """The mean log-probability of a caption's words, of every caption for every picture.

    Args:
        logits: a score of each word for each picture.
        bags: of the captions to choose from.

    Raises:
        ValueError: the vocabularies differ.
    """
    if logits.shape[-1] != bags.shape[-1]:
        raise ValueError(f"the vocabularies differ: {logits.shape[-1]} and {bags.shape[-1]}")
    return logits.log_softmax(dim=-1) @ bags.T
