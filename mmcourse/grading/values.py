"""Plain values as bytes and back: how arguments and results cross between processes.

A value is a JSON tree plus raw buffers. Only exact, listed types cross; everything else is
exported as an opaque handle by the side that runs the learner's code, and refused by the side
that judges. Nothing is pickled, so decoding never runs code.
"""

from __future__ import annotations

import collections
import json
import keyword
import math
import struct
from collections.abc import Callable
from typing import Any

MAX_BYTES = 256 * 2**20
MAX_HEADER = 16 * 2**20
MAX_NODES = 100_000
MAX_DEPTH = 40
MAX_INT_BITS = 2048
MAX_KEYS, MAX_FIELDS = 20_000, 250
DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128",
)  # fmt: skip
NUMPY_KINDS = "biufc"


class BadValue(ValueError):
    """A value that cannot cross, or bytes that are not a value."""


class Encoder:
    """Turns one value into a JSON tree and a list of buffers."""

    def __init__(self, export: Callable[[Any], tuple[int, str]] | None = None) -> None:
        self.export = export
        self.buffers: list[bytes] = []
        self.nodes = 0
        self.size = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The JSON tree of a value; tensors and bytes go to `buffers`."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise BadValue("the value is nested too deeply or has too many parts")
        if value is None or type(value) in (bool, str):
            return value
        for encode in (self._number, self._container, self._array, self._torch):
            tree = encode(value, depth)
            if tree is not None:
                return tree
        return self._opaque(value)

    def _number(self, value: Any, depth: int) -> Any:
        if type(value) is int and value.bit_length() <= MAX_INT_BITS:
            return {"i": hex(value)}
        if type(value) is float:
            return {"f": _float_text(value)}
        if type(value) is complex:
            return {"c": [_float_text(value.real), _float_text(value.imag)]}
        if type(value) is bytes:
            return {"b": self._buffer(value)}
        return None

    def _container(self, value: Any, depth: int) -> Any:
        def each(items):
            return [self.encode(item, depth + 1) for item in items]

        kinds: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "s"}
        if type(value) in kinds:
            return {kinds[type(value)]: each(value)}
        if isinstance(value, dict) and type(value) in (dict, collections.OrderedDict):
            return {"d": each(part for pair in list(value.items()) for part in pair)}
        fields = getattr(type(value), "_fields", None)
        if isinstance(value, tuple) and isinstance(fields, tuple):
            return {"n": [type(value).__name__, list(fields), each(tuple(value))]}
        return None

    def _array(self, value: Any, depth: int) -> Any:
        import numpy as np

        if type(value) is np.ndarray or isinstance(value, np.generic):
            array = np.asarray(value)
            if array.dtype.kind not in NUMPY_KINDS:
                return None
            tag = "a" if type(value) is np.ndarray else "x"
            buffer = self._buffer(array.tobytes())
            return {tag: [array.dtype.str, list(array.shape), buffer]}
        return None

    def _torch(self, value: Any, depth: int) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, torch.Size):
            return {"t": [self.encode(int(size), depth + 1) for size in value]}
        if isinstance(value, torch.dtype):
            return {"y": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"v": str(value)}
        if isinstance(value, torch.Generator) and self.export is None:
            return {"g": self._buffer(value.get_state().numpy().tobytes())}
        return None

    def _tensor(self, value: Any) -> Any:
        import torch

        dtype = str(value.dtype).removeprefix("torch.")
        if value.is_sparse or value.is_quantized or value.is_meta or dtype not in DTYPES:
            return None
        plain = value.detach().as_subclass(torch.Tensor).cpu()
        plain = plain.resolve_conj().resolve_neg().contiguous()
        raw = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        return {"T": [dtype, list(plain.shape), self._buffer(raw)]}

    def _buffer(self, raw: bytes) -> int:
        self.size += len(raw)
        if self.size > MAX_BYTES:
            raise BadValue(f"the value is larger than {MAX_BYTES // 2**20} MiB")
        self.buffers.append(raw)
        return len(self.buffers) - 1

    def _opaque(self, value: Any) -> Any:
        handle = getattr(value, "__mmcourse_handle__", None)
        if type(handle) is int:
            return {"h": [handle, ""]}
        if self.export is None:
            raise BadValue(
                f"a {type(value).__name__} cannot be passed by value: "
                'build it with student.run("return …") and pass the handle'
            )
        number, name = self.export(value)
        return {"h": [number, name]}


class Decoder:
    """Rebuilds a value from its JSON tree and buffers; anything unexpected is BadValue.

    A buffer is used once and parts are counted: few bytes never become a giant.
    """

    def __init__(self, buffers: list[bytes], handle: Callable[[int, str], Any]) -> None:
        self.buffers, self.handle, self.nodes = dict(enumerate(buffers)), handle, 0
        self.tuples: dict[tuple[str, ...], Any] = {}

    def decode(self, tree: Any, depth: int = 0) -> Any:
        """The value of a tree."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise BadValue("malformed value")
        if tree is None or isinstance(tree, (bool, str)):
            return tree
        if depth > MAX_DEPTH or not isinstance(tree, dict) or len(tree) != 1:
            raise BadValue("malformed value")
        ((tag, content),) = tree.items()
        decoders: dict[str, Callable[[Any, int], Any]] = {
            "i": lambda text, _: int(text, 16), "f": lambda text, _: _float(text),
            "c": lambda pair, _: complex(_float(pair[0]), _float(pair[1])),
            "b": lambda index, _: self.buffers.pop(index),
            "l": self._each, "t": lambda items, d: tuple(self._each(items, d)),
            "s": lambda items, d: set(_few(self._each(items, d))),
            "d": self._dict, "n": self._named,
            "a": lambda parts, _: self._array(*parts),
            "x": lambda parts, _: self._array(*parts)[()],
            "T": lambda parts, _: self._tensor(*parts),
            "y": lambda name, _: _dtype(name), "v": lambda name, _: _device(name),
            "g": lambda index, _: self._generator(index),
            "h": lambda parts, _: self.handle(int(parts[0]), str(parts[1])[:100]),
        }  # fmt: skip
        if tag not in decoders:
            raise BadValue("malformed value")
        return decoders[tag](content, depth)

    def _each(self, items: Any, depth: int) -> list[Any]:
        if not isinstance(items, list):
            raise BadValue("malformed list")
        return [self.decode(item, depth + 1) for item in items]

    def _dict(self, items: Any, depth: int) -> dict[Any, Any]:
        flat = _few(self._each(items, depth))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def _named(self, parts: Any, depth: int) -> Any:
        name, fields, items = parts
        values, key = self._each(items, depth), (name, *fields)
        if key not in self.tuples:
            words = all(str.isidentifier(w) and not keyword.iskeyword(w) for w in key)
            if not words or max(len(fields), len(self.tuples)) > MAX_FIELDS:
                raise BadValue("malformed tuple")
            self.tuples[key] = collections.namedtuple(name, fields, rename=True)
        return self.tuples[key](*values)

    def _array(self, dtype: str, shape: list[int], index: int) -> Any:
        import numpy as np

        kind = np.dtype(dtype)
        if kind.kind not in NUMPY_KINDS:
            raise BadValue("malformed array")
        raw = self._exact(shape, kind.itemsize, index)
        if kind.kind == "b":
            return (np.frombuffer(raw, np.uint8) != 0).reshape(shape)
        return np.frombuffer(raw, kind).reshape(shape).copy()

    def _tensor(self, dtype: str, shape: list[int], index: int) -> Any:
        import torch

        kind = _dtype(dtype)
        raw = self._exact(shape, kind.itemsize, index)
        if not raw:
            return torch.empty(shape, dtype=kind)
        flat = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
        # A byte that is neither 0 nor 1 would make an ill-formed bool: compare, do not view.
        flat = flat != 0 if kind == torch.bool else flat.view(kind)
        return flat.reshape(shape)

    def _exact(self, shape: list[int], itemsize: int, index: int) -> bytes:
        """The buffer, if it has exactly the bytes that the shape asks for."""
        raw = self.buffers.pop(index)
        if len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
            raise BadValue("malformed shape")
        # (0, 2**40) holds nothing, but a sum over it would be a giant.
        most = math.prod(filter(None, shape)) * itemsize
        if math.prod(shape) * itemsize != len(raw) or most > MAX_BYTES:
            raise BadValue("malformed shape")
        return raw

    def _generator(self, index: int) -> Any:
        import torch

        state = torch.frombuffer(bytearray(self.buffers.pop(index)), dtype=torch.uint8)
        generator = torch.Generator()
        generator.set_state(state)
        return generator


def dumps(value: Any, export: Callable[[Any], tuple[int, str]] | None = None) -> bytes:
    """A value as bytes: header length, JSON header, buffers."""
    encoder = Encoder(export)
    tree = encoder.encode(value)
    sizes = [len(raw) for raw in encoder.buffers]
    header = json.dumps({"tree": tree, "sizes": sizes}).encode()
    if len(header) > MAX_HEADER:
        raise BadValue("the value has too many parts")
    return b"".join([struct.pack("<I", len(header)), header, *encoder.buffers])


def loads(data: bytes, handle: Callable[[int, str], Any]) -> Any:
    """The value of bytes written by `dumps`. Raises BadValue for anything else."""
    try:
        (length,) = struct.unpack_from("<I", data)
        if length > MAX_HEADER:
            raise BadValue("the value has too many parts")
        header = json.loads(data[4 : 4 + length])
        buffers, start = [], 4 + length
        for size in header["sizes"]:
            if type(size) is not int or size < 0 or start + size > len(data):
                raise BadValue("malformed sizes")
            buffers.append(data[start : start + size])
            start += size
        return Decoder(buffers, handle).decode(header["tree"])
    except BadValue:
        raise
    except Exception as error:  # hostile bytes may break any of the steps above
        raise BadValue(f"malformed value ({type(error).__name__})") from None


def _few(items: list[Any]) -> list[Any]:
    """Not so many that keys of equal hash take minutes."""
    if len(items) <= 2 * MAX_KEYS:
        return items
    raise BadValue("a set or dict has too many parts")


def _float_text(value: float) -> str:
    return value.hex() if math.isfinite(value) else repr(value)


def _float(text: Any) -> float:
    if not isinstance(text, str):
        raise BadValue("malformed number")
    return float(text) if text in ("inf", "-inf", "nan") else float.fromhex(text)


def _dtype(name: Any) -> Any:
    import torch

    if name not in DTYPES:
        raise BadValue(f"malformed dtype {name!r:.40}")
    return getattr(torch, name)


def _device(name: Any) -> Any:
    import torch

    return torch.device(str(name)[:20])
