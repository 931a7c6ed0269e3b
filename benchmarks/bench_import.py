"""What importing the course costs beside importing torch (target: at most 0.2 s more)."""

import subprocess
import sys

PAIR = {
    "torch": "import torch",
    "torch and mmcourse": "import torch, mmcourse.transformers, mmcourse.diffusion, mmcourse.data, "
    "mmcourse.training",
}
CODE = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def main() -> None:
    best = dict.fromkeys(PAIR, float("inf"))
    for _ in range(5):  # interleaved, and the fastest counts: noise only ever adds
        for name, statement in PAIR.items():
            run = subprocess.run(
                [sys.executable, "-c", CODE.format(statement)],
                capture_output=True,
                text=True,
                check=True,
            )
            best[name] = min(best[name], float(run.stdout))
    base, whole = best.values()
    print(f"import torch {base:.2f} s, with every chapter {whole:.2f} s: {whole - base:+.3f} s")


if __name__ == "__main__":
    main()
