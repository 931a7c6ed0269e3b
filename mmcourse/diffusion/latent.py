"""Latent diffusion: the diffusion happens in the small latents of an autoencoder.

caption → text tower → context;  noise → U-Net, told the context → z;  z → decoder → picture
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.diffusion.autoencoder import KLAutoencoder
from mmcourse.diffusion.guidance import guided
from mmcourse.diffusion.process import Steps, call_model, noise_from_velocity
from mmcourse.diffusion.sampling import OnStep, sample_ddim
from mmcourse.diffusion.schedule import (
    NoiseSchedule,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
)
from mmcourse.diffusion.spacing import ddim_steps
from mmcourse.diffusion.unet import UNet
from mmcourse.visionlanguage.clip import TextTower
from mmcourse.weights import checkpoint_folder

BETAS: dict[str, Callable[[Mapping[str, Any]], Tensor]] = {
    "linear": lambda c: linear_betas(c["T"], c["beta_start"], c["beta_end"]),
    "scaled_linear": lambda c: scaled_linear_betas(c["T"], c["beta_start"], c["beta_end"]),
    "squaredcos_cap_v2": lambda c: cosine_betas(c["T"]),
}


class LatentDiffusion(nn.Module):
    """The parts of a text-to-image model, and how they work together.

    z_T ∼ N(0, I);  z ← DDIM(z, guided ε_θ(z, t, τ(caption)));  x = decode(z / scaling factor)

    Args:
        unet: ε_θ(z, t, context), or the velocity, see `prediction`.
        autoencoder: decodes latents; its `scaling_factor` relates them to the U-Net's.
        reader: τ, from token numbers (batch, tokens) to a context (batch, tokens, width).
        schedule: the constants of the process.
        prediction: what the U-Net predicts, "noise" or "velocity".
        offset: added to the steps that the sampler visits; the published model of Stable
            Diffusion has 1 and ends at ᾱ_0. None visits them as `ddim_steps` does by default
            and ends at ᾱ = 1.
        power: of the steps visited, see `ddim_steps`; only without an offset.

    Raises:
        ValueError: an unknown prediction, or the latents of the two networks differ.

    Source: Rombach et al. 2022, arXiv:2112.10752, §3.
    """

    def __init__(
        self,
        unet: Any,
        autoencoder: KLAutoencoder,
        reader: nn.Module,
        schedule: NoiseSchedule,
        *,
        prediction: str = "noise",
        offset: int | None = None,
        power: float = 1.0,
    ) -> None:
        super().__init__()
        if prediction not in ("noise", "velocity"):
            raise ValueError(f'prediction must be "noise" or "velocity", got {prediction!r}')
        inside, latent = unet.in_channels, autoencoder.latent_channels
        if inside != latent:
            raise ValueError(
                f"the U-Net must read the autoencoder's {latent} latent channels, "
                f"got one that reads {inside}"
            )
        self.unet, self.autoencoder, self.reader = unet, autoencoder, reader
        self.schedule, self.prediction = schedule, prediction
        self.offset, self.power = offset, power

    def forward(
        self,
        z: Float[Tensor, "batch c h w"],
        step: Steps,
        ids: Int[Tensor, "batch tokens"],
    ) -> Float[Tensor, "batch c h w"]:
        """What the U-Net predicts, told the tokens of the captions: the call that is trained."""
        return call_model(self.unet, z, step, self.reader(ids))

    def noise(
        self, z: Float[Tensor, "batch c h w"], step: Steps, context: Any
    ) -> Float[Tensor, "batch c h w"]:
        """ε̂, whatever it is that the U-Net predicts."""
        found = call_model(self.unet, z, step, context)
        if self.prediction == "noise":
            return found
        return noise_from_velocity(z, found, step, self.schedule.alpha_bar)

    def walk(self, steps: int) -> list[int]:
        """The code indices that the sampler stops at, the end of the last jump included."""
        if self.offset is None:
            return [*ddim_steps(self.schedule.T, steps, power=self.power), -1]
        visited = [i + self.offset for i in ddim_steps(self.schedule.T, steps, "leading")]
        return [min(i, self.schedule.T - 1) for i in visited] + [0]

    @torch.no_grad()
    def generate(
        self,
        ids: Int[Tensor, "batch tokens"],
        negative: Int[Tensor, "batch tokens"],
        *,
        steps: int = 25,
        scale: float = 7.5,
        start: Float[Tensor, "batch c h w"],
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """Pictures of captions.

        Args:
            ids: the captions' tokens.
            negative: tokens of what is guided away from; usually the empty caption's.
            steps: calls of the sampler, in 1 … T.
            scale: of the guidance; 1 = none.
            start: the noise to begin with, standard normal, in the shape of the latents.
            on_step: called after each step as on_step(step, z, z0).

        Returns:
            (batch, channels, height, width) in [-1, 1].

        Raises:
            ValueError: what the parts refuse: too many tokens, steps, a scale that is no number.
        """
        context, null = self.reader(ids), self.reader(negative)
        z = sample_ddim(
            guided(self.noise, scale, null=null),
            start.shape,
            self.schedule,
            steps=steps,
            walk=self.walk(steps),
            generator=None,
            context=context,
            clip=False,
            start=start,
            device=start.device,
            on_step=on_step,
        )
        return self.decode(z)

    def decode(self, z: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch channels h2 w2"]:
        """The picture of the U-Net's latents, held in [-1, 1]."""
        return self.autoencoder.decode(z / self.autoencoder.scaling_factor).clamp(-1, 1)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "LatentDiffusion":
        """Load a published `StableDiffusionPipeline` of the 1.x family.

        Args:
            path_or_hub_id: a folder with the parts in subfolders, or a hub id.

        Returns:
            The model in evaluation mode; tokens come from the published tokenizer.

        Raises:
            ValueError: another pipeline, an unknown schedule, or weights that do not fit.
        """
        folder = checkpoint_folder(path_or_hub_id)
        index = _json(folder / "model_index.json")
        if index.get("_class_name") != "StableDiffusionPipeline":
            raise ValueError(
                "model_index.json must describe a StableDiffusionPipeline, "
                f"got {index.get('_class_name')!r}"
            )
        config = _json(folder / "scheduler" / "scheduler_config.json")
        model = cls(
            UNet.from_pretrained(folder / "unet"),
            KLAutoencoder.from_pretrained(folder / "vae"),
            TextTower.from_pretrained(folder / "text_encoder"),
            published_schedule(config),
            prediction=_prediction(config),
            offset=config.get("steps_offset", 0),
        )
        return model.eval()


def published_schedule(config: Mapping[str, Any]) -> NoiseSchedule:
    """The noise schedule of a published scheduler_config.json.

    Raises:
        ValueError: a schedule of another kind.
    """
    name = config.get("beta_schedule", "linear")
    if name not in BETAS or config.get("trained_betas") is not None:
        raise ValueError(f"beta_schedule must be one of {sorted(BETAS)}, got {name!r}")
    ends = {"beta_start": 1e-4, "beta_end": 0.02, "T": config.get("num_train_timesteps", 1000)}
    return NoiseSchedule(BETAS[name]({**ends, **config}))


def _prediction(config: Mapping[str, Any]) -> str:
    known = {"epsilon": "noise", "v_prediction": "velocity"}
    kind = config.get("prediction_type", "epsilon")
    if kind not in known:
        raise ValueError(f"prediction_type must be one of {sorted(known)}, got {kind!r}")
    return known[kind]


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"expected {file.parent.name}/{file.name} in the checkpoint, found none")
    return json.loads(file.read_text(encoding="utf-8"))
