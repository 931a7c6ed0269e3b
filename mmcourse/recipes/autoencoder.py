"""How the autoencoder of the text-to-image model is trained: latents that are easy to draw."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcourse.diffusion.autoencoder import KLAutoencoder
from mmcourse.generative.vae import gaussian_kl
from mmcourse.recipes.resume import Batch


def autoencoder_loss(model: nn.Module, batch: Batch) -> Tensor:
    """|x − x̂| + (x − x̂)², and a whisper of the KL divergence that keeps latents compact.

    Latents may be moved and resized before they are decoded (see `some_moves`); the picture must
    come out moved and resized. Latents then vary more smoothly with what the picture shows, and
    are easier to draw by diffusion.

    Source: after Kouzelis et al. 2025, "EQ-VAE", arXiv:2502.09509.
    """
    pictures, noise, moves = batch
    change = partial(moved, moves=moves)
    again, mean, log_variance = model(pictures, noise, change)
    rebuilt = _apart(again, change(pictures))
    return rebuilt + 1e-4 * gaussian_kl(mean, log_variance).mean() / mean[0].numel()


def decoder_loss(model: nn.Module, batch: Batch) -> Tensor:
    """|x − D(z + n)| + (x − D(z + n))²,  where z is the latent of the picture x.

    For an encoder that stays as it is. A decoder that has met slightly wrong latents draws
    sharply from those that diffusion makes, which are never quite right either.

    Source: the published decoders of Stable Diffusion were trained on likewise, their latents
        unchanged; noise against the errors of an earlier part: Ho et al. 2021, "Cascaded
        Diffusion Models", arXiv:2106.15282, §4.
    """
    pictures, wrong = batch
    return _apart(model(pictures, wrong, wrong.add)[0], pictures)


def slightly_wrong(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Noise for latents (count, …): normal, of a standard deviation in [0, 0.3] for each."""
    strength = 0.3 * torch.rand(shape[0], *[1] * (len(shape) - 1), generator=random)
    return strength * torch.randn(shape, generator=random)


def _apart(x: Tensor, y: Tensor) -> Tensor:
    return F.l1_loss(x, y) + F.mse_loss(x, y)


def some_moves(count: int, random: torch.Generator) -> Tensor:
    """Affine maps (count, 2, 3): every second one stays, the others shift and resize by a bit."""
    moves = torch.eye(2, 3).repeat(count, 1, 1)
    some = moves[::2]
    some[:, :, :2] *= 0.8 + 0.5 * torch.rand(len(some), 1, 1, generator=random)
    some[:, :, 2] = 0.4 * (torch.rand(len(some), 2, generator=random) - 0.5)
    return moves


def moved(x: Tensor, moves: Tensor) -> Tensor:
    """Pictures or latents, shifted and resized; what comes in at a border repeats it."""
    grid = F.affine_grid(moves, list(x.shape), align_corners=False)
    return F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)


@torch.no_grad()
def standardise(model: KLAutoencoder, pictures: Tensor) -> None:
    """Shift and divide the latents so that they have mean 0 and, on the whole, variance 1.

    z ↦ (z − z̄) / s, one z̄ for each channel and one s for all, folded into the layers around z;
    decoding undoes it. The encoder is certain afterwards.
    """
    z = model.encode(pictures)[0]
    centre = z.mean(dim=(0, 2, 3))
    spread = (z - centre[:, None, None]).square().mean().sqrt()
    half, into, out = z.shape[1], model.quant_conv.state_dict(), model.post_quant_conv.state_dict()
    into["weight"][half:] = 0.0
    into["bias"][half:] = -30.0  # the log-variances
    into["bias"][:half] -= centre
    into["weight"][:half] /= spread
    into["bias"][:half] /= spread
    out["bias"] += out["weight"][:, :, 0, 0] @ centre
    out["weight"] *= spread
