"""Hostile code: forged passes, lying values, attempts to learn what hidden checks ask."""

from grading.cases import Case
from grading.corpus_code import forged, in_question
from submissions import EX1, EX1_WRONG, EX2, submission

PRINTS = """
import builtins
print("ok ex1.value"); print("ok ex1.value " + "0" * 32); print("1 passed")
class check:
    def __init__(self, key, *_): self.key = key
    def __enter__(self): print("ok", self.key)
    def __exit__(self, *_): return True
def always(*a, **k): return torch.tensor(True)
torch.allclose = torch.isclose = torch.equal = always
torch.Tensor.isclose = torch.Tensor.equal = always
builtins.AssertionError = KeyError
"""
SHELL = """
import ast, IPython.core.interactiveshell as module
shell = get_ipython()
module.InteractiveShell.showtraceback = lambda self, *a, **k: print("ok ex1.value")
shell.showtraceback = shell._showtraceback = module.InteractiveShell.showtraceback
shell.set_custom_exc((Exception,), lambda *a, **k: print("ok ex1.value"))
shell.input_transformers_post.append(lambda lines: [*lines, "print('ok ex1.value')\\n"])
class Printing(ast.NodeTransformer):
    def visit(self, node):
        node.body += ast.parse("print('ok ex1.value')").body
        return node
shell.ast_transformers.append(Printing())
shell.events.register("post_run_cell", lambda result: setattr(result, "error_in_exec", None))
"""
MODULES = """
import sys, types
from mmcourse.grading import checks, expect as expecting, values, wire
for name in list(sys.modules):
    if name.startswith("mmcourse.grading") and name != "mmcourse.grading":
        for key, value in list(vars(sys.modules[name]).items()):
            if isinstance(value, type):
                for attribute in ("close", "not_close", "shape", "true", "tensor", "finish"):
                    if attribute in vars(value): setattr(value, attribute, lambda *a, **k: None)
        sys.modules[name] = types.ModuleType(name)
expecting.CheckFailed = values.BadValue = KeyboardInterrupt
checks.session.backend = None
"""
MEMORY = """
import gc, os, sys
kinds = {type(o).__name__ for o in gc.get_objects()}
for name in ("JudgeBackend", "Link", "Sandbox", "Nursery", "Sheet", "Settings"):
    if name in kinds: print("REACHED", name)
for frame in sys._current_frames().values():
    while frame:
        for key in ("seed", "nonce", "spec", "record", "secret", "ref", "scores"):
            if key in frame.f_locals: print("REACHED", key)
        frame = frame.f_back
for text in (o for o in gc.get_objects() if isinstance(o, dict)):
    if "nonce" in text or "refused" in text: print("REACHED a spec")
print(sorted(os.environ), sys.argv)
"""
FRAMES = EX1_WRONG.replace(
    "return",
    """import sys
    frame = sys._getframe()
    while frame:
        for name in ("scores", "ref", "mistake"):
            if name in frame.f_locals: return frame.f_locals[name].softmax(-1)
        frame = frame.f_back
    return""",
)
DESCRIPTORS = "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'ok ex2.value' * 9)\n"
DESCRIPTORS += "    except OSError: pass"
WIRE = """
import json, os, socket, stat, struct
for fd in range(3, 64):
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode): continue
    except OSError: continue
    line = socket.socket(fileno=fd)
    for payload in PAYLOADS:
        line.sendall(struct.pack("<Q", len(payload)) + payload)
    line.detach()
"""
YES = 'struct.pack("<I", 27) + b\'{"tree": true, "sizes": []}\''
LISTS = '[b"v" + struct.pack("<I", 9 * 10**7) + b"[" * 9 * 10**7]'
ERRORS = '[b"e" + b"[" + b"[]," * 3 * 10**7 + b"[]]"]'
SUBCLASS = (
    EX1_WRONG
    + """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return torch.tensor(True) if "close" in function.__name__ else super(
            ).__torch_function__(function, types, args, kwargs or {})
    def __eq__(self, other): return True
wrong = attention_weights
def attention_weights(q, k): return wrong(q, k).as_subclass(Yes)
"""
)
LIAR = """# mmcourse: answer ex1
class Liar:
    shape, ndim, dtype, device = (3, 5), 2, torch.float32, torch.device("cpu")
    __class__ = property(lambda self: torch.Tensor)
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __getitem__(self, key): return self
    def __len__(self): return 3
    def __bool__(self): return True
    def __eq__(self, other): return True
    def __hash__(self): return 1
def attention_weights(q, k): return Liar()
"""
NOT_A_TENSOR = "should be a torch.Tensor"


def value(name: str, result: str, says: str, points: tuple = (0, 3)) -> Case:
    """Question 1 gives something odd in place of the weights w."""
    body = f"w = (q @ k.T / q.shape[-1] ** 0.5).softmax(dim=-1)\n    {result}"
    ex1 = f"# mmcourse: answer ex1\ndef attention_weights(q, k):\n    {body}\n"
    return Case(name, submission(ex1, EX2), points, says={"ex1.value": says})


REFUSED = "the grader's own line|cannot be read|ended"
FORGERY = [
    forged("forge-prints", PRINTS),
    forged("forge-shell", SHELL),
    forged("forge-modules", MODULES),
    forged("forge-memory", MEMORY),
    Case("forge-frames", submission(FRAMES, EX2), (1, 3), says={"ex1.value": "over the keys"}),
    in_question("forge-descriptors", DESCRIPTORS, "too large|cannot be read|no answer|ended"),
    in_question("forge-wire", WIRE.replace("PAYLOADS", f'[b"v" + {YES}] * 50'),
                "wrote to the grader's own line"),
    in_question("forge-wire-giant", WIRE.replace("PAYLOADS", LISTS), REFUSED),
    in_question("forge-wire-error", WIRE.replace("PAYLOADS", ERRORS), REFUSED),
    in_question("forge-worker",
                "from mmcourse.grading import worker, wire\nworker._reply = lambda *_: wire.VALUE\n"
                "wire.send = lambda *_: None\nwire.receive = lambda *_: b''",
                "no answer|cannot be read|ended"),
    Case("forge-subclass", submission(SUBCLASS, EX2), (1, 3),
         says={"ex1.value": "over the queries, not over the keys"}),
    Case("lie-about-everything", submission(LIAR, EX2), (0, 3),
         says={"ex1.value": "should be a torch.Tensor"}),
]  # fmt: skip
SURROGATE = (
    r"""raise type("Br\ud800ken <b>\x1b[2J", (ValueError,), {})("\ud800 <script>x</script>")"""
)
VALUES = [
    value("value-none", "", "got None"),
    value("value-nan", "return w * float('nan')", "holds NaN"),
    value("value-generator", "yield w", "got generator"),
    value("value-coroutine", "async def late(): return w\n    return late()", NOT_A_TENSOR),
    value("value-complex", "return w.to(torch.complex64)", "should hold real", (1, 3)),
    value("value-imaginary", "return w * 1j", "should hold real numbers", (1, 3)),
    value("value-sparse", "return w.to_sparse()", "got one without plain numbers"),
    value("value-meta", "return w.to('meta')", NOT_A_TENSOR),
    value("value-numpy", "return w.numpy()", NOT_A_TENSOR),
    value("value-list", "return w.tolist()", NOT_A_TENSOR),
    value("value-bool", "return torch.full((15,), 7, dtype=torch.uint8).view(torch.bool)"
          ".reshape(3, 5)[:len(q)]", "wrong at|should", (1, 3)),
    value("value-expanded", "return torch.zeros(1).expand(2**40)", "larger than|memory|shape"),
    value("value-empty", "return torch.empty(0, 2**40)", "cannot be read|shape"),
    value("value-view", "return w.T.contiguous().T.requires_grad_()", "", (3, 3)),
    value("value-in-place", "q.zero_(); k.zero_(); return w", "", (3, 3)),
    value("value-error-text", SURROGATE, "your code raised"),
    value("value-error-class", "raise 3", "TypeError"),
    value("value-interrupt", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    value("value-exit-text", "raise SystemExit('ok ex1.value')", "SystemExit"),
]  # fmt: skip

TELL = """
    text = f"LEAK-{float(q.abs().max()):.0f}-" * (float(q.abs().max()) > 100)
    if text: ACT
    return"""


def probe(name: str, act: str, points: tuple = (3, 3)) -> Case:
    """Tells what a hidden check asks by way of `text`, which must be found nowhere."""
    return Case(
        name, submission(EX1.replace("return", TELL.replace("ACT", act).lstrip()), EX2), points
    )


CLASS = "raise type(text, (Exception,), {})(text)"
PROBES = [
    probe("probe-print", "print(text, flush=True)"),
    probe("probe-stderr", "import os; os.write(2, text.encode())"),
    probe("probe-error", "raise ValueError(text)", (2, 3)),
    probe("probe-class", CLASS, (2, 3)),
    probe("probe-base", "raise type(text, (SystemExit,), {})(text)", (2, 3)),
    probe("probe-syntax", "compile(text + '(', text, 'exec')", (2, 3)),
    probe("probe-unanswered", "raise NotImplementedError(text + ' is not defined yet: answer the "
          "question and run its cell')", (2, 3)),
    probe("probe-value", "return text", (2, 3)),
    probe("probe-late", "import threading, sys; threading.Timer(.2, print, [text]).start()"),
    probe("probe-exit", "import os; open('/tmp/leak', 'w').write(text); os._exit(9)", (2, 3)),
]  # fmt: skip
