"""Runs inside the sandbox: a parent that imports torch once and forks a child per attempt.

The child runs the learner's cells with IPython and answers requests by value. Nothing it sends
is trusted; the worst it can do is to answer wrongly.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from mmcourse.grading import blame, wire
from mmcourse.grading.host import Host

MESSAGE_LIMIT = 2000


def main(options: dict[str, Any]) -> None:
    """Serves the control socket on standard input until it closes."""
    control = socket.socket(fileno=os.dup(0))
    _confine(options)
    shell = _shell()
    control.send(b"ready")
    while True:
        command, handles, _, _ = socket.recv_fds(control, 16, 1)
        _kill_children(options["own_pids"])
        if not command:
            return
        if command == b"start":
            child = os.fork()
            if child == 0:
                control.close()
                _serve(socket.socket(fileno=handles[0]), shell)
            _groups.append(child)
            os.close(handles[0])
        control.send(b"done")


def _confine(options: dict[str, Any]) -> None:
    """Drops root and sets limits, before any line of the learner's runs."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: options["file_bytes"],
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_AS: options["address_bytes"],
        resource.RLIMIT_CPU: options["cpu_s"],
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_NPROC] = options["processes"]
    for which, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (value, value))
    if options["uid"]:
        os.setgroups([])
        os.setresgid(*[options["uid"]] * 3)
        os.setresuid(*[options["uid"]] * 3)
    die_with_parent()


def die_with_parent() -> None:
    """Asks Linux to kill this process when the one that started it ends; gains no privileges."""
    if sys.platform != "linux":
        return
    import ctypes

    set_death_signal, set_no_new_privileges = 1, 38
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)
    prctl(set_no_new_privileges, 1, 0, 0, 0)


def _shell() -> Any:
    """An IPython shell without history, so that magics and `await` work as in a notebook."""
    import torch  # noqa: F401 - imported once, before any fork
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.xmode = "Plain"
    return InteractiveShell.instance(config=config)


def _kill_children(own_pids: bool) -> None:
    """Ends the current child and, in a process namespace of our own, all it has started."""
    if own_pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    for group in _groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    _groups.clear()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0)[0]:
            pass


_groups: list[int] = []


def _serve(connection: socket.socket, shell: Any) -> None:
    """The child: answers requests until the connection ends. Never returns."""
    os.setsid()
    die_with_parent()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    wire.send(connection, b"hello")
    host = Host(shell.user_ns, shell.transform_cell)
    while True:
        try:
            message = wire.receive(connection)
        except (EOFError, OSError):
            os._exit(0)
        reply = _reply(host, shell, message[:1], message[1:])
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        wire.send(connection, reply)


def _reply(host: Host, shell: Any, kind: bytes, payload: bytes) -> bytes:
    try:
        if kind == b"c":
            run_cell(shell, payload.decode())
            return wire.VALUE
        return wire.VALUE + host.answer(payload)
    except BaseException as error:  # SystemExit and KeyboardInterrupt are answers, too
        return wire.ERROR + _error(error, host.namespace)


def run_cell(shell: Any, source: str) -> None:
    """Runs a notebook cell and raises the error it ended with, if any."""
    result = shell.run_cell(source, store_history=False)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        raise error


def _error(error: BaseException, namespace: dict[str, Any]) -> bytes:
    """An error as JSON; even its text is the learner's code and may fail."""
    try:
        message = str(blame.message(error))[:MESSAGE_LIMIT]
    except BaseException:
        message = ""
    names = [kind.__name__ for kind in type(error).__mro__]
    line, text = blame.place(error, namespace)
    about = {"names": names, "message": message, "line": line, "text": text}
    return json.dumps(about).encode()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
