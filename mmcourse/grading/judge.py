"""Runs in the judge's kernel: trusted checks call the learner's code in the sandbox.

The notebook that nbval drives holds no line of the learner's. A check passes when it ends
without an error; then it prints the line that the notebook expects, with a secret in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmcourse.grading import blame, checks, link, wire
from mmcourse.grading.expect import CheckFailed
from mmcourse.grading.fairness import Reference
from mmcourse.grading.link import NOISY, Link, Stopped
from mmcourse.grading.namespaces import die_with_parent
from mmcourse.grading.sandbox import Isolation
from mmcourse.grading.values import BadValue, dumps

CELL_LIMIT_S = 20.0
TIMEOUTS_ALLOWED = 2
ERROR_BYTES = 2**20
OWN_MEMORY_BYTES = 8 * 2**30


class StudentError(Exception):
    """An error of the learner's code, by name and text."""

    def __init__(self, names: list[str], message: str, pointer: str) -> None:
        self.names = names
        place = f"\n{pointer}" if pointer else ""
        super().__init__(blame.raised(names[0], message) + place)


class JudgeBackend:
    """Sends every request to the sandbox and keeps the judge's own record."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.record: dict[str, Any] = {"checks": {}, "cell_errors": {}, "restarts": 0, "infra": []}
        self.stopped_cells: set[int] = set()
        self.timeouts: dict[str, int] = {}
        self.blocked = ""
        self.skipped = False
        self.seconds = 0.0
        self.limit_s = CELL_LIMIT_S
        self.reference = _reference(spec["sheet"])
        isolation = Isolation(**spec["isolation"])
        self.link = Link(isolation, spec["budget_s"], link.inherited if isolation.warm else None)

    def begin(self, key: str, forbid: Sequence[str] = ()) -> int:
        """Starts a check with a live child; refusals (known already) act at its first request."""
        about = self.spec["checks"][key]
        exercise = about["exercise"]
        seed = self._fair_seed(key)
        self.seconds, self.limit_s, self.skipped = 0.0, about["timeout_s"], False
        self.link.muted = self.link.muted or about["hidden"]
        self.blocked = self.spec["refused"].get(exercise, "")
        if self.timeouts.get(exercise, 0) >= TIMEOUTS_ALLOWED:
            self.blocked, self.skipped = "not run: this answer timed out twice", True
        elif self.link.spent_s >= self.link.budget_s:
            self.blocked, self.skipped = "not run: the submission's time is used up", True
        if not self.blocked:
            self._load()
            with contextlib.suppress(CheckFailed, StudentError):
                self.request(dumps(["seed", [seed]]))
        return seed

    def _fair_seed(self, key: str) -> int:
        """The check's seed, or the first after it whose inputs the sheet's own solution passes."""
        seed = self.spec["checks"][key]["seed"]
        if self.reference is None:
            return seed
        fair = self.reference.seed(key, seed)
        if fair is None:
            self.record["infra"].append(f"{key}: the sheet's own solution does not pass it")
        else:
            self.spec["checks"][key]["seed"] = fair
        return self.spec["checks"][key]["seed"]

    def request(self, data: bytes) -> bytes:
        """One request of the running check."""
        if self.blocked:
            raise CheckFailed(self.blocked)
        try:
            reply, seconds = self.link.exchange(b"r" + data, self.limit_s - self.seconds)
        except Stopped as stopped:
            self.blocked = str(stopped)
            self.record["restarts"] += 1
            raise CheckFailed(self.blocked) from None
        self.seconds += seconds
        return _open(reply)

    def _load(self) -> None:
        """Runs the learner's cells in a new child; a cell that stops it is left out for good."""
        if self.link.noisy():
            self.link.drop()
        if self.link.connection is not None:
            return
        while not self._try_load():
            self.record["restarts"] += 1

    def _try_load(self) -> bool:
        self.link.fresh()
        for number, piece in enumerate(self.spec["pieces"]):
            if number in self.stopped_cells:
                continue
            problem = ""
            try:
                _open(self.link.exchange(b"c" + piece["source"].encode(), CELL_LIMIT_S)[0])
                if self.link.noisy():
                    raise Stopped(NOISY)
            except Stopped as stopped:
                self.stopped_cells.add(number)
                self._note(piece["label"], str(stopped))
                return False
            except NotImplementedError:
                problem = "not answered yet"
            except (StudentError, BadValue) as error:
                problem = str(error)
            if problem:
                self._note(piece["label"], problem)
                if piece["trusted"]:
                    self.record["infra"].append(f"{piece['label']} fails: {problem}")
        return True

    def _note(self, label: str, problem: str) -> None:
        """Keeps why a cell stopped; not once hidden checks have begun, whose inputs it may know."""
        if not self.link.muted:
            self.record["cell_errors"][label] = problem

    def finish(self, key: str, error: BaseException | None) -> bool:
        """Writes the verdict down, and prints the expected line if the check passed."""
        status, message = self._verdict(key, error)
        self.record["checks"][key] = {
            "status": status,
            "message": checks.plain(message),
            "public": self._public(key, error, message),
            "seed": self.spec["checks"][key]["seed"],
            "seconds": round(self.seconds, 3),
        }
        self.save()
        print(f"ok {key} {self.spec['nonce']}" if status == "pass" else f"{status} {key}")
        return isinstance(error, Exception)

    def _verdict(self, key: str, error: BaseException | None) -> tuple[str, str]:
        exercise = self.spec["checks"][key]["exercise"]
        if self.blocked and not self.skipped and self.blocked.startswith("no answer within"):
            self.timeouts[exercise] = self.timeouts.get(exercise, 0) + 1
        if self.skipped:
            return "not_run", self.blocked
        if self.blocked:
            return "fail", self.blocked
        if error is None:
            return "pass", ""
        if checks.unanswered(error):
            return "fail", self._why_unanswered(exercise)
        if isinstance(error, BadValue):
            return "fail", f"the result cannot be read: {error}"
        if isinstance(error, (CheckFailed, AssertionError, StudentError)):
            return "fail", str(error) or "an assertion failed"
        return "fail", f"the result cannot be used ({type(error).__name__}: {error})"

    def _public(self, key: str, error: BaseException | None, message: str) -> str:
        """What may be said of a hidden check: nothing that depends on its inputs."""
        refused = self.spec["refused"].get(self.spec["checks"][key]["exercise"], "")
        if refused or self.blocked:
            return refused
        if isinstance(error, StudentError):
            # A name of the learner's own making could carry a message.
            return blame.raised(blame.builtin_name(error.names), "")
        return message if checks.unanswered(error) else ""

    def _why_unanswered(self, exercise: str) -> str:
        labels = [p["label"] for p in self.spec["pieces"] if p["exercise"] == exercise]
        if not labels:
            return "no answer cell was found for this question"
        errors = [self.record["cell_errors"].get(label, "") for label in labels]
        real = [text for text in errors if text and text != "not answered yet"]
        return f"the answer cell stops: {real[0]}" if real else "not answered yet"

    def save(self) -> None:
        """Writes the record, whole or not at all."""
        self.record["output"] = checks.plain(self.link.output.decode("utf-8", "replace"), 8000)
        path = Path(self.spec["record"])
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.record))
        os.replace(part, path)


def _open(reply: bytes) -> bytes:
    """The payload of a reply; the learner's error is raised as one of ours."""
    if reply[:1] == wire.VALUE:
        return reply[1:]
    if len(reply) > ERROR_BYTES:
        raise BadValue("malformed reply")
    try:
        about = json.loads(reply[1:])
        names = [checks.plain(name, 80) for name in about["names"]] or ["an error"]
        message, text = checks.plain(about["message"], 500), checks.plain(about["text"], 120)
        pointer = blame.pointer(checks.plain(about["line"] or "", 10), text)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadValue("malformed reply") from None
    undefined = NotImplementedError(message)
    if names[0] == "NotImplementedError" and checks.unanswered(undefined):
        raise undefined
    if names[0] == BadValue.__name__:
        raise BadValue(message)
    raise StudentError(names, message, pointer)


def _reference(cells: list[dict[str, Any]]) -> Reference | None:
    """The sheet's solution; None if it cannot run here, so that nothing can be said by it."""
    try:
        return Reference(cells)
    except Exception:
        return None


_running: list[JudgeBackend] = []


def begin_judging(spec: str) -> None:
    """The judge notebook's first cell."""
    die_with_parent()
    _limit_memory()
    # Whatever stands on stderr would fail a checked cell.
    warnings.simplefilter("ignore")
    backend = JudgeBackend(json.loads(Path(spec).read_text()))
    import torch

    torch.set_num_threads(1)
    _running.append(backend)
    checks.session.backend = backend


def _limit_memory() -> None:
    """A learner's giant result is an error of the check that works with it, not the end of us."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + OWN_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def end_judging() -> None:
    """The judge notebook's last cell."""
    for backend in _running:
        backend.record["complete"] = True
        backend.link.close()
        backend.save()
