"""Processes of their own, for everything that is measured.

In: what to run, and what to tell it. Out: what it prints. Knows nothing about what it does.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Failed(Exception):
    """A run's process ended with an error; the text is what it said last."""


def module(name: str, told: str = "", loud: bool = False) -> str:
    """What `python -m benchmarks.NAME` prints. Raises `Failed`."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    surroundings = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
    return finish([sys.executable, "-m", f"benchmarks.{name}"], Path.cwd(), surroundings, told, loud)


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
