"""Hostile code: loops, exits, bombs, deletions, network, forgery, probes of hidden checks."""

import textwrap

from grading.cases import Case
from submissions import EX1, EX1_WRONG, EX2, RESIDUAL, submission

FULL, PARTIAL = (3, 3), (3, 1)
OVER = "ex2.value"
ENDED = "ended the Python process"
LATE = "no answer within 3 s"


def in_question(name: str, attack: str, says: str = "", points: tuple = PARTIAL) -> Case:
    """Attacks in the first check of question 2; its second check asks a tensor with gradient."""
    body = f"if not x.requires_grad:\n{textwrap.indent(textwrap.dedent(attack).strip(), ' ' * 4)}"
    body += "\nreturn x + self.inner(x)"
    answer = RESIDUAL.format(textwrap.indent(body, " " * 8).lstrip())
    return Case(name, submission(EX1, answer), points, says={OVER: says} if says else {})


def in_cell(name: str, attack: str, points: tuple = FULL, **fields) -> Case:
    """Attacks in a helper cell; both answers are right unless the fields say otherwise."""
    ex1, ex2 = fields.pop("ex1", EX1), fields.pop("ex2", EX2)
    return Case(name, submission(ex1, ex2, (textwrap.dedent(attack),)), points, **fields)


def forged(name: str, attack: str, **fields) -> Case:
    """A wrong first answer beside an attempt to have it taken for right."""
    says = {"ex1.value": "over the queries, not over the keys"}
    return in_cell(name, attack, (1, 3), ex1=EX1_WRONG, says=says, **fields)


LOOPS = [
    in_question("loop-function", "while True: pass", LATE),
    in_cell("loop-cell", "while True: pass", says={"cell": "no answer within 20 s"}),
    in_question("loop-in-C", "sum(iter(int, 1))", LATE),
    in_question("sleep", "import time; time.sleep(1e9)", LATE),
    in_question("input", "input('mark? ')", "EOFError|StdinNotImplemented"),
    in_question(
        "loop-in-message",
        """
        class Slow(Exception):
            def __str__(self):
                while True: pass
        raise Slow
        """,
        LATE,
    ),
    in_question(
        "loop-with-signals-blocked",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
        LATE,
    ),
    in_question("thread-stays", "import _thread, time; _thread.start_new(time.sleep, (1e9,))",
                points=FULL),
    in_cell("loop-at-exit", "import atexit, time; atexit.register(time.sleep, 1e9)"),
]  # fmt: skip
GETATTR = """# mmcourse: answer ex2
class Residual:
    def __init__(self, inner): pass
    def __getattr__(self, name):
        while True: pass
"""
LOOPS += [Case("loop-in-getattr", submission(EX1, GETATTR), (3, 0), says={OVER: LATE})]

KILL = "import os, signal, time, contextlib\n"
EXITS = [
    in_question("exit-os", "import os; os._exit(0)", ENDED),
    in_question("exit-sys", "import sys; sys.exit(0)", "raised SystemExit"),
    in_cell("exit-quit", "quit()\nexit()"),
    in_cell("exit-raise", "raise SystemExit(0)", says={"cell": "SystemExit"}),
    in_question("kill-self", KILL + "os.kill(os.getpid(), 9)", ENDED),
    in_question("stop-self", KILL + "os.kill(os.getpid(), signal.SIGSTOP)", LATE),
    in_question("kill-group", KILL + "os.killpg(0, 9)", ENDED),
    in_question("kill-parent", KILL + "os.kill(os.getppid(), 9)", f"PermissionError|{ENDED}"),
    in_cell(
        "stop-everybody",
        KILL
        + "for pid in (1, os.getppid(), -1):\n"
        + "    for number in (signal.SIGSTOP, signal.SIGKILL):\n"
        + "        with contextlib.suppress(OSError): os.kill(pid, number)",
    ),
    in_question("segfault", "import ctypes; ctypes.string_at(0)", ENDED),
    in_question(
        "stack-overflow",
        "import sys; sys.setrecursionlimit(10**9)\n"
        "class Deep:\n    def __repr__(self): return repr([self])\nrepr(Deep())",
        f"{ENDED}|RecursionError|MemoryError",
    ),
    in_cell(
        "daemon",
        KILL
        + "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        + "        os.closerange(0, 256)\n        time.sleep(3600)\n    os._exit(0)",
    ),
]

MEMORY = "GiB of memory|MemoryError|can't allocate|ended the Python"
BOMBS = [
    in_question(
        "fork-bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        f"64 processes|{LATE}|{ENDED}",
    ),
    in_question(
        "thread-bomb",
        "import _thread, time\nwhile True: _thread.start_new(time.sleep, (1e9,))",
        "RuntimeError|error",
    ),
    in_question("memory-list", "kept = []\nwhile True: kept.append(bytearray(10**8))",
                f"{MEMORY}|{LATE}"),
    in_cell("memory-shared",
            "import mmap\nkept = []\nwhile True:\n    kept.append(mmap.mmap(-1, 10**8))\n"
            "    kept[-1].write(b'x' * 10**8)", says={"cell": MEMORY}),
    in_question("fill-shm", "open('/dev/shm/x', 'wb').write(bytes(10**9))", "OSError"),
    in_question(
        "fill-tmp",
        "for i in range(10**6): open(f'/tmp/{i}', 'wb').write(bytes(10**8))",
        "OSError.*No space",
    ),
    in_cell("fill-tmp-and-stop", "import os\ntry:\n    open('/tmp/x', 'wb').write(bytes(5 * 10**8))"
            "\nfinally:\n    os.kill(os.getpid(), 9)", says={"cell": ENDED}),
    in_question("open-files", "kept = [open('/dev/null') for _ in range(10**6)]", "Too many open"),
    in_question("recursion", "def deep(): return deep()\ndeep()", "RecursionError"),
    in_cell("flood-stdout", "for _ in range(100): print('x' * 10**6)"),
    in_cell("flood-stderr", "import os\nfor _ in range(100): os.write(2, b'y' * 10**6)"),
    in_question("giant-result", "return torch.zeros(2**27)", "larger than 256 MiB"),
    in_question("giant-list", "return [0] * 10**6", "too many parts"),
    in_question("giant-text", "return 'x' * 10**8", "too many parts"),
    in_question("giant-int", "return 10**100_000", "should be a"),
    in_question("giant-message", "raise ValueError('x' * 10**8)", "ValueError: xxx"),
    in_question(
        "nested-result",
        "nest = []\nfor _ in range(10**5): nest = [nest]\nreturn nest",
        "nested too deeply",
    ),
    in_question("circular-result", "ring = []; ring.append(ring); return ring", "nested"),
]  # fmt: skip

DELETE = """
import os, pathlib, shutil, sys, torch, mmcourse, subprocess
here = pathlib.Path(mmcourse.__file__).parent
home = os.path.expanduser("~nobody"), os.path.expanduser("~root"), "/root", "/home"
for folder in [*home, os.getcwd(), "/etc", "/var", "/tmp", "/boot", "/run", here, here.parent,
               pathlib.Path(torch.__file__).parent / "optim", "CANARY"]:
    shutil.rmtree(folder, ignore_errors=True)
for file in [torch.__file__, mmcourse.__file__, here / "grading" / "judge.py", sys.executable]:
    for attack in (os.remove, lambda f: os.chmod(f, 0o777), lambda f: open(f, "a").write("#x")):
        try: attack(file)
        except OSError: pass
        else: print("REACHED", file)
"""
ESCAPE = """
import ctypes, os
for name in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/dev/null/x"):
    try: open(name, "r+b")
    except OSError: continue
    print("REACHED", name)
libc = ctypes.CDLL(None, use_errno=True)
for folder in (b"/", b"/usr", b"/tmp"):
    if not libc.mount(None, folder, None, 32 | 4096, None): print("REACHED mount", folder)
if not libc.unshare(0x10000000): print("REACHED unshare")
if not libc.chroot(b"/tmp"): print("REACHED chroot")
for name in ("/proc/1/mem", f"/proc/{os.getppid()}/mem",
             "/proc/1/environ", "/proc/1/cwd/x", "/proc/1/root",
             "/dev/sda", "/dev/mem", "/dev/kmsg"):
    for mode in ("rb", "r+b"):
        try: os.listdir(name) if name.endswith("root") else open(name, mode).read(1)
        except Exception: continue
        print("REACHED", name, mode)
"""
NETWORK = """
import glob, socket, urllib.request
def attempt(act):
    try: act()
    except OSError: return
    print("REACHED", act)
attempt(lambda: socket.create_connection(("127.0.0.1", PORT), 1))
attempt(lambda: socket.create_connection(("::1", PORT), 1))
attempt(lambda: socket.create_connection(("1.1.1.1", 53), 1))
attempt(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)))
attempt(lambda: urllib.request.urlopen("http://127.0.0.1:PORT/secret", timeout=1))
attempt(lambda: socket.getaddrinfo("example.org", 80))
for path in glob.glob("/tmp/**/socket", recursive=True) + ["\\0mmcourse"]:
    attempt(lambda: socket.socket(socket.AF_UNIX).connect(path))
"""
REACHING = [
    in_cell("delete-everything", DELETE),
    in_cell("escape", ESCAPE),
    in_cell("network", NETWORK),
    in_cell("shell", "!rm -rf /etc /home /root CANARY; sleep 3600 & disown\n%cd /"),
]
