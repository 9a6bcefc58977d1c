"""Google Colab: what is installed there, what is not touched, and the page with the packages of there."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from utils.colab import installed, missing

ROOT = Path(__file__).parent.parent
COLAB = ("ipywidgets==7.7.1", "ipykernel==6.17.1", "ipython==7.34.0")
"""What Colab had in November 2026; these three decide what a page can do."""

STUB = """
import sys
import types

for name in ("google", "google.colab", "google.colab.output"):
    sys.modules.setdefault(name, types.ModuleType(name))
sys.modules["google.colab"].output = sys.modules["google.colab.output"]
sys.modules["google.colab.output"].enable_custom_widget_manager = lambda: print("custom widgets are on")
"""

USE = """
dashboard.author.add("sample:keeperfinch")
assert "1,400 fetched" in dashboard.author._cards.children[0].value
assert dashboard.train.body.layout.display == ""
dashboard.author.add("nothing like that.csv")
assert "There is no file" in dashboard.author.status.widget.value
import ipykernel, IPython, ipywidgets
print(ipywidgets.__version__, ipykernel.__version__, IPython.__version__)
"""


def test_only_what_is_missing_is_installed_and_nothing_for_servers_and_tests() -> None:
    requirements = "pytest>=8.0\nno-such-thing-at-all>=1.0  # a comment\n# nor this\nvoila==0.0.1\nwhat-is-this\n"
    assert missing(requirements) == ["no-such-thing-at-all>=1.0", "what-is-this"]
    assert missing((ROOT / "requirements.txt").read_text()) == []


def test_every_package_that_is_there_is_held_at_its_version() -> None:
    held = installed()
    assert {"ipywidgets", "transformers", "numpy"} <= {name.lower() for name in held}


@pytest.mark.slow
def test_the_notebook_opened_by_itself_in_colab_fetches_the_project_and_shows_the_page(tmp_path: Path) -> None:
    environment = tmp_path / "colab"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *COLAB, "nbclient"], check=True, stderr=subprocess.PIPE)
    # Everything else comes from the environment of the tests, behind Colab's own.
    site = next(environment.rglob("site-packages"))
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "sitecustomize.py").write_text(STUB)

    notebook = nbformat.read(ROOT / "huggingtweets-demo.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(USE))
    alone = tmp_path / "alone"
    alone.mkdir()
    nbformat.write(notebook, alone / "demo.ipynb")
    clone = tmp_path / "origin"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".venv*", "bots", "__pycache__"))
    done = subprocess.run(
        [scripts / "jupyter-execute", "--inplace", "demo.ipynb"], cwd=alone, text=True,
        capture_output=True,
        env={**os.environ, "HUGGINGTWEETS_REPOSITORY": str(clone), "PYTHONPATH": "", "JUPYTER_PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    printed = str(nbformat.read(alone / "demo.ipynb", as_version=4).cells)
    assert "custom widgets are on" in printed
    assert "7.7.1 6.17.1 7.34.0" in printed
    assert (alone / "huggingtweets" / "utils").is_dir()
