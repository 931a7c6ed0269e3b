"""Exports, and the files that the book makes of them."""

import base64
import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import rejects
from torch import nn
from typer.testing import CliRunner

from mmcourse.cli import app
from mmcourse.inpage import EXPORTS, Method, PageModel, Part, export
from mmcourse.inpage.onnx_graph import ExportError, difference, graph

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "book" / "_ext"))

import mmcourse_inpage as files  # noqa: E402


class Two(nn.Module):
    """Two inputs, two outputs; 4,096 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.layer(x)
        return y, y.softmax(-1)[ids]


class Scattered(nn.Module):
    """Another answer at every call: what no graph can repeat."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand(1).item()


INPUTS = {"x": torch.randn(3, 64), "ids": torch.tensor([2, 0])}


def test_a_graph_computes_what_the_network_does() -> None:
    torch.manual_seed(0)
    network = Two().eval()
    data, apart = graph(network, INPUTS, ("y", "p"))
    assert apart <= 1e-5
    other = {"x": torch.randn(3, 64), "ids": torch.tensor([1, 1])}
    with torch.no_grad():
        assert difference(data, other, network(**other)) <= 1e-5
        assert difference(data, other, network(**INPUTS)) > 1e-2


def test_halves_are_half_as_large_and_refused_where_they_lose() -> None:
    torch.manual_seed(0)
    network = Two().eval()
    with rejects("Two as a graph differs by"):
        graph(network, INPUTS, ("y", "p"), halves=True)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    whole, _ = graph(network, INPUTS, ("y", "p"))
    small, apart = graph(network, INPUTS, ("y", "p"), halves=True)
    assert apart <= 1e-5
    assert len(whole) - len(small) > 1.9 * 64 * 64


def test_what_cannot_be_repeated_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(ExportError, match="Scattered as a graph differs by"):
        graph(Scattered().eval(), {"x": torch.zeros(2)})


def test_a_method_is_a_network() -> None:
    layer = nn.Linear(2, 2)
    layer.double_it = lambda x: 2 * layer(x)  # type: ignore[assignment]
    x = torch.randn(1, 2)
    torch.testing.assert_close(Method(layer, "double_it")(x), 2 * layer(x))
    model = PageModel("twice", {"double": Part(Method(layer, "double_it"), {"x": x})})
    torch.testing.assert_close(model.run("double", {"x": x})["out"], 2 * layer(x).detach())


# ---- mmcourse export ----


def test_exports_of_the_checkpoints(tmp_path: Path) -> None:
    assert set(EXPORTS) >= {"text-to-image", "text-to-emoji"}
    about = export("text-to-image", tmp_path)
    assert json.loads((tmp_path / "model.json").read_text("utf-8"))["words"] == about["words"]
    assert max(about["apart"].values()) <= 1e-4
    assert about["bytes"] == {p: (tmp_path / f"{p}.onnx").stat().st_size for p in about["parts"]}
    assert sum(about["bytes"].values()) <= 12e6
    with rejects("can export text-to-image, text-to-emoji, not 'dall-e'"):
        export("dall-e", tmp_path)


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", "text-to-image", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["parts"] == ["reader", "unet", "decoder"]
    done = CliRunner().invoke(app, ["export", "dall-e", "--out", str(tmp_path)])
    assert "can export text-to-image" in str(done.exception)


# ---- what the book makes of them ----


def packed() -> bytes:
    """An archive like the registry's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in files.DIST.values():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


def test_the_runtime_is_the_one_with_this_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "it.tgz"
    archive.write_bytes(packed())
    monkeypatch.setattr(files, "TARBALL", archive.as_uri())
    with pytest.raises(files.Unreachable, match="another hash"):
        files.runtime(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    digest = base64.b64encode(hashlib.sha512(packed()).digest()).decode()
    monkeypatch.setattr(files, "SHA512", digest)
    found = files.runtime(tmp_path / "cache")
    assert found == {part: name.encode() for part, name in files.DIST.items()}
    archive.unlink()
    assert files.runtime(tmp_path / "cache") == found, "once is enough"


def test_without_the_registry_there_are_no_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TARBALL", (tmp_path / "nothing.tgz").as_uri())
    target = tmp_path / "models"
    target.mkdir()
    (target / "old.js").write_text("")
    with pytest.raises(files.Unreachable, match=r"nothing\.tgz"):
        files.fill(target, ROOT, tmp_path / "cache", [])
    assert list(target.iterdir()) == []


def put_together(target: Path, name: str) -> dict[str, bytes]:
    """The files of a model, out of the scripts that carry them."""
    said: dict[str, str] = {}

    def piece(line: str) -> tuple[str, str]:
        key, text = json.loads(f"[{line.removeprefix('mmPiece(').removesuffix(');')}]")
        return key, text

    listed = json.loads(piece((target / f"{name}.js").read_text("utf-8"))[1])
    for one in listed["files"].values():
        for script, size in zip(one["chunks"], one["sizes"], strict=True):
            key, text = piece((target / script).read_text("ascii"))
            assert len(text) == size <= files.PIECE
            said[key] = said.get(key, "") + text
    packed = {part: base64.b64decode(said[f["key"]]) for part, f in listed["files"].items()}
    assert listed["bytes"] == sum(map(len, said.values()))
    return {part: gzip.decompress(data) for part, data in packed.items()}


def test_scripts_carry_the_files(tmp_path: Path) -> None:
    noise = torch.randint(256, (2_000_000,), dtype=torch.uint8).numpy().tobytes()
    data = {"net": noise, "runtime": b"run"}

    def write(data: dict[str, bytes]) -> None:
        listed = {part: files.write_file(tmp_path, part, one) for part, one in data.items()}
        files.write_list(tmp_path, listed, {"name": "small", "parts": ["net"]})

    write(data)
    assert put_together(tmp_path, "small") == data
    before = {path.name for path in tmp_path.iterdir()}
    write({**data, "net": noise[::-1]})
    changed = {path.name for path in tmp_path.iterdir()} - before
    assert len(changed) == 3, "other bytes have other names: a cache cannot mix them"


def test_a_lesson_s_model_is_found_in_its_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmcourse.inpage.page_model import MIME

    class Cache:
        def __init__(self, found: list[Any]) -> None:
            self.found = found

        def list_cache_records(self) -> list[Any]:
            return self.found

        def get_cache_bundle(self, pk: int) -> Any:
            return next(one for one in self.found if one.pk == pk)

    class Record:
        def __init__(self, pk: int, created: int, graphs: dict[str, str]) -> None:
            output = {"data": {MIME: {"name": "digits", "parts": graphs}}}
            cells = [{"cell_type": "markdown"}, {"outputs": [{}, {"data": {}}, output]}]
            self.pk, self.created, self.nb = pk, created, type("Notebook", (), {"cells": cells})

    encoded = [base64.b64encode(text).decode() for text in (b"old", b"new")]
    records = [Record(1, 2, {"unet": encoded[1]}), Record(2, 1, {"unet": encoded[0]})]
    monkeypatch.setattr(files, "get_cache", lambda path: Cache(records))
    found = list(files.from_lessons(str(tmp_path)))
    assert found == [({"name": "digits", "parts": ["unet"]}, {"unet": b"new"})]
