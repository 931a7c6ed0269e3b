"""Workflows, container and devcontainer: valid by their schemas, and they call what there is."""

import json
import re
from pathlib import Path

import pytest
import yaml
from check_jsonschema import builtin_schemas
from jsonschema.validators import validator_for
from lessons import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def made(text: str) -> set[str]:
    """The targets that `make` is asked for in a piece of shell."""
    calls = re.findall(r"\bmake((?: +[\w=./${}-]+)+)", text)
    return {word for call in calls for word in call.split() if "=" not in word}


def load(path: Path) -> dict:
    # To YAML 1.1 the key `on` is the truth value.
    return {
        ("on" if key is True else key): v for key, v in yaml.safe_load(path.read_text()).items()
    }


def steps(path: Path) -> list[dict]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows() -> None:
    assert [path.stem for path in WORKFLOWS] == ["canary", "course"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_valid(path: Path) -> None:
    schema = builtin_schemas.get_builtin_schema("vendor.github-workflows")
    errors = [error.message for error in validator_for(schema)(schema).iter_errors(load(path))]
    assert not errors


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_calls_exists(path: Path) -> None:
    called = set().union(*(made(step.get("run", "")) for step in steps(path)))
    assert called
    assert called <= TARGETS, called - TARGETS
    for step in steps(path):
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_little_and_ends(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] <= 150 for job in workflow["jobs"].values())


def test_the_book_is_published_only_where_everything_passed() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "course.yml")["jobs"]
    assert set(jobs["deploy"]["needs"]) == {"check", "book"}
    assert jobs["deploy"]["if"] == "github.ref == 'refs/heads/main'"
    assert {"test", "dist"} <= set().union(*(made(s.get("run", "")) for s in jobs["book"]["steps"]))


def test_the_canary_writes_an_issue_when_it_fails() -> None:
    path = ROOT / ".github" / "workflows" / "canary.yml"
    assert load(path)["permissions"]["issues"] == "write"
    assert load(path)["on"]["schedule"]
    last = steps(path)[-1]
    assert last["if"] == "failure()"
    assert "gh issue create" in last["run"]


def test_newest_lets_go_of_every_pin_but_the_books() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nnewest:")[2].partition("\n\n")[0]
    held, pattern = re.search(r"""sed -E '/"\((.+?)\)==/! s/(.+?)/""", recipe).groups()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [
        line if re.search(rf'"({held})==', line) else re.sub(pattern, '"', line)
        for line in project.splitlines()
    ]
    pinned = {
        re.match(r' *"([\w-]+)==', line)[1] for line in lines if '=="' in line or "==" in line
    }
    assert pinned == set(held.split("|"))


def test_the_container_copies_and_makes_what_exists() -> None:
    for sources in re.findall(r"^COPY --chown=\S+ (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in sources.split():
            assert (ROOT / name).exists(), name
    assert made(DOCKERFILE) == {".venv/run"} <= TARGETS
    assert "ARG NB_USER=jovyan" in DOCKERFILE
    assert "jupyterhub==" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", "_build", ".git"} <= set(ignored)


def test_the_devcontainer_is_that_container() -> None:
    folder = ROOT / ".devcontainer"
    about = json.loads((folder / "devcontainer.json").read_text())
    assert (folder / about["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / about["build"]["context"]).resolve() == ROOT
    assert about["remoteUser"] == "jovyan"
    assert "/opt/mmcourse/.venv" in about["postCreateCommand"]
    assert "/opt/mmcourse" in DOCKERFILE
