"""CLIP against Hugging Face's and open_clip's on tiny random checkpoints."""

import json

import open_clip
import pytest
import torch
from helpers import randomise, rejects, unchecked
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

from mmcourse.visionlanguage import CLIP, ImageTower, TextTower

plain = unchecked("mmcourse.visionlanguage.clip")
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 30,
    "max_position_embeddings": 8,
    "bos_token_id": 28,
    "eos_token_id": 29,
    "pad_token_id": 29,
}
IMAGE = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 8,
    "patch_size": 4,
}
CLOSE = {"rtol": 2e-5, "atol": 2e-5}
IDS = torch.tensor([[28, 3, 4, 29, 29, 29], [28, 5, 6, 7, 8, 29], [28, 29, 29, 29, 29, 29]])


def images() -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def saved(folder, **text) -> CLIPModel:
    config = CLIPConfig(text_config={**TEXT, **text}, vision_config=IMAGE, projection_dim=12)
    reference = randomise(CLIPModel(config), scale=0.2).eval()
    reference.save_pretrained(folder)
    return reference


def unit(features) -> torch.Tensor:
    pooled = getattr(features, "pooler_output", features)
    return torch.nn.functional.normalize(pooled, dim=-1)


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_huggingface_checkpoints_load_and_agree(act: str, tmp_path) -> None:
    reference, x = saved(tmp_path, hidden_act=act), images()
    ours = CLIP.from_pretrained(tmp_path)
    with torch.no_grad():
        theirs = reference(input_ids=IDS, pixel_values=x)
        torch.testing.assert_close(ours(x, IDS), theirs.logits_per_image, **CLOSE)
        torch.testing.assert_close(ours.encode_image(x), theirs.image_embeds, **CLOSE)
        torch.testing.assert_close(ours.encode_text(IDS), theirs.text_embeds, **CLOSE)
    torch.testing.assert_close(ours.logit_scale, reference.logit_scale)
    torch.testing.assert_close(ours.encode_text(IDS).norm(dim=-1), torch.ones(3))


def test_the_other_activation_and_pooling_would_be_seen(tmp_path) -> None:
    reference = saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    with torch.no_grad():
        theirs = reference(input_ids=IDS, pixel_values=images()).text_embeds
        config["text_config"]["hidden_act"] = "gelu"
        (tmp_path / "config.json").write_text(json.dumps(config))
        gap = CLIP.from_pretrained(tmp_path).encode_text(IDS) - theirs
        assert gap.abs().max() > 1e-4
        config["text_config"]["hidden_act"] = "quick_gelu"
        (tmp_path / "config.json").write_text(json.dumps(config))
        ours = CLIP.from_pretrained(tmp_path)
        last = torch.nn.functional.normalize(ours.text_projection(ours.text(IDS)[:, -1]), dim=-1)
        assert (last - theirs).abs().max() > 1e-3  # pooling at the last place is another thing


def test_early_files_pool_at_the_largest_number(tmp_path) -> None:
    reference = saved(tmp_path, eos_token_id=2)
    ours = CLIP.from_pretrained(tmp_path)
    assert ours.text.end_id is None
    with torch.no_grad():
        theirs = reference(input_ids=IDS, pixel_values=images()).text_embeds
        torch.testing.assert_close(ours.encode_text(IDS), theirs, **CLOSE)


def test_a_text_tower_alone_with_and_without_the_prefix(tmp_path) -> None:
    reference = randomise(CLIPTextModel(CLIPTextConfig(**TEXT)), scale=0.2).eval()
    reference.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    with torch.no_grad():
        theirs = reference(input_ids=IDS).last_hidden_state
        torch.testing.assert_close(TextTower.from_pretrained(tmp_path)(IDS), theirs, **CLOSE)
        older = {f"text_model.{name}": tensor for name, tensor in tensors.items()}
        older["text_model.embeddings.position_ids"] = torch.arange(8)[None]
        save_file(older, file)
        torch.testing.assert_close(TextTower.from_pretrained(tmp_path)(IDS), theirs, **CLOSE)


@pytest.mark.parametrize("quick", [True, False])
def test_open_clip_checkpoints_load_and_agree(quick: bool, tmp_path) -> None:
    reference = open_clip.CLIP(
        embed_dim=12,
        vision_cfg={
            "layers": 2,
            "width": 24,
            "head_width": 8,
            "patch_size": 4,
            "image_size": 8,
            "mlp_ratio": 4.0,
        },
        text_cfg={"context_length": 8, "vocab_size": 30, "width": 16, "heads": 2, "layers": 2},
        quick_gelu=quick,
    )
    reference = randomise(reference, scale=0.2).eval()
    file = tmp_path / "model.safetensors"
    save_file({name: t.contiguous() for name, t in reference.state_dict().items()}, file)
    ours = CLIP.from_open_clip(file, quick_gelu=quick, num_heads=(3, 2))
    wrong = CLIP.from_open_clip(file, quick_gelu=not quick, num_heads=(3, 2))
    ids = torch.cat([IDS, torch.zeros(3, 2, dtype=torch.long)], dim=1)
    x = images()
    with torch.no_grad():
        pictures, words = (
            reference.encode_image(x, normalize=True),
            reference.encode_text(ids, True),
        )
        torch.testing.assert_close(ours.encode_image(x), pictures, **CLOSE)
        torch.testing.assert_close(ours.encode_text(ids), words, **CLOSE)
        assert (wrong.encode_image(x) - pictures).abs().max() > 1e-4
    torch.testing.assert_close(ours.logit_scale, reference.logit_scale)


def test_published_sizes() -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    with torch.device("meta"):
        text = TextTower()
        assert count(CLIP(ImageTower(), text)) == 151_277_313  # ViT-B/32
        assert count(text) + 512 * 512 == 63_165_952 + 262_144
        assert text.tokens.weight.numel() == 25_296_896


def tiny(**text) -> CLIP:
    image = ImageTower(image_size=8, patch_size=4, width=16, depth=1, num_heads=2)
    words = {"vocab_size": 30, "max_positions": 8, "width": 16, "depth": 1, "num_heads": 2}
    return CLIP(image, TextTower(**words, **text), embed_dim=12)


def test_what_stands_after_the_end_does_not_matter() -> None:
    model = randomise(tiny(end_id=29))
    changed = IDS.clone()
    changed[0, 4:] = torch.tensor([1, 2])
    torch.testing.assert_close(model.encode_text(changed), model.encode_text(IDS))


def test_it_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model, x = tiny(), images()[:3]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        logits = model(x, IDS)
        right = torch.arange(3)
        loss = torch.nn.functional.cross_entropy(logits, right)
        loss = loss + torch.nn.functional.cross_entropy(logits.T, right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert model(x, IDS).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "siglip"}, "type 'clip'"),
        ({"projection_dim": 16}, "must have shape"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(change: dict, message: str, tmp_path) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with rejects(message):
        CLIP.from_pretrained(tmp_path)


def test_bad_input(tmp_path) -> None:
    text = plain.TextTower(
        vocab_size=30, max_positions=8, width=16, depth=1, num_heads=2, end_id=29
    )
    for ids in (IDS.float(), IDS[0], IDS[:, :0], torch.zeros(1, 9, dtype=torch.long)):
        with rejects("ids must be whole numbers"):
            text(ids)
    with rejects("from 0 to 29"):
        text(IDS + 1)
    with rejects("end-of-text"):
        text.sentence(torch.tensor([[1, 2]]))
    with rejects("patch_size must divide"):
        plain.ImageTower(image_size=8, patch_size=3)
    with rejects("depth"):
        plain.TextTower(depth=0)
    image = plain.ImageTower(image_size=8, patch_size=4, width=16, depth=1, num_heads=2)
    with rejects("images must be float"):
        image(torch.zeros(1, 3, 8, 9))
    with rejects("embed_dim"):
        plain.CLIP(image, text, embed_dim=0)
    with rejects("is missing"):
        CLIP.from_open_clip({"visual.conv1.weight": torch.zeros(1)})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with rejects("clip_text_model"):
        TextTower.from_pretrained(tmp_path)
