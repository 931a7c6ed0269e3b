"""Every finding of `mmcourse doctor` on a machine that is made to look ill."""

import importlib.metadata
import json
import subprocess
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lessons import ROOT
from submissions import SAMPLE

from mmcourse import doctor
from mmcourse.grading import release, sandbox

SMI = "| NVIDIA-SMI 580.1     Driver Version: 580.1     CUDA Version: {} |"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one sheet and one lesson, with everything that is made of them."""
    for name in ("solutions", "notebooks", "exercises"):
        (tmp_path / name).mkdir()
    (tmp_path / "solutions" / "00_sample.md").write_text(SAMPLE.read_text())
    (tmp_path / "notebooks" / "00_sample.md").write_text(
        "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n# 00 · Sample\n\n"
        "```{code-cell} ipython3\nprint(1)\n```\n"
    )
    release.write_all(tmp_path, [])
    return tmp_path


def commands(monkeypatch, *known: str) -> None:
    """Only these commands are installed."""
    places = {name: f"/usr/bin/{name}" for name in known}
    monkeypatch.setattr(doctor.shutil, "which", places.get)


def test_an_old_python(monkeypatch):
    assert not doctor.python().mend
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 4))
    assert "install Python 3.11 or newer" in doctor.python().mend


def installed(monkeypatch, **versions: str) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)


def test_missing_and_mismatched_packages(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("torch==2.1\neinops==1.0\nnvidia-nccl==2\n")
    installed(monkeypatch, torch="2.1+cu130", einops="0.9")
    values = [finding.value for finding in doctor.packages(tmp_path)]
    assert values == ["einops is 0.9, wanted 1.0", "nvidia-nccl is missing (wanted 2)"]
    # the CPU build of torch needs nothing of NVIDIA's
    installed(monkeypatch, torch="2.1+cpu", einops="1.0")
    (finding,) = doctor.packages(tmp_path)
    assert (finding.value, finding.mend) == ("all 2 as in requirements.txt", "")


def test_packages_of_another_python(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("einops==1.0\n")
    installed(monkeypatch)
    (finding,) = doctor.packages(tmp_path)
    assert finding.mend.endswith("-m pip install -r requirements.txt")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    (finding,) = doctor.packages(tmp_path)
    assert finding.mend.endswith("not the course's own Python: .venv/bin/mmcourse doctor")


def test_no_lock_is_no_fault(tmp_path):
    (finding,) = doctor.packages(tmp_path)
    assert "nothing to compare" in finding.value
    assert not finding.mend


def test_a_full_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(1e12, 1e12 - 2e9, 2e9))
    found = doctor.disk(tmp_path)
    assert found.value == "2 GB free"
    assert "free at least 5 GB" in found.mend


def test_no_korean_font(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert "pip install pylopdf-fonts-ko" in doctor.korean_font().mend


def test_no_browser(tmp_path, monkeypatch):
    commands(monkeypatch)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert "apt-get install chromium" in doctor.browser().mend
    (tmp_path / "chromium-1200").mkdir()
    assert not doctor.browser().mend
    commands(monkeypatch, "chromium")
    assert doctor.browser() == doctor.Finding("Browser", "/usr/bin/chromium")


@pytest.mark.parametrize(
    ("platform", "level", "bwrap", "mend"),
    [
        ("linux", "bwrap", True, ""),
        ("linux", "landlock", False, "apt-get install bubblewrap"),
        ("linux", "process", False, "apt-get install bubblewrap"),
        ("linux", "process", True, "unprivileged_userns_clone"),
        ("darwin", "process", False, "use Linux"),
    ],
)
def test_the_sandbox(monkeypatch, platform, level, bwrap, mend):
    commands(monkeypatch, *(["bwrap"] if bwrap else []))
    monkeypatch.setattr(doctor.sys, "platform", platform)
    monkeypatch.setattr(sandbox, "best_isolation", lambda: SimpleNamespace(level=level))
    found = doctor.sandbox()
    assert level in found.value
    assert mend in found.mend
    assert bool(mend) == bool(found.mend)


def test_what_agrees_with_its_source(course):
    (finding,) = doctor.generated(course)
    assert (finding.value, finding.mend) == ("all 2 agree with their sources", "")


def edit(path: Path, change) -> None:
    notebook = json.loads(path.read_text())
    change(notebook["cells"])
    path.write_text(json.dumps(notebook))


def test_a_learners_own_work_is_not_stale(course):
    def fill_in(cells: list) -> None:
        answers = [c for c in cells if c["metadata"].get("mmcourse", {}).get("role") == "answer"]
        for cell in answers:
            cell["source"] = ["def f():\n", "    return 42\n"]
        cells.append({**answers[0], "id": "mine", "metadata": {}})

    def run(cells: list) -> None:
        del cells[0]  # JupyterLab goes by the text, which has no cell for Colab
        cells[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]

    edit(course / "exercises" / "00_sample.ipynb", fill_in)
    edit(course / "notebooks" / "00_sample.ipynb", run)
    assert [finding.mend for finding in doctor.generated(course)] == [""]


def test_a_stale_exercise_and_notebook(course):
    def drop_a_check(cells: list) -> None:
        roles = [cell["metadata"].get("mmcourse", {}).get("role") for cell in cells]
        del cells[roles.index("check")]

    edit(course / "exercises" / "00_sample.ipynb", drop_a_check)
    (course / "notebooks" / "00_sample.ipynb").write_text("no notebook")
    lesson, sheet = doctor.generated(course)
    assert sheet.value == "exercises/00_sample.ipynb is not what solutions/00_sample.md says"
    assert sheet.mend.startswith("mmcourse release 00_sample (it writes the file anew: keep a copy")
    assert lesson.name == "Notebook"


def test_a_missing_exercise_and_a_broken_source(course):
    (course / "exercises" / "00_sample.ipynb").unlink()
    (course / "notebooks" / "00_sample.md").write_bytes(b"\xff\xfe\x00")
    lesson, sheet = doctor.generated(course)
    assert lesson.mend == "put notebooks/00_sample.md right"
    assert (sheet.value, sheet.mend) == (
        "exercises/00_sample.ipynb is missing",
        "mmcourse release 00_sample",
    )


def gpu(monkeypatch, built, upto, available=True, capability=(9, 0)) -> list[doctor.Finding]:
    monkeypatch.setattr(doctor, "driver", lambda: SMI.format(upto) if upto else upto)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90a", "compute_90"])
    return list(doctor.cuda())


@pytest.mark.parametrize(
    ("built", "upto", "available", "capability", "value", "mend"),
    [
        ("13.0", "13.0", True, (9, 0), "PyTorch 13.0, the driver", ""),
        ("13.0", "12.8", False, (9, 0), "wants 13.0, the driver reaches up to", "update the dr"),
        ("13.0", "13.1", False, (9, 0), "finds no GPU", "restart"),
        ("13.0", "13.1", True, (6, 1), "no code for this GPU (sm_61)", "CUDA_VISIBLE_DEVICES="),
        ("13.0", "", False, (9, 0), "does not reach the driver", "install NVIDIA's driver"),
        (None, "13.0", False, (9, 0), "the CPU build, though the driver", ""),
    ],
)
def test_cuda_and_its_driver(monkeypatch, built, upto, available, capability, value, mend):
    (found,) = gpu(monkeypatch, built, upto, available, capability)
    assert value in found.value
    assert mend in found.mend
    assert bool(mend) == bool(found.mend)


def test_no_nvidia_gpu_is_no_finding(monkeypatch):
    assert gpu(monkeypatch, "13.0", None) == []


def test_what_nvidia_smi_says(monkeypatch):
    commands(monkeypatch)
    assert doctor.driver() is None
    commands(monkeypatch, "nvidia-smi")
    for code, said in ((0, "CUDA Version: 13.0"), (9, "")):
        done = subprocess.CompletedProcess([], code, "CUDA Version: 13.0", "")
        monkeypatch.setattr(doctor.subprocess, "run", lambda *a, done=done, **k: done)
        assert doctor.driver() == said


def test_this_checkout_is_not_stale():
    assert [f.value for f in doctor.generated(ROOT) if f.mend] == []
