"""What a notebook on Google Colab needs before it can show the page.

In: nothing. Out: the packages that are missing, installed, and what to click for a GPU. Elsewhere it does
nothing. What Colab brings along stays as it is: a changed ipywidgets, ipykernel or torch breaks the
running notebook. Imports the standard library alone, since nothing else may be there yet.
"""

import importlib
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"

FOR_TESTS = "# To run the tests"
"""The line of `REQUIREMENTS` below which nothing is for a notebook."""

FOR_SERVERS = ("voila",)

PINNED = re.compile(r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*")
"""The versions that pip can be held to. Debian's own packages, which Colab has too, count in other ways."""


def in_colab() -> bool:
    """Whether this is a notebook on Google Colab."""
    return "google.colab" in sys.modules


def missing(requirements: str) -> list[str]:
    """The requirements of which no version at all is installed, without those that only servers and tests need."""
    lines = [line.partition("#")[0].strip() for line in requirements.partition(FOR_TESTS)[0].splitlines()]
    found = []
    for line in filter(None, lines):
        name = re.match(r"[\w.-]+", line)[0]
        try:
            version(name)
        except PackageNotFoundError:
            if name not in FOR_SERVERS:
                found.append(line)
    return found


def installed() -> dict[str, str]:
    """The version of every package that is there, so that none is changed.

    Of two that lie in different folders the first is the one that Python takes. A build of its own, like PyTorch's
    `2.13.0+cu128`, is held at `2.13.0`, which no index can take for another one.
    """
    found: dict[str, str] = {}
    for known in distributions():
        name, number = known.metadata["Name"], (known.version or "").partition("+")[0]
        if name and PINNED.fullmatch(number):
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), number)
    return found


def prepare() -> None:
    """Install what is missing, in Colab alone, and say whether there is a GPU."""
    if not in_colab():
        return
    if wanted := missing(REQUIREMENTS.read_text("utf-8")):
        print("Installing", ", ".join(wanted))
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "kept.txt"
            kept.write_text("".join(f"{name}=={number}\n" for name, number in installed().items()), "utf-8")
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted, "-c", str(kept)], check=True)
        importlib.invalidate_caches()  # this process may have looked into the folder a moment before
    from google.colab import output

    output.enable_custom_widget_manager()
    if shutil.which("nvidia-smi") is None:
        print("There is no GPU. It works without one; Runtime → Change runtime type → T4 GPU should make it faster.")
