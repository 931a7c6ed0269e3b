"""Stands in for a judge's kernel: asks the nursery for one and lives exactly as long.

Run by path with the standard library alone, so that it starts in milliseconds:

    python -I -S launcher.py SOCKET CONNECTION_FILE PLACE
"""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Waits for the forked kernel to end; ends it by ending first."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    # jupyter_client interrupts a kernel by a signal to the process that it started: this one.
    signal.signal(signal.SIGINT, lambda *_: connection.send(b"i"))
    request = {"kind": "kernel", "connection_file": sys.argv[2], "cwd": os.getcwd()}
    request |= {"place": int(sys.argv[3])}
    connection.sendall(json.dumps(request).encode() + b"\n")
    return int(connection.recv(16) or b"1")


if __name__ == "__main__":
    sys.exit(main())
