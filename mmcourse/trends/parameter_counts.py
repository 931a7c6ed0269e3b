"""How many numbers a Transformer holds, from its sizes alone.

A block of width d whose feed-forward is 4 d wide: attention 4 d² + 4 d, feed-forward 8 d² + 5 d,
two norms 4 d; together 12 d² + 13 d.
"""

from typing import NamedTuple


def block_parameters(width: int, *, hidden: int | None = None) -> int:
    """One block: 4 d² + 4 d (attention), 2 d m + m + d (feed-forward), 4 d (two norms).

    Args:
        width: d ≥ 1; the number of heads does not matter.
        hidden: m, 4 d by default.

    Raises:
        ValueError: a size below 1.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3, with biases everywhere.
    """
    hidden = 4 * width if hidden is None else hidden
    _check(width, hidden)
    attention = 4 * width**2 + 4 * width
    feed_forward = 2 * width * hidden + hidden + width
    return attention + feed_forward + 4 * width


def gpt_parameters(
    *, layers: int, width: int, vocab: int, context: int, final_norm: bool = True
) -> int:
    """L (12 d² + 13 d) + (V + T) d + 2 d.

    The output layer is the token embedding once more and is not counted twice. GPT-1 has no norm
    after the last block.

    Args:
        layers, width: L and d.
        vocab: V, rows of the token embedding.
        context: T, rows of the position embedding.
        final_norm: whether the 2 d at the end are there (GPT-2 and GPT-3).

    Raises:
        ValueError: a size below 1.

    Source: Radford et al. 2018 and 2019; Brown et al. 2020, arXiv:2005.14165, table 2.1.
    """
    _check(layers, width, vocab, context)
    embeddings = (vocab + context) * width
    return layers * block_parameters(width) + embeddings + (2 * width if final_norm else 0)


def bert_parameters(
    *,
    layers: int,
    width: int,
    vocab: int = 30522,
    context: int = 512,
    segments: int = 2,
    heads: bool = False,
) -> int:
    """L (12 d² + 13 d) + (V + T + S) d + 2 d + (d² + d), the last being the pooler.

    Args:
        layers, width: L and d.
        vocab, context, segments: rows of the three embeddings, V, T and S.
        heads: with what pre-training adds: d² + 3 d + V for the masked words (the output
            layer is the embedding once more, its bias is new) and 2 d + 2 for the next sentence.

    Raises:
        ValueError: a size below 1.

    Source: Devlin et al. 2019, arXiv:1810.04805, §3.
    """
    _check(layers, width, vocab, context, segments)
    embeddings = (vocab + context + segments) * width + 2 * width
    pooler = width**2 + width
    added = width**2 + 3 * width + vocab + 2 * width + 2 if heads else 0
    return layers * block_parameters(width) + embeddings + pooler + added


def vit_parameters(
    *,
    layers: int,
    width: int,
    patch: int,
    image: int = 224,
    channels: int = 3,
    classes: int = 0,
    hidden: int | None = None,
) -> int:
    """L blocks + (p² c + 1) d (patches) + d (class token) + (N + 1) d (positions) + 2 d (norm).

    Args:
        layers, width: L and d.
        patch: p, divides `image`; N = (image / p)².
        image: height and width in pixels.
        channels: c.
        classes: of the head, (d + 1) · classes; 0 for none.
        hidden: width inside the feed-forward networks, 4 d by default.

    Raises:
        ValueError: a size below 1 (classes: below 0), or a patch that does not divide the image.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, §3.1 and table 1.
    """
    _check(layers, width, patch, image, channels, classes + 1)
    if image % patch:
        raise ValueError(f"patch must divide image, got {patch} and {image}")
    tokens = (image // patch) ** 2 + 1
    ends = (patch**2 * channels + 1) * width + width + tokens * width + 2 * width
    return layers * block_parameters(width, hidden=hidden) + ends + (width + 1) * classes


class Published(NamedTuple):
    """A published model: its sizes, what its paper says, and what they add up to.

    Attributes:
        name, year: of the publication.
        claimed: parameters as the source prints them.
        counted: by the formula from the sizes in the source.
        source: where the sizes and the claim are.
    """

    name: str
    year: int
    claimed: float
    counted: int
    source: str


def _check(*sizes: int) -> None:
    if min(sizes) < 1:
        raise ValueError(f"sizes must be at least 1, got {sizes}")


def _gpt2(name: str, claimed: float, layers: int, width: int) -> Published:
    count = gpt_parameters(layers=layers, width=width, vocab=50257, context=1024)
    return Published(name, 2019, claimed, count, "Radford et al. 2019, table 2")


def _bert(name: str, claimed: float, layers: int, width: int) -> Published:
    count = bert_parameters(layers=layers, width=width)
    return Published(name, 2018, claimed, count, "Devlin et al. 2019, arXiv:1810.04805, §3")


def _vit(name: str, claimed: float, layers: int, width: int, patch: int) -> Published:
    count = vit_parameters(layers=layers, width=width, patch=patch)
    return Published(name, 2020, claimed, count, "Dosovitskiy et al. 2021, arXiv:2010.11929")


PUBLISHED = (
    Published(
        "GPT-1",
        2018,
        117e6,
        gpt_parameters(layers=12, width=768, vocab=40478, context=512, final_norm=False),
        "Radford et al. 2018; the claim: 2019, table 2, as GPT-2's smallest 'equivalent'",
    ),
    _bert("BERT-base", 110e6, 12, 768),
    _bert("BERT-large", 340e6, 24, 1024),
    _gpt2("GPT-2 small", 117e6, 12, 768),
    _gpt2("GPT-2 medium", 345e6, 24, 1024),
    _gpt2("GPT-2 large", 762e6, 36, 1280),
    _gpt2("GPT-2", 1542e6, 48, 1600),
    Published(
        "GPT-3",
        2020,
        175e9,
        gpt_parameters(layers=96, width=12288, vocab=50257, context=2048),
        "Brown et al. 2020, arXiv:2005.14165, table 2.1",
    ),
    _vit("ViT-B/16", 86e6, 12, 768, 16),
    _vit("ViT-L/16", 307e6, 24, 1024, 16),
    _vit("ViT-H/14", 632e6, 32, 1280, 14),
)
