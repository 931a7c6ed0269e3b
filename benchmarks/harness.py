"""Measure a function of ours against its fastest peer: interleaved rounds, one thread, CPU time.

Usage in a benchmark file beside this one (`python benchmarks/bench_renderer.py` puts this folder
on the path)::

    from harness import compare, main

    def run() -> list[dict]:
        return [compare("render 256 scenes", ours, peer, rounds=7, target=2.0)]

    if __name__ == "__main__":
        main(run)
"""

import json
import sys
import time
from collections.abc import Callable

import torch

Task = Callable[[], object]


def cpu_seconds(task: Task, repeats: int = 1) -> float:
    """CPU seconds of one call of `task`, averaged over `repeats` calls."""
    start = time.process_time()
    for _ in range(repeats):
        task()
    return (time.process_time() - start) / repeats


def repeats_for(task: Task, least: float) -> int:
    """How many calls of `task` take at least `least` CPU seconds (this also warms it up)."""
    task()
    return max(1, int(least / max(cpu_seconds(task), 1e-7)) + 1)


def gemm() -> Task:
    """A 1024 x 1024 x 1024 matrix product in float32, the yardstick of the machine."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1024, 1024, generator=generator) for _ in range(2))
    return lambda: a @ b


def compare(
    name: str,
    ours: Task,
    peer: Task,
    rounds: int = 7,
    target: float | None = None,
    *,
    peer_name: str = "peer",
    least: float = 0.05,
) -> dict:
    """Time `ours`, `peer` and a matrix product in turn and print how they compare.

    Each round calls the three one after the other, so that a slow moment of the machine
    hits all of them; the minimum over the rounds is reported. Calls run on one thread.

    Args:
        name: what is measured.
        ours: a function without arguments; run it under `torch.no_grad()` itself if wanted.
        peer: the same work by another library.
        rounds: number of interleaved rounds, at least 1.
        target: the ratio peer / ours that should be reached; None for no target.
        peer_name: what the peer is called in the printed line.
        least: CPU seconds that one measurement should last (short tasks are repeated).

    Returns:
        dict with `name`, `peer`, `ours_seconds`, `peer_seconds`, `gemm_seconds`, `ratio`
        (speed relative to the peer: above 1 is faster), `gemm_share` (our time in units of
        the matrix product), `target`, `reached` (None without a target).

    Raises:
        ValueError: if `rounds` is below 1.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tasks = (ours, peer, gemm())
        repeats = [repeats_for(task, least) for task in tasks]
        times = []
        for number in range(rounds):
            # Turn and turn about: whoever runs first after the matrix product is 1-2 % slower.
            order = (0, 1, 2) if number % 2 else (1, 0, 2)
            measured = {i: cpu_seconds(tasks[i], repeats[i]) for i in order}
            times.append([measured[i] for i in range(3)])
    finally:
        torch.set_num_threads(threads)
    mine, theirs, yardstick = (min(column) for column in zip(*times, strict=True))
    ratio = theirs / mine
    result = {
        "name": name,
        "peer": peer_name,
        "ours_seconds": mine,
        "peer_seconds": theirs,
        "gemm_seconds": yardstick,
        "ratio": ratio,
        "gemm_share": mine / yardstick,
        "target": target,
        "reached": None if target is None else ratio >= target,
    }
    print(line(result), file=sys.stderr, flush=True)
    return result


def line(result: dict) -> str:
    """One line for people: the two times, the ratio, the share of a matrix product, the verdict."""
    verdict = {None: "", True: "  reached", False: "  MISSED"}[result["reached"]]
    goal = "" if result["target"] is None else f" (target {result['target']:.2f}x)"
    return (
        f"{result['name']:<44} ours {result['ours_seconds'] * 1e3:9.3f} ms"
        f"  {result['peer']} {result['peer_seconds'] * 1e3:9.3f} ms"
        f"  {result['ratio']:6.2f}x{goal}"
        f"  = {result['gemm_share']:.3g} x GEMM 1024^3{verdict}"
    )


def main(run: Callable[[], list[dict]]) -> None:
    """Run a benchmark; print lines for people on stderr and, with `--json`, JSON on stdout."""
    results = run()
    if "--json" in sys.argv[1:]:
        print(json.dumps(results, indent=2))
    if any(result["reached"] is False for result in results):
        sys.exit(1)
