"""A whole text-to-image pipeline, from checkpoint folders, against the reference's."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from helpers import randomise, rejects
from transformers import CLIPTextConfig, CLIPTextModel

from mmcourse.diffusion import LatentDiffusion

TEXT = {
    "hidden_size": 12,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 30,
    "max_position_embeddings": 8,
    "bos_token_id": 28,
    "eos_token_id": 29,
    "pad_token_id": 29,
}
UNET = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "norm_num_groups": 4,
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
    "layers_per_block": 1,
}
VAE = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
IDS = torch.tensor([[28, 3, 4, 5, 29, 29, 29, 29], [28, 6, 29, 29, 29, 29, 29, 29]])
EMPTY = torch.tensor([[28, 29, 29, 29, 29, 29, 29, 29]] * 2)


def saved(folder: Path, **scheduler) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline(
        vae=randomise(AutoencoderKL(**VAE), scale=0.15),
        text_encoder=randomise(CLIPTextModel(CLIPTextConfig(**TEXT)), scale=0.2),
        unet=randomise(UNet2DConditionModel(**UNET), scale=0.1),
        scheduler=DDIMScheduler(**{**SCHEDULER, **scheduler}),
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    return pipeline


@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_whole_pipeline_is_reproduced(prediction: str, scale: float, tmp_path: Path) -> None:
    pipeline = saved(tmp_path, prediction_type=prediction)
    ours = LatentDiffusion.from_pretrained(tmp_path)
    start = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        words = pipeline.text_encoder(IDS).last_hidden_state
        nothing = pipeline.text_encoder(EMPTY).last_hidden_state
        theirs = pipeline(
            prompt_embeds=words,
            negative_prompt_embeds=nothing,
            latents=start.clone(),
            num_inference_steps=5,
            guidance_scale=scale,
            output_type="pt",
        ).images
    seen = []
    pictures = ours.generate(
        IDS, EMPTY, steps=5, scale=scale, start=start, on_step=lambda *a: seen.append(a[0])
    )
    assert pictures.shape == (2, 3, 16, 16)
    torch.testing.assert_close(pictures / 2 + 0.5, theirs, rtol=1e-4, atol=1e-4)
    assert seen == [801, 601, 401, 201, 1]
    # A wrong end of the walk would be seen.
    ours.offset = None
    other = ours.generate(IDS, EMPTY, steps=5, scale=scale, start=start)
    assert (other / 2 + 0.5 - theirs).abs().max() > 1e-3


def test_scale_one_never_reads_the_negative_prompt(tmp_path: Path) -> None:
    saved(tmp_path)
    ours = LatentDiffusion.from_pretrained(tmp_path)
    start = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    a = ours.generate(IDS, EMPTY, steps=2, scale=1.0, start=start)
    b = ours.generate(IDS, IDS.flip(0), steps=2, scale=1.0, start=start)
    torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model_index.json", {"_class_name": "StableDiffusionXLPipeline"}, "StableDiffusionPipe"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "sigmoid"}, "beta_schedule"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "prediction_type"),
        ("vae/config.json", {"latent_channels": 8}, "shape"),
        ("text_encoder/config.json", {"model_type": "t5"}, "clip_text_model"),
    ],
)
def test_a_pipeline_that_does_not_fit_is_named(
    file: str, change: dict, message: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps({**config, **change}))
    with rejects(message):
        LatentDiffusion.from_pretrained(tmp_path)


def test_bad_input(tmp_path: Path) -> None:
    saved(tmp_path)
    ours = LatentDiffusion.from_pretrained(tmp_path)
    start = torch.zeros(2, 4, 8, 8)
    with rejects("steps must be"):
        ours.generate(IDS, EMPTY, steps=0, start=start)
    with rejects("finite"):
        ours.generate(IDS, EMPTY, scale=float("nan"), start=start)
    with rejects('"noise" or "velocity"'):
        LatentDiffusion(ours.unet, ours.autoencoder, ours.reader, ours.schedule, prediction="x")
    with rejects("latent channels"):
        from mmcourse.diffusion import KLAutoencoder

        other = KLAutoencoder(channels=(8,), latent_channels=2, groups=4)
        LatentDiffusion(ours.unet, other, ours.reader, ours.schedule)
    (tmp_path / "scheduler" / "scheduler_config.json").unlink()
    with rejects("scheduler_config"):
        LatentDiffusion.from_pretrained(tmp_path)
