"""An error of the learner's code in words: its name, and the learner's own line."""

from __future__ import annotations

import builtins
import linecache
from types import TracebackType
from typing import Any

from mmcourse.grading import host

LINE_LIMIT = 120


def place(error: BaseException, namespace: dict[str, Any]) -> tuple[int, str]:
    """Number and text of the learner's line that an error came from last; (0, "") if none did.

    Args:
        error: what was raised.
        namespace: the learner's names; code whose globals they are is the learner's.
    """
    last = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is vars(host):
            last = None  # up to here it was the check's own code
        elif trace.tb_frame.f_globals is namespace and _file(trace) != host.CHECK_FILE:
            last = trace
        trace = trace.tb_next
    if last is not None:
        return last.tb_lineno, linecache.getline(_file(last), last.tb_lineno).strip()[:LINE_LIMIT]
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno, (error.text or "").strip()[:LINE_LIMIT]
    return 0, ""


def came_from_learner(error: BaseException) -> bool:
    """True if an error was raised while a request was answered on the learner's side."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is vars(host):
            return True
        trace = trace.tb_next
    return False


def message(error: BaseException) -> str:
    """An error's text; a syntax error's without the name of a file that nobody has."""
    return error.msg if isinstance(error, SyntaxError) else str(error)


def raised(name: str, text: str) -> str:
    """The sentence: your code raised NameError: …"""
    return f"your code raised {name}{': ' if text else ''}{text}"


def pointer(line: int | str, text: str) -> str:
    """your line 4: `…`, or an empty string."""
    if not line:
        return ""
    return f"your line {line}: {text}" if text else f"your line {line}"


def builtin_name(names: list[str]) -> str:
    """The first of an error's class names that Python itself gave."""
    known = (n for n in names if isinstance(getattr(builtins, n, None), type))
    return next(known, "an error")


def _file(trace: TracebackType) -> str:
    return trace.tb_frame.f_code.co_filename
