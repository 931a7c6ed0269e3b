"""Many submissions graded side by side, here or on a cluster, and taken up again.

A result is written the moment it is there, so that a run that is stopped or killed goes on where
it was. A lock on the folder, which ends with the process that holds it, keeps two runs apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mmcourse
from mmcourse.grading import extract, run, units
from mmcourse.grading.collect import Job, by_hand, failed, jobs, submissions
from mmcourse.grading.nursery import Nursery
from mmcourse.grading.rebuild import secret
from mmcourse.grading.report import write_reports
from mmcourse.grading.sandbox import LEVELS, SAFE, best_isolation
from mmcourse.grading.sheet import Sheet, SheetError, to_json, write_atomically

__all__ = ["Job", "Plan", "grade_all", "jobs", "submissions"]


@dataclass(frozen=True)
class Plan:
    """How a run is to be done.

    Args:
        isolation: `auto` or a level.
        budget_s: seconds of a submission's code in all.
        parallel: submissions side by side on this machine.
        cluster: address of a Dask cluster that grades in place of this machine.
        unsafe: whether machines that grade in place of this one may use the level `process`.
        packed: folder of submissions packed for machines that this one does not reach.
    """

    isolation: str = "auto"
    budget_s: float = 120
    parallel: int = 2
    cluster: str = ""
    unsafe: bool = False
    packed: Path | None = None

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that may be found elsewhere."""
        if self.isolation != "auto":
            return (self.isolation,)
        return LEVELS if self.unsafe else SAFE


Engine = Callable[[list[Job]], Iterator[dict[str, Any]]]


def grade_all(
    todo: list[Job],
    out: Path,
    *,
    parallel: int,
    isolation: str,
    budget_s: float,
    cluster: str = "",
    unsafe: bool = False,
    packed: Path | None = None,
    on_kept: Callable[[int], object] = lambda count: None,
) -> Generator[dict[str, Any], None, None]:
    """Yields every result as it comes, those of an earlier run first, and writes the reports.

    Args:
        packed: folder of units, graded elsewhere.
        on_kept: told how many results were kept from an earlier run, before the first comes.

    Raises:
        SheetError: another run has the folder.
        ValueError: the isolation does not work, or the cluster cannot be had.
        OSError: the folder cannot be written.
        Waiting: results of units are missing.
    """
    plan = Plan(isolation, budget_s, parallel, cluster, unsafe, packed)
    with _engine(plan) as (engine, levels), _locked(out):
        states = {job.name: _state(job, budget_s) for job in todo}
        results = _known(todo, out, states, levels)
        on_kept(len(results))
        try:
            yield from list(results.values())
            left = [job for job in todo if job.name not in results]
            for result in _graded(left, engine):
                name = result["submission"]
                results[name] = _keep(out, result, states[name])
                yield results[name]
        finally:
            write_reports(out, [results[job.name] for job in todo if job.name in results])


def _keep(out: Path, result: dict[str, Any], state: str) -> dict[str, Any]:
    """Stores a result for later runs; one that cannot be stored is an error, the others go on."""
    if result["status"] == "grader_error":
        return result
    try:
        write_atomically(
            _store(out, result["submission"]), to_json({"state": state, "result": result})
        )
    except (OSError, ValueError) as error:
        return result | {"status": "grader_error", "infra": [f"cannot be stored: {error}"]}
    return result


@contextlib.contextmanager
def _engine(plan: Plan) -> Iterator[tuple[Engine, tuple[str, ...]]]:
    """What grades, and the levels at which an earlier result is as good as a new one."""
    if plan.cluster:
        from mmcourse.grading import cluster

        with cluster.connect(plan.cluster) as client:
            yield lambda left: cluster.grade(client, left, plan, secret()), plan.levels
    elif plan.packed is not None:
        folder = plan.packed
        yield lambda left: units.grade(folder, left, plan, secret()), plan.levels
    else:
        isolated = best_isolation(plan.isolation)
        settings = run.Settings(isolated, plan.budget_s, secret())
        yield lambda left: _grade_here(left, settings, plan.parallel), (isolated.level,)


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """The folder for this run alone; what a killed run left half-written goes."""
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SheetError(f"{out}: another run is writing to this folder") from None
    try:
        for part in (*out.glob(".*.part"), *out.glob("*/.*.part")):
            part.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _known(
    todo: list[Job], out: Path, states: dict[str, str], levels: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Results of an earlier run that still hold."""
    found: dict[str, dict[str, Any]] = {}
    for job in todo:
        kept = _kept(_store(out, job.name), states[job.name])
        # A file that could not be read was graded at no level.
        if kept is not None and kept["isolation"] in (*levels, ""):
            found[job.name] = kept
    return found


def _graded(todo: list[Job], engine: Engine) -> Iterator[dict[str, Any]]:
    """First what nothing needs to be run for, then what the engine grades."""
    left = []
    for job in todo:
        result = by_hand(job)
        if result is None:
            left.append(job)
        else:
            yield result
    # The machinery is started only if there is something to do.
    if left:
        yield from engine(left)


def _grade_here(todo: list[Job], settings: run.Settings, parallel: int) -> Iterator[dict[str, Any]]:
    places = min(parallel, len(todo))
    modules = sorted(set().union(*(job.sheet.modules for job in todo if job.sheet)))
    nursery, pool = Nursery(settings.isolation, places, modules), ThreadPoolExecutor(places)
    try:
        nursery.wait_ready()
        futures = [pool.submit(_grade_one, job, settings, nursery) for job in todo]
        for future in as_completed(futures):
            yield future.result()
    finally:
        # Closed first: what still runs ends at once, and the pool with it.
        nursery.close()
        pool.shutdown(cancel_futures=True)


def _grade_one(job: Job, settings: run.Settings, nursery: Nursery) -> dict[str, Any]:
    try:
        return run.grade(job.name, job.path, cast(Sheet, job.sheet), settings, nursery)
    except Exception as error:  # a full disk, say: never a zero
        return failed(job, settings.isolation.level, [f"{type(error).__name__}: {error}"])


def _store(out: Path, name: str) -> Path:
    return out / ".results" / f"{name}.json"


def _state(job: Job, budget_s: float) -> str:
    """What a result depends on, beside the level: submission, sheet, grader, budget."""
    sheet = job.sheet
    cells = repr((sheet.assignment, sheet.version, sheet.cells)) if sheet else ""
    try:
        data = extract.digest(extract.read_bytes(job.path))
    except extract.Unreadable as error:
        data = str(error)
    parts = [mmcourse.__version__, str(float(budget_s)), cells, data]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _kept(store: Path, state: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run.empty("") | kept["result"] if kept.get("state") == state else None
