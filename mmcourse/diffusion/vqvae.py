"""VQ-VAE: an autoencoder whose middle is a grid of words from a learned codebook."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

FEATURES = Float[Tensor, "batch d *grid"]
CODES = Int[Tensor, "batch *grid"]
CHUNK = 1024  # rows compared with the codebook at a time: the distances stay in the cache


def nearest_codes(
    vectors: Float[Tensor, "count d"], codebook: Float[Tensor, "codes d"]
) -> Int[Tensor, "count"]:
    """The nearest code of each vector.

    argmin_k ‖z − e_k‖² = argmin_k ( ‖e_k‖² − 2 z·e_k )

    ‖z‖² is the same for all codes and left out, so that one matrix product does all the work.

    Args:
        vectors: z (count, d).
        codebook: e (codes, d).

    Returns:
        Indices (count,); of equally near codes the first.

    Raises:
        ValueError: the widths differ.

    Source: van den Oord et al. 2017, arXiv:1711.00937, equation 1.
    """
    if vectors.ndim != 2 or codebook.ndim != 2 or vectors.shape[1] != codebook.shape[1]:
        raise ValueError(
            "vectors and codebook must be matrices of equal width, "
            f"got {tuple(vectors.shape)} and {tuple(codebook.shape)}"
        )
    norms, across = codebook.square().sum(dim=1), codebook.T
    found = [
        torch.addmm(norms, rows, across, alpha=-2).argmin(dim=1) for rows in vectors.split(CHUNK)
    ]
    return torch.cat(found)


def perplexity(indices: Int[Tensor, "*any"], num_codes: int) -> float:
    """How many codes are in use, were all used equally often: exp of the entropy.

    exp( −Σ_k p_k log p_k ), from 1 (one code for all) to num_codes.

    Raises:
        ValueError: there is no index, or one outside 0 … num_codes − 1.

    Source: the exponential of Shannon's entropy; logged so by the published code of
        van den Oord et al. 2017, arXiv:1711.00937.
    """
    if indices.numel() == 0 or int(indices.min()) < 0 or int(indices.max()) >= num_codes:
        raise ValueError(f"indices must lie in 0 … {num_codes - 1} and be at least one")
    p = torch.bincount(indices.flatten(), minlength=num_codes).double() / indices.numel()
    return torch.exp(torch.special.entr(p).sum()).item()


class VectorQuantizer(nn.Module):
    """Replace each vector by the nearest of a learned set.

    z_q = e_k, k = argmin_j ‖z − e_j‖;  loss = ‖sg[z] − e_k‖² + β ‖z − sg[e_k]‖²  (means)

    The choice has no gradient; z_q is given that of z unchanged ("straight-through"). With
    `ema_decay` the codes are moving averages of the vectors that chose them, the loss's first
    term disappears, and only training mode updates them.

    Args:
        num_codes: size K of the codebook.
        code_dim: width D of a code.
        commitment: β ≥ 0, how strongly the encoder is held to its codes.
        ema_decay: γ in (0, 1); None to learn the codebook by gradient.

    Raises:
        ValueError: a size below 1, β < 0, or γ outside (0, 1).

    Source: van den Oord et al. 2017, arXiv:1711.00937, equation 3 and appendix A.1; counts are
        Laplace-smoothed with 1e-5 and start at 1 for each code.
    """

    counts: Tensor
    sums: Tensor

    def __init__(
        self,
        num_codes: int = 512,
        code_dim: int = 64,
        *,
        commitment: float = 0.25,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__()
        if min(num_codes, code_dim) < 1 or commitment < 0:
            raise ValueError(
                "num_codes and code_dim must be at least 1 and commitment at least 0, "
                f"got {num_codes}, {code_dim}, {commitment}"
            )
        if ema_decay is not None and not 0.0 < ema_decay < 1.0:
            raise ValueError(f"ema_decay must be in (0, 1) or None, got {ema_decay}")
        self.commitment, self.ema_decay = commitment, ema_decay
        codebook = torch.empty(num_codes, code_dim).uniform_(-1 / num_codes, 1 / num_codes)
        self.codebook = nn.Parameter(codebook, requires_grad=ema_decay is None)
        if ema_decay is not None:
            self.register_buffer("counts", torch.ones(num_codes))
            self.register_buffer("sums", codebook.clone())

    def forward(self, z: FEATURES) -> tuple[FEATURES, CODES, Float[Tensor, ""]]:
        """Quantise every vector of a grid.

        Args:
            z: the encoder's output (batch, code_dim, …), for example (batch, 64, 32, 32).

        Returns:
            z_q shaped as z, the indices (batch, …), and the loss.

        Raises:
            ValueError: another width than `code_dim`, whole numbers, or NaN among them.
        """
        self._check(z)
        vectors = rearrange(z, "b d ... -> (b ...) d")
        with torch.no_grad():
            indices = nearest_codes(vectors, self.codebook)
        indices = indices.reshape(z.shape[0], *z.shape[2:])  # (b ...) -> b ...
        codes = self.lookup(indices)
        loss = self.commitment * F.mse_loss(z, codes.detach())
        if self.ema_decay is None:
            loss = loss + F.mse_loss(codes, z.detach())
        elif self.training:
            self._move(vectors.detach(), indices.flatten(), 1 - self.ema_decay)
        return z + (codes - z).detach(), indices, loss

    def lookup(self, indices: CODES) -> FEATURES:
        """The codes of a grid of indices (batch, …), as (batch, code_dim, …)."""
        return rearrange(F.embedding(indices, self.codebook), "b ... d -> b d ...")

    @torch.no_grad()
    def _move(self, vectors: Tensor, indices: Tensor, weight: float) -> None:
        """N ← γN + (1 − γ)n,  m ← γm + (1 − γ)Σz,  e = m / N, with weight = 1 − γ."""
        number = torch.bincount(indices, minlength=len(self.codebook)).to(self.counts)
        total = torch.zeros_like(self.sums).index_add_(0, indices, vectors.to(self.sums))
        self.counts.lerp_(number, weight)
        self.sums.lerp_(total, weight)
        all_of_them, eps = self.counts.sum(), 1e-5
        smooth = (self.counts + eps) / (all_of_them + len(self.counts) * eps) * all_of_them
        self.codebook.copy_(self.sums / smooth[:, None])

    @torch.no_grad()
    def revive(
        self, z: FEATURES, indices: CODES, *, generator: torch.Generator
    ) -> Int[Tensor, "dead"]:
        """Move every code that no vector chose onto a random vector; return these codes.

        Args:
            z: vectors of a batch (batch, code_dim, …).
            indices: what they chose (batch, …).
            generator: source of randomness.
        """
        vectors = rearrange(z, "b d ... -> (b ...) d")
        used = torch.bincount(indices.flatten(), minlength=len(self.codebook))
        dead = (used == 0).nonzero()[:, 0]
        drawn = torch.randint(len(vectors), (len(dead),), generator=generator).to(vectors.device)
        self.codebook[dead] = vectors[drawn].to(self.codebook)
        if self.ema_decay is not None:
            self.sums[dead], self.counts[dead] = self.codebook[dead], 1.0
        return dead

    def _check(self, z: Tensor) -> None:
        width = self.codebook.shape[1]
        if z.ndim < 2 or z.shape[1] != width or not z.is_floating_point():
            raise ValueError(
                f"z must be floating point of shape (batch, {width}, …), "
                f"got {z.dtype} of shape {tuple(z.shape)}"
            )
        if not bool(z.detach().isfinite().all()):
            raise ValueError("z must be finite numbers, got NaN or infinity")


class VQVAE(nn.Module):
    """Encoder, codebook, decoder.

    x → conv, stride 2 → conv, stride 2 → residual blocks → z → z_q → … → x̂

    Args:
        channels: of the image.
        width: channels inside.
        num_codes, code_dim, commitment, ema_decay: see `VectorQuantizer`.
        blocks: residual blocks on each side.
        downsamplings: how often height and width are halved; 2 in the paper.

    Source: van den Oord et al. 2017, arXiv:1711.00937, §4.1, with the sizes of its published
        code: 128 × 128 × 3 becomes 32 × 32 × 64 with the defaults.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 128,
        num_codes: int = 512,
        code_dim: int = 64,
        commitment: float = 0.25,
        ema_decay: float | None = None,
        blocks: int = 2,
        downsamplings: int = 2,
    ) -> None:
        super().__init__()
        self.factor = 2**downsamplings
        sizes = {"width": width, "blocks": blocks, "halvings": downsamplings}
        self.encoder = shrinking(channels, code_dim, **sizes)
        self.quantizer = VectorQuantizer(
            num_codes, code_dim, commitment=commitment, ema_decay=ema_decay
        )
        self.decoder = growing(code_dim, channels, **sizes)

    def forward(
        self, x: Float[Tensor, "batch c height width"]
    ) -> tuple[Float[Tensor, "batch c height width"], CODES, Float[Tensor, ""]]:
        """Reconstruction, indices and the quantiser's loss.

        Raises:
            ValueError: height or width is not divisible by 2^downsamplings.
        """
        z_q, indices, loss = self.quantizer(self.encode(x))
        return self.decoder(z_q), indices, loss

    def encode(self, x: Float[Tensor, "batch c height width"]) -> FEATURES:
        """The grid z of vectors, not yet quantised."""
        check_divisible(x, self.factor)
        return self.encoder(x)

    def decode(self, indices: CODES) -> Float[Tensor, "batch c height width"]:
        """The picture that a grid of code numbers stands for."""
        return self.decoder(self.quantizer.lookup(indices))


def shrinking(channels: int, out: int, *, width: int, blocks: int, halvings: int) -> nn.Sequential:
    """An encoder: strided convolutions, residual blocks, a 1 × 1 convolution to `out` channels.

    Raises:
        ValueError: fewer than one halving, or a width below 4.
    """
    if halvings < 1 or width < 4:
        raise ValueError(f"need at least 1 halving and width ≥ 4, got {halvings} and {width}")
    sizes = [channels, *[width // 2] * (halvings - 1), width]
    layers: list[nn.Module] = []
    for i in range(halvings):
        layers += [nn.Conv2d(sizes[i], sizes[i + 1], 4, stride=2, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(width, width, 3, padding=1)]
    layers += [ResidualBlock(width) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, out, 1))


def growing(channels: int, out: int, *, width: int, blocks: int, halvings: int) -> nn.Sequential:
    """A decoder, the mirror image of `shrinking`."""
    sizes = [width, *[width // 2] * (halvings - 1), out]
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
    layers += [ResidualBlock(width) for _ in range(blocks)]
    for i in range(halvings):
        layers += [nn.ReLU(), nn.ConvTranspose2d(sizes[i], sizes[i + 1], 4, 2, padding=1)]
    return nn.Sequential(*layers)


def check_divisible(x: Tensor, factor: int) -> None:
    """Raise a ValueError unless x is a batch of pictures whose sides are divisible."""
    if x.ndim != 4 or x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(
            f"x must be (batch, channels, height, width), the last two divisible by {factor}, "
            f"got {tuple(x.shape)}"
        )


class ResidualBlock(nn.Module):
    """x + W₁ₓ₁ relu(W₃ₓ₃ relu(x)), with a quarter of the channels between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width // 4, 3, padding=1)
        self.out = nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Keep the shape (b, c, h, w)."""
        return x + self.out(F.relu(self.conv(F.relu(x))))
