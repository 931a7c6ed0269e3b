"""Runs inside the sandbox: a parent that imports torch once and forks a child per attempt.

The child gives up every right it does not need, runs the learner's cells with IPython and
answers requests by value. Nothing it sends is trusted; the worst it can do is to answer wrongly.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from mmcourse.grading import blame, landlock, namespaces, seccomp, wire
from mmcourse.grading.host import Host

MESSAGE_LIMIT = 2000
ROUNDS = 100


def main(options: dict[str, Any]) -> None:
    """Serves the control socket on standard input until it closes."""
    control = socket.socket(fileno=os.dup(0))
    namespaces.die_with_parent()
    namespaces.adopt_orphans()
    shell = _shell()
    for module in options["modules"]:
        with contextlib.suppress(Exception):  # whoever needs it will see the error
            importlib.import_module(module)
    gc.freeze()  # what is imported stays shared with every fork
    control.sendall(b"ready\n")
    while True:
        command, handles, _, _ = socket.recv_fds(control, 4096, 1)
        end_children(options["uid"])
        if not command:
            return
        request = json.loads(command)
        if handles:
            _start(control, handles[0], shell, options | request)
        control.sendall(f"{request['token']}\n".encode())


def _start(control: socket.socket, handle: int, shell: Any, options: dict[str, Any]) -> None:
    """Forks an attempt, which answers on the socket with this handle."""
    child = os.fork()
    if child:
        _started.append(child)
        os.close(handle)
        return
    control.close()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        if options["warm"]:
            sizes = options["temporary_bytes"], options["shared_bytes"]
            namespaces.enter(*sizes, (handle,), options["kept"])
        _confine(options)
    except OSError as error:
        print(f"the sandbox cannot be set up: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    _serve(socket.socket(fileno=handle), shell)


def _confine(options: dict[str, Any]) -> None:
    """Sets limits and drops rights, before any line of the learner's runs."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: options["temporary_bytes"],
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_AS: options["address_bytes"],
        resource.RLIMIT_CPU: options["cpu_s"],
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_NPROC] = options["processes"]
        limits[resource.RLIMIT_MSGQUEUE] = 0
    for which, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (value, value))
    if options["landlock"]:
        landlock.restrict(options["readable"], [options["folder"]])
    if options["uid"]:
        os.setgroups([])
        os.setresgid(*[options["uid"]] * 3)
        os.setresuid(*[options["uid"]] * 3)
    if sys.platform == "linux":
        namespaces.give_up_capabilities()
        seccomp.refuse_calls()
    os.setsid()
    namespaces.die_with_parent()


def end_children(uid: int) -> None:
    """Ends the running attempt and everything it has started, and waits until it is gone.

    Args:
        uid: the user whose processes end with it; 0 if it has none of its own.
    """
    for _ in range(ROUNDS):
        children = _children()
        if not children:
            break
        if uid:
            _end_user(uid)
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
    _started.clear()


def _end_user(uid: int) -> None:
    """Kills every process of a user at once, as that user: no fork can outrun it."""
    killer = os.fork()
    if not killer:
        with contextlib.suppress(BaseException):
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(killer, 0)


def _children() -> list[int]:
    """This process's children, adopted orphans among them where the system tells."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:
        return list(_started)
    return [int(word) for word in text.split()]


_started: list[int] = []


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


def _serve(connection: socket.socket, shell: Any) -> None:
    """The child: answers requests until the connection ends. Never returns."""
    wire.send(connection, b"hello")
    host = Host(shell.user_ns, shell.transform_cell)
    while True:
        try:
            message = wire.receive(connection)
        except (EOFError, OSError):
            os._exit(0)
        token, request = message[: wire.TOKEN_BYTES], message[wire.TOKEN_BYTES :]
        reply = token + _reply(host, shell, request[:1], request[1:])
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
