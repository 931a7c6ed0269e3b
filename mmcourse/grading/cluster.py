"""Submissions graded by the workers of a Dask cluster: one task each.

A task is a unit of `mmcourse.grading.one`, so the secret never leaves this machine. What goes
wrong on one worker (it dies, it has no sandbox, its disk is full) is tried on others; when that
fails, too, the submission is a grader error. TLS and time-outs are Dask's own configuration.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmcourse.grading import extract, one
from mmcourse.grading.collect import Job, failed
from mmcourse.grading.units import pack

if TYPE_CHECKING:
    from distributed import Client, Future

    from mmcourse.grading.batch import Plan

TRIES = 3
CONNECT_S = 10


@contextlib.contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of the cluster at an address such as `tls://host:8786`.

    Raises:
        ValueError: dask is not installed, or nothing answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("--cluster needs Dask: pip install 'mmcourse[cluster]'") from None
    try:
        _check(address)
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"no Dask cluster at {address} ({error})") from None
    try:
        yield client
    finally:
        client.close()


def _check(address: str) -> None:
    """Raises ValueError for what a client would stumble over half-way."""
    from distributed.comm import get_address_host_port, parse_address
    from distributed.security import Security

    get_address_host_port(address)
    secure = parse_address(address)[0] in ("tls", "wss")
    if secure and not Security().get_connection_args("client").get("ssl_context"):
        raise ValueError("Dask's configuration names no certificates: distributed.comm.tls")


def work(unit: str) -> str:
    """Runs on a worker: a unit's result or what is wrong there, and the worker's address."""
    from distributed import get_worker

    worker = get_worker()
    about: dict[str, Any] = {"worker": worker.address}
    try:
        about["result"] = one.grade(json.loads(unit), places=worker.state.nthreads)
    except one.Unfit as error:
        about |= {"unfit": True, "problem": str(error)}
    except Exception as error:
        about["problem"] = f"{type(error).__name__}: {error}"
    return json.dumps(about)


@dataclass
class Attempt:
    """A submission on its way, what went wrong so far, and the workers where it did."""

    job: Job
    problems: list[str] = field(default_factory=list)
    avoided: set[str] = field(default_factory=set)


def grade(client: Client, todo: list[Job], plan: Plan, key: bytes) -> Iterator[dict[str, Any]]:
    """Yields the results of the cluster as they come."""
    run = _Run(client, plan, key)
    run.waiting.extend(Attempt(job) for job in todo)
    yield from run.results()


class _Run:
    """Tasks on their way: a few more than there are threads, so that none has to wait for us."""

    def __init__(self, client: Client, plan: Plan, key: bytes) -> None:
        from distributed import as_completed

        self.client, self.plan, self.key = client, plan, key
        self.completed = as_completed(loop=client.loop)
        self.waiting: deque[Attempt] = deque()
        self.running: dict[Future, Attempt] = {}
        self.unfit: set[str] = set()

    def results(self) -> Iterator[dict[str, Any]]:
        """Submits and collects until nothing is left."""
        try:
            while self.waiting or self.running:
                yield from self._submit()
                if self.running:
                    future = next(self.completed)
                    yield from self._take(future, self.running.pop(future))
        except Exception:
            if self.client.status == "running":
                raise
            for attempt in (*self.waiting, *self.running.values()):
                yield failed(attempt.job, "", [*attempt.problems, "the cluster is gone"])
        finally:
            with contextlib.suppress(Exception):  # the cluster may be gone
                self.client.cancel(list(self.running))

    def _submit(self) -> Iterator[dict[str, Any]]:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        threads = sum(worker["nthreads"] for worker in workers.values())
        while self.waiting and len(self.running) < 2 * max(threads, 1):
            attempt = self.waiting[0]
            try:
                unit = pack(attempt.job, self.plan, self.key)
            except extract.Unreadable as error:  # it has changed since we looked
                yield failed(self.waiting.popleft().job, "", [str(error)])
                continue
            good = [name for name in workers if name not in attempt.avoided | self.unfit]
            # Others are allowed, or a task whose last worker has gone would wait for ever.
            future = self.client.submit(
                work, unit, pure=False, workers=good or None, allow_other_workers=bool(good)
            )
            self.running[future] = self.waiting.popleft()
            self.completed.add(future)

    def _take(self, future: Future, attempt: Attempt) -> Iterator[dict[str, Any]]:
        """The result of a task that ended, or another try."""
        about = _outcome(future)
        future.release()
        worker, result = about.get("worker", ""), about.get("result")
        if result is not None and result["status"] != "grader_error":
            yield result
            return
        if result is not None:
            about["problem"] = "; ".join(result["infra"])
        attempt.problems.append(f"{worker or 'cluster'}: {about['problem']}")
        attempt.avoided.add(worker)
        if about.get("unfit"):
            self.unfit.add(worker)
        if len(attempt.problems) < TRIES:
            self.waiting.append(attempt)
        else:
            yield (result or failed(attempt.job, "", [])) | {"infra": attempt.problems}


def _outcome(future: Future) -> dict[str, Any]:
    """What `work` said, or what became of it."""
    from distributed import KilledWorker

    try:
        return json.loads(future.result())
    except KilledWorker as error:
        return {"problem": "the worker died", "worker": error.last_worker.address}
    except CancelledError:
        return {"problem": "the task was lost"}
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}
