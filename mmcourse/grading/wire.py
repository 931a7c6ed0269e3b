"""Length-prefixed messages on a socket, for the judge and the worker."""

from __future__ import annotations

import socket
import struct

VALUE, ERROR = b"v", b"e"
MAX_FRAME = 300 * 2**20
# A request begins with random bytes, and so does its reply: none can be made in advance.
TOKEN_BYTES = 8


def frame(payload: bytes) -> bytes:
    """A message with its length in front."""
    return struct.pack("<Q", len(payload)) + payload


def send(connection: socket.socket, payload: bytes) -> None:
    """Sends one message."""
    connection.sendall(frame(payload))


def receive(connection: socket.socket) -> bytes:
    """Receives one message; raises EOFError when the other side is gone."""
    (length,) = struct.unpack("<Q", _exactly(connection, 8))
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 2**20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
