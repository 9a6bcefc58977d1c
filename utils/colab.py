"""What a notebook on Google Colab needs before it can show the page.

In: nothing. Out: the packages that are missing, installed, and what to click for a GPU. Elsewhere it does
nothing. What Colab brings along stays as it is: a changed ipywidgets, ipykernel or torch breaks the
running notebook.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from utils import environment

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
NOT_FOR_NOTEBOOKS = (
    "voila",
    "pytest",
    "nbval",
    "playwright",
    "axe-core-python",
    "hypothesis",
    "ruff",
    "codespell",
    "ipykernel",
    "jupyterlab",
)


def missing(requirements: str) -> list[str]:
    """The requirements of which no version at all is installed, without those that only servers and tests need."""
    lines = [line.partition("#")[0].strip() for line in requirements.splitlines()]
    found = []
    for line in filter(None, lines):
        name = re.match(r"[\w.-]+", line)[0]
        try:
            version(name)
        except PackageNotFoundError:
            if name not in NOT_FOR_NOTEBOOKS:
                found.append(line)
    return found


def installed() -> dict[str, str]:
    """The version of every package that is there, so that none is changed."""
    return {found.metadata["Name"]: found.version for found in distributions() if "+" not in found.version}


def prepare() -> None:
    """Install what is missing, in Colab alone, and say whether there is a GPU."""
    if not environment.in_colab():
        return
    if wanted := missing(REQUIREMENTS.read_text("utf-8")):
        print("Installing", ", ".join(wanted))
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "kept.txt"
            kept.write_text("".join(f"{name}=={number}\n" for name, number in installed().items()), "utf-8")
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted, "-c", str(kept)], check=True)
    from google.colab import output

    output.enable_custom_widget_manager()
    if shutil.which("nvidia-smi") is None:
        print("There is no GPU. It works without one; Runtime → Change runtime type → T4 GPU makes it much faster.")
