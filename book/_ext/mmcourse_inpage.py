"""Models that run in the pages: their files and the runtime, fetched and written at build time.

onnxruntime-web comes from the npm registry by exact version and hash; nothing of it is in the
repository. Where the registry cannot be reached the book is built without, and says so; the
widgets then show the still pictures, with a sentence.

A model comes from a checkpoint of the package (`MODELS`), or from the lesson that trained it: its
widget leaves the graphs in the outputs of its cell, from where they are taken here.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import urllib.request
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

VERSION = "1.30.0"
TARBALL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
DIST = {
    "runtime": "ort.wasm.min.js",
    "glue": "ort-wasm-simd-threaded.mjs",
    "wasm": "ort-wasm-simd-threaded.wasm",
}
SHARED = ("../widgets/noise.js", "../widgets/known_words.js")  # which widgets have, too
OURS = (*SHARED, "words.js", "sampler.js", "text_to_image.js", "worker.js")
PIECE = 1_000_000  # characters of one script, so that loading can tell how far it is
MODELS = ("text-to-image",)
Models = Iterable[tuple[dict[str, Any], dict[str, bytes]]]  # description, part → graph


class Unreachable(Exception):
    """Why there is no runtime, in one line."""


def runtime(cache: Path) -> dict[str, bytes]:
    """The files of onnxruntime-web, from the cache or the registry.

    Raises:
        Unreachable: neither has it, or what came is not what it should be.
    """
    kept = cache / f"onnxruntime-web-{VERSION}"
    if not all((kept / name).is_file() for name in DIST.values()):
        try:
            with urllib.request.urlopen(TARBALL, timeout=60) as answer:
                data = answer.read()
        except OSError as error:
            raise Unreachable(f"{TARBALL}: {error}") from None
        if base64.b64encode(hashlib.sha512(data).digest()).decode() != SHA512:
            raise Unreachable(f"{TARBALL} is not the file that it should be: another hash")
        kept.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(data)) as packed:
            for name in DIST.values():
                member = packed.extractfile(f"package/dist/{name}")
                assert member is not None, name
                (kept / name).write_bytes(member.read())
    return {part: (kept / name).read_bytes() for part, name in DIST.items()}


def exported(root: Path, name: str, cache: Path) -> Path:
    """The folder with a model's graphs; exported anew when weights or code have changed."""
    from mmcourse.inpage import export
    from mmcourse.weights import checkpoint_file

    digest = hashlib.sha256(checkpoint_file(name).read_bytes())
    for path in sorted((root / "mmcourse" / "inpage").glob("*.py")):
        digest.update(path.read_bytes())
    folder = cache / f"{name}-{digest.hexdigest()[:16]}"
    if not (folder / "model.json").is_file():
        export(name, folder)
    return folder


def write_file(target: Path, key: str, data: bytes) -> dict[str, Any]:
    """Write a file as scripts of about a megabyte; what the page must know to put it together."""
    packed = gzip.compress(data, 9, mtime=0)
    text = base64.b64encode(packed).decode()
    digest = hashlib.sha256(packed).hexdigest()[:8]
    listed: dict[str, Any] = {"key": key, "chunks": [], "sizes": []}
    for number, start in enumerate(range(0, len(text), PIECE)):
        piece, name = text[start : start + PIECE], f"{key}-{digest}-{number}.js"
        (target / name).write_text(f'mmPiece("{key}","{piece}");', encoding="ascii")
        listed["chunks"].append(name)
        listed["sizes"].append(len(piece))
    return listed


def write_list(target: Path, files: dict[str, dict[str, Any]], description: dict[str, Any]) -> int:
    """Write the list of a model's files; returns how many bytes the page will load."""
    name = description["name"]
    total = sum(sum(one["sizes"]) for one in files.values())
    contents = {"files": files, "bytes": total, "description": description}
    text = json.dumps(json.dumps(contents, ensure_ascii=False), ensure_ascii=False)
    (target / f"{name}.js").write_text(f'mmPiece("{name}",{text});', encoding="utf-8")
    return total


def from_lessons(cache_path: str) -> Models:
    """The models that lessons left in their outputs; of one name, that of the latest run."""
    from mmcourse.inpage.page_model import MIME

    cache, latest = get_cache(cache_path), {}
    for record in sorted(cache.list_cache_records(), key=lambda one: one.created):
        for cell in cache.get_cache_bundle(record.pk).nb.cells:
            for output in cell.get("outputs", []):
                if found := output.get("data", {}).get(MIME):
                    parts = {name: base64.b64decode(g) for name, g in found["parts"].items()}
                    latest[found["name"]] = {"name": found["name"], "parts": list(parts)}, parts
    return latest.values()


def from_checkpoints(root: Path, cache: Path) -> Models:
    """The models of checkpoints: (description, part → graph)."""
    for name in MODELS:
        folder = exported(root, name, cache)
        description = json.loads((folder / "model.json").read_text("utf-8"))
        yield description, {p: (folder / f"{p}.onnx").read_bytes() for p in description["parts"]}


def fill(target: Path, root: Path, cache: Path, made: Models) -> None:
    """Write the runtime and models into a folder, which is emptied first.

    Raises:
        Unreachable: there is no runtime; the folder stays empty.
    """
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.js"):
        old.unlink()
    ort = runtime(cache)
    scripts_of_ours = root / "mmcourse" / "inpage"
    shutil.copy2(scripts_of_ours / "loader.js", target / "loader.js")
    ours = "\n".join((scripts_of_ours / n).read_text("utf-8") for n in OURS)
    ort["runtime"] += b"\n" + ours.encode()
    shared = {part: write_file(target, part, data) for part, data in ort.items()}
    for description, parts in made:
        name = description["name"]
        own = {part: write_file(target, f"{name}-{part}", data) for part, data in parts.items()}
        size = write_list(target, {**shared, **own}, description)
        logger.info("%s runs in the pages: %.1f MB when it is asked for", name, size / 1e6)


def prepare(app: Sphinx, *_: Any) -> None:
    """Put all models into the built book, or say why they are missing."""
    root, cache = Path(app.srcdir), Path(app.outdir).parent / ".models"
    if app.builder.name != "html" or not (root / "mmcourse" / "inpage").is_dir():
        return
    found = from_checkpoints(root, cache), from_lessons(app.config.nb_execution_cache_path)
    try:
        fill(Path(app.outdir) / "_static" / "mm" / "models", root, cache, chain(*found))
    except Unreachable as reason:
        logger.info("the pages will be without their models: %s", reason)


def setup(app: Sphinx) -> None:
    """Let kernels know that a book is being built; write the models once all lessons have run."""
    from mmcourse.inpage.page_model import BUILDING

    os.environ[BUILDING] = "1"
    app.connect("env-updated", prepare)
