"""How long drafts take: from a cold command, and from a bot that is loaded already.

In: a run, and a model. Out: seconds, as lists where they were measured several times. The bot is made here, in a few
steps, and thrown away: how fast a bot writes hangs on the size of its network and on the length of its drafts, and the
latter is learned first. "Cold" is the process, not the disk, from which the bot was just written.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ours, process
from benchmarks.plan import Run


def measure(run: Run, model: str) -> dict[str, Any]:
    """Make a bot and let it write. Raises `Failed`."""
    told = run.settings
    with tempfile.TemporaryDirectory() as home:
        bot, _ = ours.make(run, model, Path(home), "--steps", str(told["steps"]))
        cold = [_command(bot, told["drafts"], seed) for seed in range(told["commands"])]
        job = {"bot": str(bot), "seed": run.seed, **told}
        return {"cold_seconds": cold, **json.loads(process.module("loaded", json.dumps(job)))}


def _command(bot: Path, drafts: int, seed: int) -> float:
    """Seconds from the command to its end."""
    began = time.perf_counter()
    process.command(["tweet", str(bot), "-n", str(drafts), "--seed", str(seed), "--json"], bot.parent)
    return round(time.perf_counter() - began, 2)
