"""The command line of this project, as a user would start it.

In: a run. Out: the same figures as of a rival, read from what `train --json` prints. All seconds count: imports,
loading, both scorings of the held-out posts, saving. When the time is up, the finished bot is read from its folder and
scored on all held-out posts; then the folder is removed.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import process
from benchmarks.plan import Run
from utils import environment


def train(run: Run, model: str, folder: Path) -> dict[str, Any]:
    """Train once, in a home of its own, and return the figures. folder: the model's. Raises `Failed`."""
    with tempfile.TemporaryDirectory() as home:
        bot, report = make(run, model, Path(home), "--minutes", f"{run.minutes:g}")
        job = {"bot": str(bot), "model": str(folder), "author": run.author, "seed": run.seed}
        scored = json.loads(process.module("scored", json.dumps(job)))
    return figures(report, scored)


def make(run: Run, model: str, home: Path, *budget: str) -> tuple[Path, dict[str, Any]]:
    """Train in that folder; returns the bot's own, and what `train --json` reports. Raises `Failed`."""
    path = environment.find_path(run.author)
    reference = str(path.resolve()) if path else run.author
    bot = home / "bot"
    arguments = ["train", reference, *budget, "--seed", str(run.seed), "--model", model]
    return bot, json.loads(process.command([*arguments, "--track", "off", "--json", "--out", str(bot)], home))


def figures(report: dict[str, Any], scored: dict[str, Any]) -> dict[str, Any]:
    """What `train --json` and `benchmarks.scored` print, in the words of the results."""
    seconds = report["seconds"]
    return {
        **scored,
        "curve": [(0.0, scored["bits_per_character_before"]), (seconds["total"], scored["bits_per_character"])],
        "reported": report["held_out"],
        "seconds": seconds,
        "steps": report["steps"],
        "tokens": report["tokens_trained"],
        "peak_memory_bytes": report["peak_memory_bytes"],
        "precision": report["precision"],
        "learned": report["learned"],
        "notes": report["warnings"],
    }
