"""What the page computes beside its networks, against Python: noise, words, steps."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from widgets.conftest import node

from mmcourse import inpage
from mmcourse.diffusion import TextToImage
from mmcourse.diffusion.spacing import ddim_steps

FOLDER = Path(inpage.__file__).parent
SHARED = ("../widgets/noise.js", "../widgets/known_words.js")
PARTS = (*SHARED, "words.js", "sampler.js")
SOURCE = "".join((FOLDER / name).read_text() for name in PARTS)


def js(expression: str, x: Any) -> Any:
    """Evaluate an expression of JavaScript for every x of a list."""
    code = f"{SOURCE}\nconst all = JSON.parse(require('fs').readFileSync(0));\n"
    code += f"process.stdout.write(JSON.stringify(all.map((x) => ({expression}))));"
    done = subprocess.run([node(), "-e", code], input=json.dumps(x), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_noise_is_pytorch_s() -> None:
    asked = [[0, 512], [7, 100], [123_456_789, 513], [2**33 + 5, 16], [2**32 - 1, 700], [1, 17]]
    for (seed, count), found in zip(asked, js("[...normalNoise(...x)]", asked), strict=True):
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(torch.tensor(found), expected, rtol=0, atol=2e-6)


def test_steps_are_the_sampler_s() -> None:
    asked = [[1000, n, power] for n in (1, 2, 7, 10, 25, 50, 1000) for power in (1, 1.5, 3)]
    asked += [[50, n, 1] for n in range(1, 51)]
    for (T, n, power), found in zip(asked, js("walk(...x)", asked), strict=True):
        assert found == [*ddim_steps(T, n, power=power), -1]


@pytest.fixture(scope="module")
def model() -> TextToImage:
    return TextToImage.load("text-to-image", device="cpu")


def said(model: TextToImage, caption: str) -> dict[str, Any]:
    try:
        return {"ids": model.vocabulary.encode([caption])[0].tolist()}
    except ValueError as error:
        return {"problem": str(error)}


def read(model: TextToImage, captions: list[str]) -> list[Any]:
    words = model.vocabulary
    about = {"words": words.words, "aliases": words.aliases, "length": words.length}
    return js(f"vocabulary({json.dumps(about)}).encode(x)", captions)


CAPTIONS = [
    "a red circle", "A RED circle!", "a rd circl", "파란 원 위에", "빨강 동그라미", "zzzqq", "",
    "   ",
    "a " * 30, "purple hart above", "xylophone 하늘", "an aqua disc", "  (red) star?  ", "_red_",
]  # fmt: skip


def test_captions_are_read_alike(model: TextToImage) -> None:
    for caption, found in zip(CAPTIONS, read(model, CAPTIONS), strict=True):
        assert found == said(model, caption), caption


@settings(max_examples=20)
@given(st.data())
def test_near_words_are_difflib_s(model: TextToImage, data: st.DataObject) -> None:
    """Known words with letters lost, doubled or changed."""
    known = model.vocabulary.words
    captions = []
    for _ in range(20):
        word = data.draw(st.sampled_from(known))
        place = data.draw(st.integers(0, len(word) - 1))
        letter = data.draw(st.sampled_from(["", "e", "ㅏ", "원", word[place] * 2]))
        captions.append(word[:place] + letter + word[place + 1 :])
    for caption, found in zip(captions, read(model, captions), strict=True):
        assert found == said(model, caption), caption
