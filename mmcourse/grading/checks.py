"""`check`, `student`, `rand` …: what the code of a check cell uses.

    with check("ex1.value"):
        y = student.attention_weights(q, k)

A backend says where the learner's code is: in this kernel (JupyterLab) or in a worker process
(the grader). The code of the check is the same.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, Protocol

from mmcourse.grading import blame
from mmcourse.grading.expect import CheckFailed
from mmcourse.grading.forbid import forbidden_calls, last_answer, refusal
from mmcourse.grading.host import UNDEFINED, Host
from mmcourse.grading.values import BadValue, dumps, loads

MAX_CHECK_BYTES = 2**30
# Blanks but the line feed, controls, and what turns the direction of writing.
CONTROL = re.compile(r"[^\S\n]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
GREEN, RED, BOLD, RESET = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


class Backend(Protocol):
    """Where the learner's code lives, and what becomes of a verdict."""

    def begin(self, key: str, forbid: Sequence[str] = ()) -> int:
        """Starts a check: seeds the learner's side and returns the seed of the inputs.

        Args:
            key: the check's name.
            forbid: calls that the answer may not use.
        """
        ...

    def request(self, data: bytes) -> bytes:
        """Sends an encoded request to the learner's side and returns the encoded result."""
        ...

    def finish(self, key: str, error: BaseException | None) -> bool:
        """Ends a check; true swallows the error."""
        ...


class NotYet(CheckFailed):
    """A failed check as the learner sees it: one coloured sentence, no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{RED}{BOLD}not yet{RESET} {self}"]


class LocalBackend:
    """The learner's own kernel: names are looked up in the notebook."""

    def __init__(self, namespace: dict[str, Any] | None = None, loud: bool = True) -> None:
        self.namespace = namespace
        self.loud = loud
        self.host: Host | None = None

    def begin(self, key: str, forbid: Sequence[str] = ()) -> int:
        """A fresh host, and every generator seeded.

        Raises:
            NotYet: the answer, as it was run last, uses a call that is not allowed in it.
        """
        self.host = self._host()
        source = last_answer(self.host.namespace.get("In"), key.split(".")[0])
        names = forbidden_calls(source, list(forbid))
        if names:
            raise NotYet(f"{key}: {refusal(names)}")
        seed = self.seed(key)
        self.host.do_seed(seed)
        return seed

    def seed(self, key: str) -> int:
        """In the notebook the inputs depend on the check's key alone."""
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")

    def request(self, data: bytes) -> bytes:
        """Answers in this process, so that a learner sees their own traceback."""
        if self.host is None:
            self.host = self._host()
        return self.host.answer(data)

    def _host(self) -> Host:
        if self.namespace is not None:
            return Host(self.namespace)
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is None:
            return Host(vars(sys.modules["__main__"]))
        return Host(shell.user_ns, shell.transform_cell)

    def finish(self, key: str, error: BaseException | None) -> bool:
        """Prints the verdict; a failure is raised again in words for the learner."""
        if error is None:
            if self.loud:
                print(f"ok {key}")
            return False
        if unanswered(error):
            _explain_unanswered(key, error)
        own = isinstance(error, AssertionError) and blame.came_from_learner(error)
        if isinstance(error, (CheckFailed, BadValue, AssertionError)) and not own:
            raise NotYet(f"{key}: {str(error) or 'an assertion failed'}") from None
        namespace = self.host.namespace if self.host else {}
        _explain_error(key, error, namespace)


def unanswered(error: BaseException | None) -> bool:
    """True for the stub's own error; torch, too, raises NotImplementedError, with a text."""
    text = str(error)
    return isinstance(error, NotImplementedError) and (not text or text.endswith(UNDEFINED))


def _explain_unanswered(key: str, error: BaseException) -> NoReturn:
    """The error stays a NotImplementedError; only its picture becomes short."""
    text = f"{BOLD}not answered yet{RESET} {key}: {error or 'fill in the answer cell above'}"
    error._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]
    raise error.with_traceback(None) from None


def _explain_error(key: str, error: BaseException, namespace: dict[str, Any]) -> NoReturn:
    """The error stays what it is; its picture shows the learner's own line and no other."""
    first = next(iter(blame.message(error).strip().splitlines()), "")[:300]
    said = f"the result cannot be used ({type(error).__name__}: {first})"
    line, text = 0, ""
    if blame.came_from_learner(error):
        said = blame.raised(type(error).__name__, first)
        line, text = blame.place(error, namespace)
    lines = [f"{RED}{BOLD}not yet{RESET} {key}: {said}"]
    lines += [blame.pointer(line, text)] if line else []
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
    raise error.with_traceback(None) from None


class _Session:
    """The one backend of this process and the generator of the current check."""

    def __init__(self) -> None:
        self.backend: Backend = LocalBackend()
        self.generator: Any = None
        self.received = 0

    def seed(self, seed: int) -> None:
        import torch

        self.received = 0
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Any:
        if self.generator is None:
            self.seed(0)
        return self.generator

    def ask(self, operation: str, *arguments: Any) -> Any:
        reply = self.backend.request(dumps([operation, list(arguments)]))
        self.received += len(reply)
        if self.received > MAX_CHECK_BYTES:  # a list with a giant for each item, say
            raise BadValue(f"the results are larger than {MAX_CHECK_BYTES // 2**20} MiB together")
        return loads(reply, Handle)


session = _Session()


class Handle:
    """An object that stays on the learner's side: call it, read its attributes, pass it back."""

    def __init__(self, number: int, kind: str) -> None:
        self.__mmcourse_handle__ = number
        self._kind = kind

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return session.ask("call", self, arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return session.ask("attr", self, name)

    def __getitem__(self, key: Any) -> Any:
        return session.ask("item", self, key)

    def __len__(self) -> int:
        return session.ask("len", self)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<the learner's {self._kind}>"


class Student:
    """`student.NAME(...)` calls the learner's function by value."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return session.ask("get", name)

    def run(self, source: str, **variables: Any) -> Any:
        """Runs statements on the learner's side; a `return` gives the result."""
        return session.ask("run", source, variables)


student = Student()


class check:
    """Runs one check and says `ok ex1.value`, or what is not right yet.

    A class in lower case, because it reads as a statement: `with check("ex1.value"):`.
    """

    def __init__(self, key: str, forbid: Sequence[str] = ()) -> None:
        self.key = key
        self.forbid = forbid

    def __enter__(self) -> None:
        session.seed(session.backend.begin(self.key, self.forbid))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return session.backend.finish(self.key, error)


def rand(*shape: int) -> Any:
    """Uniform numbers in [0, 1), chosen by the judge."""
    import torch

    return torch.rand(_sizes(shape), generator=session.draw())


def randn(*shape: int) -> Any:
    """Standard normal numbers, chosen by the judge."""
    import torch

    return torch.randn(_sizes(shape), generator=session.draw())


def randint(low: int, high: int, shape: Sequence[int] = ()) -> Any:
    """Whole numbers in [low, high), int64, chosen by the judge."""
    import torch

    return torch.randint(low, high, tuple(shape), generator=session.draw())


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        return tuple(shape[0])
    return shape


def plain(text: object, limit: int = 2000) -> str:
    """Text without terminal codes, control characters or halves of characters, cut to a length."""
    whole = str(text)[: 4 * limit].encode("utf-8", "replace").decode()
    uncoloured = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", whole)
    return CONTROL.sub(" ", uncoloured).strip()[:limit]
