"""Google Colab: what is installed there, what is not touched, and the page with the packages of there."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from utils.colab import FOR_TESTS, installed, missing

ROOT = Path(__file__).parent.parent
STUB = Path(__file__).parent / "colab"
INSTALLED = STUB / "installed.txt"
NOTEBOOK = "huggingtweets-demo.ipynb"
NOT_ON_COLAB = {"gguf", "twitter-text-parser", "ftfy", "libipld", "selectolax", "mastodon.py"}
"""What is installed there; all that these need, Colab has."""

SECRETS = {"WANDB_API_KEY": "w" * 40, "HF_TOKEN": "hf_" + "h" * 30, "X_BEARER_TOKEN": None}

USE = """
dashboard.author.add("sample:keeperfinch")
assert "1,400 fetched" in dashboard.author._cards.children[0].value
assert dashboard.train.body.layout.display == ""
dashboard.author.add("nothing like that.csv")
assert "There is no file" in dashboard.author.status.widget.value
"""

ASK = """
from google.colab import userdata
from utils import environment
from utils.sharing.hub import find_token
dashboard.train._track.value = "online"
record = dashboard.train._wanted_record()
assert record.environment()["WANDB_API_KEY"] == userdata.get("WANDB_API_KEY")
assert find_token() == userdata.get("HF_TOKEN")
assert environment.secret("X_BEARER_TOKEN", "NO_SUCH_SECRET") is None
print(record)
"""

VERSIONS = """
import huggingface_hub, ipykernel, IPython, ipywidgets, torch, transformers
print(*(known.__version__ for known in (ipywidgets, ipykernel, IPython, transformers, huggingface_hub)))
"""


def lines(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def test_only_what_is_missing_is_installed_and_nothing_for_servers_and_tests() -> None:
    requirements = (
        f"no-such-thing-at-all>=1.0  # a comment\n# nor this\nvoila==0.0.1\nwhat-is-this\n{FOR_TESTS}\nnose9\n"
    )
    assert missing(requirements) == ["no-such-thing-at-all>=1.0", "what-is-this"]
    assert missing((ROOT / "requirements.txt").read_text("utf-8")) == []


def test_every_package_that_is_there_is_held_at_its_version() -> None:
    held = installed()
    assert {"ipywidgets", "transformers", "numpy"} <= set(held)
    assert "+" not in held["torch"], "a build for some GPU is held, too"


def test_of_two_versions_the_one_that_python_takes_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, number in (("first", "2.0"), ("second", "1.0"), ("third", "1.0-debian3")):
        about = tmp_path / folder / f"some_thing-{number}.dist-info"
        about.mkdir(parents=True)
        name = "Some.Thing" if folder != "third" else "counted-otherwise"
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n", "utf-8")
        monkeypatch.syspath_prepend(tmp_path / folder)
    monkeypatch.setattr(sys, "path", [*map(str, (tmp_path / "first", tmp_path / "second", tmp_path / "third"))])
    assert installed() == {"some-thing": "2.0"}


def test_the_first_cell_needs_nothing_but_python_to_find_out_what_is_missing() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import utils.colab as c; print(*c.missing('psutil>=5'))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "psutil>=5", done.stderr


def test_what_colab_has_is_in_the_ranges_of_what_is_needed_and_the_rest_is_known() -> None:
    has = {known.name.lower(): str(known.specifier).removeprefix("==") for known in lines(INSTALLED.read_text("utf-8"))}
    wanted = lines((ROOT / "requirements.txt").read_text("utf-8").partition(FOR_TESTS)[0])
    absent = {need.name.lower() for need in wanted if need.name.lower().replace("_", "-") not in has}
    assert absent == NOT_ON_COLAB | {"torch", "voila"}
    for need in wanted:
        number = has.get(need.name.lower().replace("_", "-"))
        assert number is None or need.specifier.contains(number), f"Colab has {need.name} {number}"


def test_without_anybody_who_looks_at_the_notebook_there_are_no_secrets_and_no_error() -> None:
    code = "import google.colab; from utils.environment import secret; print(secret('HF_TOKEN'))"
    path = os.pathsep.join([str(ROOT), str(STUB)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "None", done.stderr


@dataclass
class Colab:
    """An environment with Colab's packages, and a notebook that was opened by itself in it.

    before, after: the versions of all packages, before and after its cells ran. printed: the notebook as it was then,
    and what the program that ran it said.
    """

    python: Path
    surroundings: dict[str, str]
    folder: Path
    before: dict[str, str]
    after: dict[str, str]
    printed: str

    @property
    def project(self) -> Path:
        return self.folder / "huggingtweets"


def versions(python: Path) -> dict[str, str]:
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True)
    return {known["name"].lower(): known["version"] for known in json.loads(listed.stdout)}


def environment_of_colab(folder: Path) -> Path:
    """An environment with Colab's packages and its behaviour; its Python.

    Colab's packages are installed for real. PyTorch alone is the tests' own, linked: half a gigabyte would be
    unpacked, and there is one version of it anyway.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-compile", "-r", INSTALLED], check=True, stderr=subprocess.PIPE)
    site = next(folder.rglob("site-packages"))
    for part in Path(sysconfig.get_path("purelib")).glob("*torch*"):
        if part.name in ("torch", "torchgen", "functorch") or part.name.startswith("torch-"):
            (site / part.name).symlink_to(part)
    shutil.copytree(STUB / "google", site / "google", dirs_exist_ok=True)
    # Colab's kernels, and no other processes, have its package imported from the start.
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "colab.py").write_text("import google.colab\n", "utf-8")
    return python


def origin(folder: Path) -> Path:
    """The project as it lies here, as a repository that can be cloned."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv*", "bots", "__pycache__"))
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "As it is"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Colab:
    """The demo notebook after its first cells, and a few more, ran in Colab."""
    folder = tmp_path_factory.mktemp("colab")
    python = environment_of_colab(folder / "environment")
    before = versions(python)
    alone = folder / "content"
    alone.mkdir()
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in (USE, ASK, VERSIONS)]
    nbformat.write(notebook, alone / NOTEBOOK)
    secrets = folder / "secrets.json"
    secrets.write_text(json.dumps(SECRETS), "utf-8")
    surroundings = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", *SECRETS)},
        "HOME": str(folder), "HUGGINGTWEETS_CACHE": str(folder / "cache"), "JUPYTER_PATH": "",
        "IPYTHONDIR": str(folder / "environment" / "ipython"), "COLAB_SECRETS": str(secrets),
        "HUGGINGTWEETS_REPOSITORY": str(origin(folder / "origin")),
    }  # fmt: skip
    done = subprocess.run(
        [python.parent / "jupyter-execute", "--inplace", NOTEBOOK], cwd=alone, env=surroundings, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    printed = (alone / NOTEBOOK).read_text("utf-8") + done.stdout + done.stderr
    return Colab(python, surroundings, alone, before, versions(python), printed)


@pytest.mark.slow
def test_the_notebook_opened_by_itself_in_colab_fetches_the_project_and_shows_the_page(colab: Colab) -> None:
    assert (colab.project / "utils").is_dir()
    assert "custom widgets are on" in colab.printed
    assert "There is no GPU." in colab.printed or shutil.which("nvidia-smi")
    assert "7.7.1 6.17.1 7.34.0 5.15.0 1.27.0" in colab.printed


@pytest.mark.slow
def test_in_colab_nothing_that_is_there_changes_its_version_and_only_what_is_missing_comes(colab: Colab) -> None:
    assert len(colab.before) > 90 and colab.before["torch"]
    assert {name: colab.after.get(name) for name in colab.before} == colab.before
    assert set(colab.after) - set(colab.before) == NOT_ON_COLAB


@pytest.mark.slow
def test_colabs_secrets_reach_what_asks_for_them_and_are_shown_nowhere(colab: Colab) -> None:
    assert "Record(mode='online'" in colab.printed
    files = [path for path in colab.folder.rglob("*") if path.is_file()]
    for secret in filter(None, SECRETS.values()):
        assert secret not in colab.printed
        assert not any(secret.encode() in path.read_bytes() for path in files), "written to a file"


@pytest.mark.slow
def test_the_notebook_passes_nbval_with_colabs_packages(colab: Colab, tmp_path: Path) -> None:
    kernel = tmp_path / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(colab.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": command, "display_name": "Colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(about), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-kernel-name", "colab", NOTEBOOK], cwd=colab.project,
        env={**colab.surroundings, "JUPYTER_PATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.slow
def test_colabs_packages_train_a_bot_and_let_it_write(colab: Colab, taught_model: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> dict:
        command = [colab.python, "-m", "utils", *arguments, "--json"]
        done = subprocess.run(command, cwd=colab.project, env=colab.surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    bot = tmp_path / "bot"
    assert run("train", "sample:unit7bakes", "--steps", "2", "--model", taught_model, "--out", bot)["steps"] == 2
    assert len(run("tweet", bot, "-n", "3", "--seed", "1")["drafts"]) == 3
