"""What lies around the code: that versions, commands and addresses agree wherever they are written, and the style."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

import pytest
import yaml
from clean_notebooks import KEEPS_OUTPUTS, cleaned
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from utils.colab import FOR_TESTS
from utils.dashboard import Dashboard
from utils.settings import (
    BINDER_MINUTES,
    BINDER_URL,
    COLAB_URL,
    DEV_COLAB_URL,
    DEV_NOTEBOOK,
    NOTEBOOK,
    PROJECT_URL,
    TrainingSettings,
)

ROOT = Path(__file__).parent.parent

ADMITTED = ("3.11.0", "3.12.0", "3.13.0")
"""The first release of each Python that the Makefile lets pass."""

USED = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 7,
            "id": "used",
            "metadata": {"cellView": "form", "ExecuteTime": {"start_time": "today"}, "colab": {"height": 1}},
            "outputs": [
                {
                    "data": {"image/png": "aGVsbG8="},
                    "execution_count": 7,
                    "metadata": {"image/png": {"width": 300}, "needs_background": "light"},
                    "output_type": "execute_result",
                },
                {"name": "stdout", "output_type": "stream", "text": ["hello\n"]},
            ],
            "source": ["print('hello · привет')\n"],
        },
        {"cell_type": "markdown", "id": "said", "metadata": {"editable": True}, "source": ["# Said"]},
    ],
    "metadata": {
        "accelerator": "GPU",
        "colab": {"provenance": []},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "version": "3.11.7", "codemirror_mode": {"version": 3}},
        "title": "Used",
        "widgets": {"state": {}},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}
"""A notebook that was run here and there."""


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def requirements(text: str) -> dict[str, str]:
    """The lines of a file of requirements by their packages."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return {re.match(r"[\w.-]+", line)[0].lower(): line for line in lines if line and not line.startswith("-")}


def pinned(package: str) -> str:
    """The version of a package that was tested."""
    return requirements(read("constraints.txt"))[package].partition("==")[2]


def test_all_that_is_required_has_a_version_that_was_tested() -> None:
    tested = requirements(read("constraints.txt"))
    for name, line in requirements(read("requirements.txt")).items():
        assert Requirement(line).specifier.contains(tested[name].partition("==")[2]), line


def test_the_versions_that_were_tested_are_those_that_are_installed() -> None:
    differing = {}
    for name, line in requirements(read("constraints.txt")).items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:  # what only the benchmark needs, or another system
            continue
        if found != line.partition("==")[2]:
            differing[name] = found
    assert not differing, "pip install -r requirements.txt -c constraints.txt"


def test_what_was_tested_installs_on_every_python_that_is_admitted() -> None:
    """Debian 12 has 3.11.2, and a package that asks for a later 3.11 makes pip fail with a riddle."""
    refused = {}
    for name in requirements(read("constraints.txt")):
        try:
            asked = SpecifierSet(metadata(name)["Requires-Python"] or "")
        except PackageNotFoundError:  # what only the benchmark needs, or another system
            continue
        if missing := [python for python in ADMITTED if python not in asked]:
            refused[name] = (str(asked), missing)
    assert not refused


def test_both_ends_of_the_ranges_can_be_tried_by_a_version_that_exists() -> None:
    """A bound is tried as it is written, so it names a release; PyTorch is the one that was tested."""
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    ends = jobs["ranges"]["strategy"]["matrix"]["end"]
    assert jobs["ranges"]["steps"][-1]["run"] == "make test-${{ matrix.end }}"
    for end in ends:
        command = ["make", "--dry-run", "--always-make", f"test-{end}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert f"--resolution {'lowest-direct' if end == 'lowest' else 'highest'}" in done.stdout
        assert f".venv-{end}/bin/python -m pytest tests" in done.stdout
    assert all(">=" in line or "==" in line for line in requirements(read("requirements.txt")).values())


def test_the_page_starts_from_a_folder_with_a_space_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "My Projects"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "constraints.txt"):
        (folder / name).write_text(read(name))
    done = subprocess.run(["make", "--dry-run", "demo"], cwd=folder, capture_output=True, text=True, check=True)
    first, *command = shlex.split(done.stdout.splitlines()[-1])
    assert first == f"JUPYTER_PATH={folder}/utils/dashboard/share/jupyter"
    assert command[:3] == [".venv/bin/python", "-m", "voila"]


def test_the_code_is_in_the_style_that_the_hooks_ask_for() -> None:
    for command in (["check", "--output-format", "concise"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "utils", "tests"],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_hooks_use_the_ruff_that_was_tested() -> None:
    hooks = [
        hook for repository in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repository["hooks"]
    ]
    asked = {hook["id"]: hook.get("additional_dependencies") for hook in hooks}
    ruff = [f"ruff=={pinned('ruff')}"]
    assert asked == {"ruff-check": ruff, "ruff-format": ruff, "clean-notebooks": None}
    cleaner = next(hook["entry"] for hook in hooks if hook["id"] == "clean-notebooks")
    assert (ROOT / cleaner.split()[-1]).is_file()


def test_github_runs_what_everybody_runs() -> None:
    job = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    targets = re.findall(r"^make (.+)$", read(".ci/run"), re.MULTILINE)
    assert targets
    for target in " ".join(targets).split():
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), f"make {target}"
    assert all((ROOT / step["with"]["cache-dependency-path"]).is_file() for step in job["steps"] if "with" in step)


def test_one_version_of_python_is_tested_and_served() -> None:
    steps = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["test"]["steps"]
    version = next(step["with"]["python-version"] for step in steps if "with" in step)
    assert read("binder/runtime.txt").strip() == f"python-{version}"
    assert f"Python {version}" in read("constraints.txt").splitlines()[0]
    assert f'"py{version.replace(".", "")}"' in read("pyproject.toml")


def test_binder_installs_all_but_what_is_for_tests_and_pytorch_without_a_gpu() -> None:
    text = read("binder/requirements.txt")
    wanted, _, for_tests = read("requirements.txt").partition(FOR_TESTS)
    assert "voila" in requirements(wanted) and "pytest" in requirements(f"#{for_tests}")
    got = requirements(text)
    assert got.pop("torch") == f"torch=={pinned('torch')}+cpu"
    assert got == {name: line for name, line in requirements(wanted).items() if name != "torch"}
    assert "-c ../constraints.txt" in text.splitlines()


def test_binder_replaces_the_ipykernel_that_it_brings_and_that_is_ruled_out_here() -> None:
    assert "!=7.0.*" in requirements(read("binder/requirements.txt"))["ipykernel"]
    assert not pinned("ipykernel").startswith("7.0.")


@pytest.mark.parametrize(
    ("limit", "threads"), [("1.0", "1"), ("1", "1"), ("2.5", "2"), ("0.5", "1"), (None, "as it was")]
)
def test_binder_computes_on_the_cores_that_a_visitor_has(limit: str | None, threads: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "as it was"} | ({"CPU_LIMIT": limit} if limit else {})
    done = subprocess.run(
        [ROOT / "binder" / "start", "printenv", "OMP_NUM_THREADS"], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == threads, done.stderr


def test_binders_server_finds_the_template_and_sends_bots_as_fast_as_voila_does(tmp_path: Path) -> None:
    script = "from jupyter_core.paths import jupyter_path; print(*jupyter_path())"
    command = [ROOT / "binder" / "start", sys.executable]
    paths = subprocess.run([*command, "-c", script], cwd=tmp_path, capture_output=True, text=True).stdout.split()
    template = json.loads(read("voila.json"))["VoilaConfiguration"]["template"]
    assert any((Path(path) / "voila" / "templates" / template).is_dir() for path in paths)
    told = subprocess.run([*command, "-m", "jupyter_server", "--show-config-json"], cwd=tmp_path, capture_output=True)
    rate = "ZMQChannelsWebsocketConnection"
    assert json.loads(told.stdout)[rate] == json.loads(read("voila.json"))[rate] == {"limit_rate": False}


@pytest.mark.slow
@pytest.mark.usefixtures("real_weights")
def test_binders_image_has_the_weights_in_it() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([ROOT / "binder" / "postBuild"], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    folder = Path(os.environ["HUGGINGTWEETS_CACHE"]) / "models"
    assert list(folder.glob("smollm2-135m*/model.safetensors"))


def test_on_binder_the_page_proposes_more_minutes_and_says_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings() -> tuple[float, str]:
        region = Dashboard().train
        return region._minutes.value, " ".join(str(getattr(child, "value", "")) for child in region._settings.children)

    minutes, shown = settings()
    assert minutes == TrainingSettings().minutes and "Binder" not in shown
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "https://binder.example/")
    minutes, shown = settings()
    assert minutes == BINDER_MINUTES
    assert "Binder lends one processor core" in shown and "download your bot" in shown
    assert f'href="{COLAB_URL}"' in shown


def test_badges_lead_to_this_projects_page() -> None:
    place = PROJECT_URL.removeprefix("https://github.com/")
    assert f"https://colab.research.google.com/github/{place}/blob/main/{NOTEBOOK}" == COLAB_URL
    assert f"https://mybinder.org/v2/gh/{place}/main?urlpath=voila/render/{NOTEBOOK}" == BINDER_URL
    assert (ROOT / NOTEBOOK).is_file()
    readme = read("README.md")
    assert f"]({COLAB_URL})" in readme and f"]({BINDER_URL})" in readme
    fetched = "".join(json.loads(read(NOTEBOOK))["cells"][0]["source"])
    assert f'"{PROJECT_URL}"' in fetched, "the notebook by itself fetches the same project"
    assert COLAB_URL.replace(NOTEBOOK, DEV_NOTEBOOK) == DEV_COLAB_URL


def test_every_notebook_has_its_badge_for_colab_and_begins_there_in_the_same_way() -> None:
    badges = {NOTEBOOK: COLAB_URL, DEV_NOTEBOOK: DEV_COLAB_URL}
    first = None
    for notebook in sorted(ROOT.glob("*.ipynb")):
        assert f"]({badges[notebook.name]})" in read("README.md")
        code = next(cell for cell in json.loads(read(notebook.name))["cells"] if cell["cell_type"] == "code")
        first = first or code["source"]
        assert code["source"] == first


@pytest.mark.parametrize("keep_outputs", [False, True])
def test_a_clean_notebook_shows_no_trace_of_where_it_was_run(keep_outputs: bool) -> None:
    text = cleaned(json.dumps(USED), keep_outputs)
    assert cleaned(text, keep_outputs) == text, "cleaning twice changes nothing"
    notebook = json.loads(text)
    code, said = notebook["cells"]
    assert notebook["metadata"] == {
        "kernelspec": USED["metadata"]["kernelspec"],
        "language_info": {"name": "python"},
        "title": "Used",
    }
    assert (code["metadata"], said["metadata"]) == ({"cellView": "form"}, {})
    assert code["execution_count"] == (1 if keep_outputs else None), "counted from the top, whenever it was run"
    assert code["source"] == USED["cells"][0]["source"] and "привет" in text
    assert len(code["outputs"]) == (2 if keep_outputs else 0)
    if keep_outputs:
        assert code["outputs"][0]["execution_count"] == 1
        assert code["outputs"][0]["metadata"] == {"image/png": {"width": 300}}
        assert code["outputs"][1]["text"] == ["hello\n"]


def test_the_notebooks_here_are_clean() -> None:
    notebooks = list(ROOT.glob("*.ipynb"))
    assert ROOT / NOTEBOOK in notebooks
    for notebook in notebooks:
        text = notebook.read_text("utf-8")
        assert cleaned(text, notebook.name in KEEPS_OUTPUTS) == text, f"python tests/clean_notebooks.py {notebook.name}"


def test_the_hook_that_cleans_notebooks_stops_a_commit_once(tmp_path: Path) -> None:
    (tmp_path / "used.ipynb").write_text(json.dumps(USED), "utf-8")
    command = [sys.executable, ROOT / "tests" / "clean_notebooks.py", "used.ipynb"]
    first, second = (subprocess.run(command, cwd=tmp_path, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, second.returncode) == (1, 0)
    assert "used.ipynb was cleaned" in first.stdout
    assert json.loads((tmp_path / "used.ipynb").read_text("utf-8"))["cells"][0]["outputs"] == []


def test_the_licence_is_mits() -> None:
    assert read("LICENSE").startswith("MIT License")
