"""Clean notebooks of what a run leaves in them, so that a commit shows what somebody changed.

In: notebooks. Out: the same ones without execution counts, and of their metadata only what is on a list here;
without outputs, too, unless the notebook is there to show them: then cells count from 1, as nbval compares none that
have not been run. Exit status 1 if anything was changed, as hooks
of git like it. Knows nothing about what the notebooks do.

Written here because the tools for it take away what is on their list, and let pass whatever an editor invents
next (nbstripout, nb-clean), or want a project of their own kind (nbdev).
"""

import json
import sys
from pathlib import Path
from typing import Any

KEEPS_OUTPUTS = ("huggingtweets-dev.ipynb",)
"""What is read on GitHub, where nobody runs it."""

OF_A_NOTEBOOK = {"kernelspec", "language_info", "title"}
"""Voilà asks for the kernel, and shows the title."""

OF_A_LANGUAGE = {"name"}
"""The version and the editor's settings differ from machine to machine."""

OF_A_CELL = {"cellView", "tags"}
"""Colab folds a cell away by the one; the tests leave cells out by the other."""


def cleaned(text: str, keep_outputs: bool) -> str:
    """The text of a notebook, cleaned, in the form in which Jupyter writes it."""
    notebook = json.loads(text)
    notebook["metadata"] = _only(notebook["metadata"], OF_A_NOTEBOOK)
    if "language_info" in notebook["metadata"]:
        notebook["metadata"]["language_info"] = _only(notebook["metadata"]["language_info"], OF_A_LANGUAGE)
    for cell in notebook["cells"]:
        cell["metadata"] = _only(cell["metadata"], OF_A_CELL)
    for number, cell in enumerate((cell for cell in notebook["cells"] if cell["cell_type"] == "code"), 1):
        cell["execution_count"] = number if keep_outputs else None
        cell["outputs"] = [_without_run(output, number) for output in cell["outputs"]] if keep_outputs else []
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _without_run(output: dict[str, Any], number: int) -> dict[str, Any]:
    """An output of the cell of this number that does not tell when and where it was made."""
    if "execution_count" in output:
        output["execution_count"] = number
    if "metadata" in output:  # what an output looks like is listed by its type, like "image/png"
        output["metadata"] = {name: value for name, value in output["metadata"].items() if "/" in name}
    return output


def _only(metadata: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name in names}


def clean_file(path: Path) -> bool:
    """Clean a notebook in its place; whether that changed it."""
    before = path.read_text("utf-8")
    after = cleaned(before, path.name in KEEPS_OUTPUTS)
    if after != before:
        path.write_text(after, "utf-8", newline="\n")
    return after != before


if __name__ == "__main__":
    changed = [name for name in sys.argv[1:] if clean_file(Path(name))]
    for name in changed:
        print(f"{name} was cleaned; add it again.")
    sys.exit(bool(changed))
