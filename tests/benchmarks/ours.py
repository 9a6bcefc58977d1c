"""The command line of this project, as a user would start it.

In: a run. Out: the same figures as of a rival, read from what `train --json` prints. All seconds count: imports,
loading, both scorings of the held-out posts, saving. The bot is written into a folder that is removed afterwards.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.plan import Run
from utils import environment

ROOT = Path(__file__).parents[2]


class Failed(Exception):
    """A run's process ended with an error; the text is what it said last."""


def train(run: Run, model: str) -> dict[str, Any]:
    """Train once, in a home of its own, and return the figures. Raises `Failed`."""
    with tempfile.TemporaryDirectory() as home:
        path = environment.find_path(run.author)
        reference = str(path.resolve()) if path else run.author
        arguments = ["train", reference, "--minutes", f"{run.minutes:g}", "--seed", str(run.seed), "--model", model]
        arguments += ["--track", "off", "--json", "--out", str(Path(home) / "bot")]
        report = json.loads(command(arguments, Path(home)))
    return figures(report)


def command(arguments: list[str], home: Path) -> str:
    """What `python -m utils …` prints, started in `home`, where it also keeps what it fetches. Raises `Failed`."""
    surroundings = {**os.environ, "HUGGINGTWEETS_SHELF": str(home / "posts"), "PYTHONPATH": str(ROOT)}
    return finish([sys.executable, "-m", "utils", *arguments], home, surroundings)


def finish(command: list[str], folder: Path, surroundings: dict[str, str], told: str = "", loud: bool = False) -> str:
    """Run a process to its end and return its standard output; whoever interrupts us ends it, too.

    It gets a session of its own, so that Ctrl-C reaches us first: ours would keep its bot and go on saving.
    told: its standard input. loud: its standard error is shown as it comes. Raises `Failed`.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=surroundings, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if loud else errors,
        )  # fmt: skip
        try:
            output, _ = process.communicate(told)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().strip().splitlines()[-3:] or ["what it said is above"]
            raise Failed(f"it ended with status {process.returncode}; " + " | ".join(said))
    return output


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """What `train --json` prints, in the words of the results."""
    held_out, seconds = report["held_out"], report["seconds"]
    return {
        "curve": [
            (0.0, held_out["bits_per_character_before"]),
            (seconds["total"], held_out["bits_per_character"]),
        ],
        "bits_per_character": held_out["bits_per_character"],
        "bits_per_character_before": held_out["bits_per_character_before"],
        "held_out": {name: held_out[name] for name in ("posts", "characters")},
        "seconds": seconds,
        "steps": report["steps"],
        "tokens": report["tokens_trained"],
        "peak_memory_bytes": report["peak_memory_bytes"],
        "precision": report["precision"],
        "learned": report["learned"],
        "notes": report["warnings"],
    }
