"""What was measured: a file that grows run by run.

In: runs, and the figures of each. Out: a JSON file that is written anew, whole, after every run, so that a second start
goes on where the first one was broken off. A result counts for a run only if the machine, the versions of the packages,
the recipe's settings and the posts are those of today.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.material import Author
from benchmarks.plan import Run
from utils.atomic import replacing_file
from utils.errors import BadFile


def conditions(run: Run, author: Author, model: str) -> dict[str, Any]:
    """All that a result depends on."""
    return {
        "run": asdict(run),
        "settings": run.settings,
        "machine": machine.identity(),
        "versions": machine.versions(run.recipe),
        "posts": author.digest,
        "model": model,
    }


class Results:
    """The file, and what is in it."""

    def __init__(self, path: Path) -> None:
        """Raises `BadFile` for a file that holds something else."""
        self.path = path
        try:
            self.records: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
        except ValueError as error:
            raise BadFile(f"{path} holds no results of a benchmark. Move it away, or name another file.") from error

    def find(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        """The record that was measured under these conditions, or None."""
        return next((record for record in self.records if record["conditions"] == _plain(wanted)), None)

    def keep(self, wanted: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
        """Write a record; one of the same run on the same machine, under older conditions, makes room for it."""
        wanted = _plain(wanted)
        record = {"conditions": wanted, **_plain(figures)}
        self.records = [old for old in self.records if not _same_run(old["conditions"], wanted)] + [record]
        with replacing_file(self.path) as partial:
            partial.write_text(json.dumps(self.records, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return record

    def other_machines(self) -> set[str]:
        """Processors of other machines whose results are here, too."""
        here = _plain(machine.identity())
        found = [record["conditions"]["machine"] for record in self.records]
        return {f"{other['processor']}, {other['cores']} cores" for other in found if other != here}

    def outdated(self, missing: Sequence[dict[str, Any]]) -> int:
        """How many of the runs that are missing were measured before, under other conditions, on this machine."""
        return sum(any(_same_run(old["conditions"], _plain(one)) for old in self.records) for one in missing)


def _same_run(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (one["run"], one["machine"], one["model"]) == (other["run"], other["machine"], other["model"])


def _plain(value: Any) -> Any:
    """As it comes back from a file: tuples are lists."""
    return json.loads(json.dumps(value))
