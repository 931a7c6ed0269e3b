"""`{model-card} NAME`: what is known of a checkpoint that comes with the package.

The numbers come from the card (.json) beside the weights; what no program can measure (intended
use, limits, data, licence) is the directive's own content, as a field list:

    :::{model-card} clip-shapes
    :use: …
    :limits: …
    :data: …
    :licence: …
    :recipe: mmcourse/recipes/clip_shapes.py
    :::

A checkpoint without a card on a page, a card without one of these, and weights of another hash
are warnings, which fail the build.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import mmcourse_inpage
from docutils import nodes
from docutils.parsers.rst import directives
from mmcourse_kept import kept
from mmcourse_pages import table
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

FOLDER = "mmcourse/checkpoints"
MADE = ("seed", "steps", "parameters", "torch", "device", "processes", "cpu_s", "wall_s", "sha256")
SAID = ("use", "limits", "data", "licence", "recipe")
LABELS = {
    "use": "Intended use",
    "limits": "Limits",
    "data": "Trained on",
    "licence": "Licence",
    "first_5": "in the first 5",
    "color": "colour",
}
WORDS = {"en": "English", "ko": "Korean", "held_out": "held out", "held-out": "held out"}


def minutes(seconds: float) -> str:
    """Seconds, and minutes where there are many."""
    return f"{seconds:,.0f} s" + (f" ({seconds / 60:.0f} minutes)" if seconds >= 120 else "")


def label(key: str) -> str:
    """A field's name for readers."""
    return LABELS.get(key, key.replace("_", " "))


def value(key: str, given: Any) -> str:
    """A cell: shares as per cent, numbers with a comma, words as they are."""
    if isinstance(given, float):
        return f"{given:.1%}"
    return f"{given:,}" if isinstance(given, int) else WORDS.get(given, str(given))


def averaged(rows: list[dict[str, Any]], over: list[str]) -> list[dict[str, Any]]:
    """Rows that differ in nothing but the fields `over`, as one row of their means."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        rest = {k: v for k, v in row.items() if k not in over}
        same = tuple((k, v) for k, v in rest.items() if not isinstance(v, float))
        groups.setdefault(same, []).append(rest)
    return [
        {
            k: sum(row[k] for row in group) / len(group) if isinstance(v, float) else v
            for k, v in group[0].items()
        }
        for group in groups.values()
    ]


def results(rows: list[dict[str, Any]], keys: list[str]) -> nodes.table:
    """The evaluation as a table: these columns, or what was asked first, then the scores."""
    if not keys:
        keys = sorted(rows[0], key=lambda key: isinstance(rows[0][key], float))
    header: list[nodes.Node] = [nodes.Text(label(key)) for key in keys]
    cells: list[list[nodes.Node]] = [
        # one object stands in no relation to another
        [nodes.Text("–" if k == "relation" and row.get("objects") == 1 else value(k, row[k]))
         for k in keys]
        for row in rows
    ]  # fmt: skip
    return table(header, cells, ["mm-results"])


def facts(card: dict[str, Any], size: int) -> list[tuple[str, str]]:
    """How the checkpoint was made, and how to tell that it is this one."""
    several = f"{card['processes']} processes," if card["processes"] > 1 else "one process,"
    steps = ", ".join(f"{name} {count:,}" for name, count in card["steps"].items())
    return [
        ("parameters", f"{card['parameters']:,}"),
        ("file", f"{size / 1e6:.1f} MB (safetensors)"),
        ("updates", steps),
        ("trained in", f"{minutes(card['cpu_s'])} of CPU, {minutes(card['wall_s'])} by the clock"),
        ("on", f"{card['device']}, {several} torch {card['torch']}"),
        ("seed", str(card["seed"])),
        ("SHA-256", card["sha256"]),
    ]


class ModelCard(SphinxDirective):
    """`{model-card} NAME`: the card of one checkpoint."""

    required_arguments = 1
    has_content = True
    option_spec = dict.fromkeys((*SAID, "average", "columns"), directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        name, folder = self.arguments[0], Path(self.env.srcdir) / FOLDER
        kept(self.env).places.setdefault(self.env.docname, set()).add(f"model-card {name}")
        file, weights = folder / f"{name}.json", folder / f"{name}.safetensors"
        if not file.is_file() or not weights.is_file():
            self.tell(f"no checkpoint {name!r} with its card in {FOLDER}")
            return []
        self.env.note_dependency(str(file))
        self.env.note_dependency(str(weights))
        card = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in MADE if key not in card] + [
            k for k in SAID if k not in self.options
        ]
        if missing:
            self.tell(f"the card of {name} lacks {', '.join(missing)}")
            return []
        if not (folder.parents[1] / self.options["recipe"]).is_file():
            self.tell(f"the recipe of {name} is not there: {self.options['recipe']}")
        if hashlib.sha256(weights.read_bytes()).hexdigest() != card["sha256"]:
            self.tell(f"the weights of {name} are not those of its card: the SHA-256 differs")
        return [
            *self.parse_content_to_nodes(),
            *self.parts(name, card, weights),
        ]

    def tell(self, problem: str) -> None:
        """One clear line, which fails the build."""
        logger.warning("%s", problem, location=(self.env.docname, self.lineno))

    def parts(self, name: str, card: dict[str, Any], weights: Path) -> list[nodes.Node]:
        """What is said, what was measured, how it was made."""
        said = nodes.definition_list(classes=["mm-card-text"])
        for key in SAID[:-1]:
            text = self.parse_inline(self.options[key], lineno=self.lineno)[0]
            body = nodes.definition("", nodes.paragraph("", "", *text))
            said += nodes.definition_list_item("", nodes.term("", label(key)), body)
        rows: list[list[nodes.Node]] = [
            [nodes.Text(a), nodes.literal("", b) if a == "SHA-256" else nodes.Text(b)]
            for a, b in facts(card, weights.stat().st_size)
        ]
        if name in mmcourse_inpage.MODELS:
            rows.append([nodes.Text("in the page"), nodes.Text(self.in_page(name))])
        rows.append([nodes.Text("recipe"), nodes.literal("", self.options["recipe"])])
        rows.append([nodes.Text("made anew by"), nodes.literal("", f"mmcourse train {name}")])
        made = table([nodes.Text("What"), nodes.Text("Which")], rows, ["mm-card"])
        return [said, *self.measured(card), nodes.rubric("", "How it was made"), made]

    def in_page(self, name: str) -> str:
        """Its graphs: how large, and how far from PyTorch."""
        root = Path(self.env.srcdir)
        cache = Path(self.env.app.outdir).parent / ".models"
        folder = mmcourse_inpage.exported(root, name, cache)
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        sizes = " + ".join(f"{part} {size / 1e6:.1f}" for part, size in about["bytes"].items())
        apart = max(about["apart"].values())
        return (
            f"{sizes} MB as ONNX graphs, weights in half precision as in the checkpoint; outputs "
            f"at most {apart:.0e} from PyTorch, so that accuracy is the one above"
        )

    def measured(self, card: dict[str, Any]) -> list[nodes.Node]:
        """The evaluation, if the card has one."""
        rows = card.get("evaluation")
        if not rows:
            return []
        rows = averaged(rows, self.options.get("average", "").split())
        title = "What was measured"
        if how := card.get("evaluated"):
            title += f" ({', '.join(f'{label(k)} {v:g}' for k, v in how.items())})"
        return [nodes.rubric("", title), results(rows, self.options.get("columns", "").split())]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Every checkpoint must have its card, where there is such a page at all."""
    listed = {place for places in kept(env).places.values() for place in places}
    if not any(place.startswith("model-card") for place in listed):
        return
    for file in sorted((Path(app.srcdir) / FOLDER).glob("*.safetensors")):
        if f"model-card {file.stem}" not in listed:
            logger.warning("checkpoint %s: no page says {model-card} %s", file.name, file.stem)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_directive("model-card", ModelCard)
    app.connect("env-check-consistency", check)
