"""The notebook that teaches: it reads like one text, teaches what the program uses, and can be read without running."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = json.loads((ROOT / "huggingtweets-dev.ipynb").read_text("utf-8"))
CELLS = NOTEBOOK["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
PROSE = [cell for cell in CELLS if cell["cell_type"] == "markdown"]
TEACHING = CODE[1:]
"""All but the first cell, which fetches the project where the notebook was opened by itself."""

LONGEST_CELL, LONGEST_LINE = 18, 140
"""Lines of code that a reader takes in at a glance, and letters of them on a laptop's screen."""

RECORDED = "recorded"


def source(cell: dict) -> str:
    return "".join(cell["source"])


def named(cells: list[dict]) -> list:
    return [pytest.param(cell, id=cell["id"]) for cell in cells]


def test_it_begins_like_the_page() -> None:
    page = json.loads((ROOT / "huggingtweets-demo.ipynb").read_text("utf-8"))
    assert source(CODE[0]) == source(page["cells"][0])
    assert CODE[0]["metadata"] == page["cells"][0]["metadata"]


@pytest.mark.parametrize("cell", named(TEACHING))
def test_a_cell_is_short_and_defines_nothing(cell: dict) -> None:
    lines = source(cell).splitlines()
    assert len(lines) <= LONGEST_CELL
    assert max(map(len, lines)) <= LONGEST_LINE
    defined = [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not defined, "what is taught lives in utils"


@pytest.mark.parametrize("cell", named(TEACHING))
def test_prose_or_the_figures_that_are_drawn_stand_before_code(cell: dict) -> None:
    before = CELLS[CELLS.index(cell) - 1]
    drawn = cell["id"].removesuffix("-drawn").removesuffix("-table")
    assert before["cell_type"] == "markdown" or before["id"] == drawn


@pytest.mark.parametrize("cell", named(TEACHING))
def test_every_function_that_it_teaches_is_the_programs(cell: dict) -> None:
    for node in ast.walk(ast.parse(source(cell))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("utils"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                found = getattr(module, alias.name, None) or importlib.import_module(f"{node.module}.{alias.name}")
                assert not alias.name.startswith("_")
                assert getattr(found, "__module__", "utils").startswith("utils") or isinstance(found, dict | tuple)


def test_its_sections_are_questions_in_order() -> None:
    headings = [line for cell in PROSE for line in source(cell).splitlines() if line.startswith("## ")]
    assert [int(re.match(r"## (\d+)\. ", heading)[1]) for heading in headings] == list(range(1, 14))
    assert [heading for heading in headings if not heading.endswith("?")] == ["## 11. Two voices in one"]


def test_its_outputs_are_kept_and_come_from_the_long_run() -> None:
    silent = {cell["id"] for cell in TEACHING if not cell["outputs"]}
    assert silent == {"layers", "release"}, "cells without an output"
    errors = [cell["id"] for cell in CODE for output in cell["outputs"] if output["output_type"] == "error"]
    warned = [cell["id"] for cell in CODE for output in cell["outputs"] if output.get("name") == "stderr"]
    assert (errors, warned) == ([], [])
    assert f"effort: {RECORDED}" in "".join(CODE[-1]["outputs"][0]["text"])
    assert len(json.dumps(NOTEBOOK)) < 1_200_000, "it opens at once"


def test_the_sweep_that_it_shows_is_the_one_in_the_file() -> None:
    shown = next("".join(cell["outputs"][0]["text"]) for cell in CODE if cell["id"] == "sweep")
    assert "learning_rate:" in shown and shown.rstrip() in (ROOT / "sweep.yaml").read_text("utf-8")


def test_every_picture_is_described() -> None:
    pictures = [output for cell in CODE for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(pictures) >= 10
    for picture in pictures:
        alt = picture["metadata"]["image/png"]["alt"]
        assert len(alt) > 40 and alt == "".join(picture["data"]["text/plain"])


def test_no_output_tells_where_it_was_made() -> None:
    for cell in CODE:
        assert not re.search(r"/(?:root|home|tmp|work|Users)/", json.dumps(cell["outputs"])), cell["id"]


def test_drafts_are_shown_with_their_mark() -> None:
    shown = [line for cell in CODE if cell["id"] in ("greedy", "drafts", "mixed") for output in cell["outputs"]
             for line in "".join(output["text"]).splitlines()]  # fmt: skip
    assert sum(line.endswith("🤖 written by a bot") for line in shown) >= 20


@pytest.mark.parametrize("cell", named(PROSE))
def test_links_lead_somewhere(cell: dict) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", source(cell)):
        if "://" in target:
            assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]{2,}(/[\w./~#?=&%@:-]*)?", target), target
        else:
            assert (ROOT / target).exists(), target


@pytest.mark.parametrize("cell", named(PROSE))
def test_files_and_functions_that_are_named_are_there(cell: dict) -> None:
    for name in re.findall(r"`(utils/[\w./]+|[\w-]+\.(?:yaml|ipynb))`", source(cell)):
        assert (ROOT / name).exists(), name


def test_exercises_have_answers_that_are_folded() -> None:
    prose = "\n".join(map(source, PROSE))
    assert prose.count("**Exercise.**") >= 5
    assert prose.count("<details><summary>Answer</summary>") == prose.count("</details>") >= 4


def test_no_word_is_misspelt(tmp_path: Path) -> None:
    text = tmp_path / "prose.md"
    text.write_text("\n\n".join(map(source, PROSE)), "utf-8")
    done = subprocess.run([sys.executable, "-m", "codespell_lib", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
