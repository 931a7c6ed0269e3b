"""Grading submissions, against plain nbval that runs learners' code and checks in one kernel.

    python benchmarks/bench_grading.py [NUMBER] [--json]

Both get the same notebooks of the sample sheet (200, if no number is given): right, wrong and
half answered ones. Ours rebuilds them, keeps learners' code in a sandbox, runs the hidden check,
too, and writes reports; the peer runs them as they are: `pytest --nbval-lax`, two at a time.

CPU seconds are those of all descendants, whoever waits for them. Exactly, where a control group
of our own can be made (a child group's usage, as root; processes cannot leave it). Elsewhere at
least: the larger of what was waited for (orphans are ours to wait for, on Linux) and the sum of
what was seen of each process 20 times a second; the line then says "at least".
"""

import contextlib
import ctypes
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from harness import main

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from submissions import EX1, EX1_WRONG, EX2, SAMPLE, submission, write  # noqa: E402

SIDE_BY_SIDE = 2
CPU_RATIO, WALL_S = 1.25, 1.2
BUSY = 0.3
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
KINDS = ((EX1, EX2), (EX1, EX2), (EX1_WRONG, EX2), (EX1, None))
POINTS = (6, 6, 4, 3)


def hand_in(folder: Path, count: int) -> None:
    """Writes the submissions, each different from all others."""
    folder.mkdir()
    for number in range(count):
        answers = KINDS[number % len(KINDS)]
        write(folder, f"s{number:04}", submission(*answers, extra=(f"number = {number}",)))


def own_group() -> Path | None:
    """A new control group below ours that counts CPU time, if one can be made."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            lines = Path("/proc/self/cgroup").read_text().splitlines()
            inside = next(line[3:] for line in lines if line.startswith("0::"))
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="bench-", dir=place + inside))
    return None


@contextlib.contextmanager
def sampled() -> Iterator[dict[tuple[int, float], float]]:
    """CPU seconds last seen of every descendant, while the block runs."""
    seen: dict[tuple[int, float], float] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    seen[process.pid, process.create_time()] = times.user + times.system

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def waited() -> float:
    """CPU seconds of descendants that were waited for, after waiting for what can be."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(command: list[str], cwd: Path) -> tuple[float, float, bool, str]:
    """Runs a command: wall seconds, CPU seconds, whether these are exact, what it said."""
    group = own_group() if sys.platform == "linux" else None

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text("0")

    before, start = waited(), time.perf_counter()
    with contextlib.nullcontext({}) if group else sampled() as seen:
        done = subprocess.run(
            command, cwd=cwd, env=ENVIRONMENT, preexec_fn=enter, capture_output=True, text=True
        )
        wall = time.perf_counter() - start
    if group is None:
        return wall, max(waited() - before, sum(seen.values())), False, done.stdout + done.stderr
    cpu = int(re.findall(r"usage_usec (\d+)", (group / "cpu.stat").read_text())[0]) / 1e6
    with contextlib.suppress(OSError):
        group.rmdir()
    return wall, cpu, True, done.stdout + done.stderr


def grade(folder: Path, out: Path) -> tuple[float, float, bool]:
    """Our grader; what it finds must be right, or the comparison is void."""
    command = [sys.executable, "-m", "mmcourse", "grade", str(folder), "--source", str(SAMPLE)]
    command += ["--out", str(out), "-n", str(SIDE_BY_SIDE)]
    wall, cpu, exact, said = measure(command, ROOT)
    results = json.loads((out / "results.json").read_text())
    found = [(result["status"], result["points"]) for result in results]
    if found != [("graded", POINTS[number % len(KINDS)]) for number in range(len(found))]:
        raise RuntimeError(f"the grader gave other points than it should: {said[-500:]}")
    return wall, cpu, exact


def nbval(folder: Path) -> tuple[float, float, bool]:
    """Plain nbval; that it found what is right and wrong is checked by the number of failures."""
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["-p", "no:cacheprovider", "-n", str(SIDE_BY_SIDE), "--dist", "loadfile", "."]
    wall, cpu, exact, said = measure(command, folder)
    if not re.search(r"\d+ failed, \d+ passed", said):
        raise RuntimeError(f"nbval did not run: {said[-500:]}")
    return wall, cpu, exact


def run() -> list[dict]:
    """Grade the same submissions both ways and compare."""
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), 200)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans become ours: PR_SET_CHILD_SUBREAPER
    busy = psutil.cpu_percent(1.0) / 100
    with tempfile.TemporaryDirectory(prefix="bench-grading-") as folder:
        work = Path(folder)
        hand_in(work / "in", count)
        our_wall, our_cpu, exact = grade(work / "in", work / "out")
        peer_wall, peer_cpu, _ = nbval(work / "in")
    results = [
        row("CPU", count, our_cpu, peer_cpu, CPU_RATIO, our_cpu / peer_cpu <= CPU_RATIO),
        # Seconds of a wall clock say nothing on a machine that others use.
        row("wall", count, our_wall, peer_wall, None, our_wall / count <= WALL_S or None),
    ]
    if busy < BUSY:
        results[1]["reached"] = our_wall / count <= WALL_S
    for result in results:
        print(line(result, exact, busy), file=sys.stderr, flush=True)
    return results


def row(
    unit: str, count: int, ours: float, peer: float, target: float | None, reached: bool | None
) -> dict:
    """What was measured of one unit, for a submission each."""
    return {
        "name": f"grading {count} submissions, {SIDE_BY_SIDE} at a time", "unit": unit,
        "ours_seconds": ours / count, "peer": "nbval", "peer_seconds": peer / count,
        "ratio": ours / peer, "target": target, "reached": reached,
    }  # fmt: skip


def line(result: dict, exact: bool, busy: float) -> str:
    """One line for people: seconds a submission of both, and their ratio."""
    cpu = result["unit"] == "CPU"
    verdict = {None: "", True: "  reached", False: "  MISSED"}[result["reached"]]
    goal = f"at most {CPU_RATIO:.2f}x" if cpu else f"at most {WALL_S} s on two idle cores"
    note = ("" if exact else "  at least") if cpu else f"  {busy:.0%} busy with others before"
    return (
        f"{result['name']:<44} {result['unit']:<4} seconds a submission: ours "
        f"{result['ours_seconds']:.2f}  {result['peer']} {result['peer_seconds']:.2f}  "
        f"{result['ratio']:.2f}x (target {goal}){verdict}{note}"
    )


if __name__ == "__main__":
    main(run)
