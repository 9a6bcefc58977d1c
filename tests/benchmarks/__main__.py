"""The command: measure what is missing, then show the table.

In: options. Out: a table on standard output, the file of results, and a picture of them; progress goes to standard
error. Ctrl-C ends the run that is under way, which counts as not done; the same command goes on from there.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks import figure, machine, material, ours, overview, process, table, writing
from benchmarks.arithmetic import Shape, operations
from benchmarks.plan import Run, plan
from benchmarks.recipes import BESIDES, MODEL, SETTINGS, is_trl
from benchmarks.results import Results, conditions
from utils import models
from utils.errors import UserError

HERE = Path(__file__).parent
README = HERE.parent.parent / "README.md"

AUTHORS = "sample:keeperfinch,sample:unit7bakes"
"""The bundled ones, so that anybody can measure the same."""


def listed(context: click.Context, option: click.Option, value: str | None) -> list[str]:
    """Split at commas."""
    return [item.strip() for item in (value or "").split(",") if item.strip()]


@click.command()
@click.option("--quick", is_flag=True, help="One author, a minute for each recipe, the ancestor cut off: ten minutes.")
@click.option("--only", callback=listed, help="Recipes, by commas.  [default: all; with --quick, those that train]")
@click.option("--authors", callback=listed, default=AUTHORS, show_default=True, help="References, by commas.")
@click.option("--author", "more", multiple=True, help="One more author, like a CSV file; may be given again.")
@click.option("--seeds", callback=listed, default="0,1,2", show_default=True, help="The first one is run alone first.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Another budget to compare all at.")
@click.option("--again", is_flag=True, help="Measure anew what was measured already.")
@click.option("--list", "only_list", is_flag=True, help="Show what is done and what is left, and measure nothing.")
@click.option("--readme", is_flag=True, help="Put what is measured here into the README, and measure nothing.")
@click.option("--model", default=MODEL, show_default=True, help="The weights that all recipes start from.")
@click.option("--matrix", default=machine.SIZE, hidden=True)
@click.option("--results", type=click.Path(path_type=Path), help="The file of results.  [default: beside this program]")
def main(
    quick: bool, only: list[str], authors: list[str], more: Sequence[str], seeds: list[str], minutes: float | None,
    again: bool, only_list: bool, readme: bool, model: str, matrix: int, results: Path | None,
) -> None:  # fmt: skip
    """Measure HuggingTweets and other recipes on this machine, same weights, same posts, same held-out posts."""
    known = ("ours", *SETTINGS)
    if unknown := set(only) - set(known):
        raise click.UsageError(f"There is no recipe {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
    if not all(seed.isdigit() for seed in seeds) or not seeds:
        raise click.UsageError("Seeds are whole numbers with commas between them, like 0,1,2.")
    readme = readme and not only_list
    if readme and (quick or model != MODEL):
        raise click.UsageError("What --quick or another --model measures does not belong into the README.")
    try:
        bench = Bench(model, results or HERE / ("quick.json" if quick else "results.json"), matrix)
        if readme:
            records = overview.shown(bench.results.records, machine.identity())
            print(overview.write(records, README))
            bench.draw(records)
            return
        bench.read([*authors[: 1 if quick else None], *more])
        runs = plan(list(bench.authors), [int(seed) for seed in seeds], only, quick, minutes)
        if not only_list:
            for number in (signal.SIGINT, signal.SIGTERM):  # whoever ends us ends the run, also one in the background
                signal.signal(number, signal.default_int_handler)
            bench.measure(runs, again)
        print(bench.listing(runs) if only_list else table.text(bench.done(runs)))
        if not only_list:
            everything = plan(list(bench.authors), [int(seed) for seed in seeds], quick=quick, minutes=minutes)
            bench.draw(bench.done(list(dict.fromkeys([*everything, *runs]))))
    except UserError as error:
        raise click.ClickException(str(error)) from None


class Bench:
    """The runs of one model, and the file that holds what came of them."""

    def __init__(self, model: str, path: Path, matrix: int = machine.SIZE) -> None:
        """matrix: the size of the products by which the machine is measured."""
        self.model, self.results, self.matrix = model, Results(path), matrix
        self.folder = models.prepare(model, lambda event: print(event.sentence, file=sys.stderr))
        self.shape = Shape.of(json.loads((self.folder / "config.json").read_text("utf-8")))
        self.authors: dict[str, material.Author] = {}

    def read(self, references: Sequence[str]) -> None:
        """Read the authors whose posts the runs are to get. Raises a `UserError` for a bad reference."""
        for reference in references:
            self.authors[reference] = material.author(reference, self.folder)

    def conditions(self, run: Run) -> dict[str, Any]:
        return conditions(run, self.authors[run.author], self.model)

    def done(self, runs: Sequence[Run]) -> list[dict[str, Any]]:
        """The records of those runs that are measured."""
        return [record for run in runs if (record := self.results.find(self.conditions(run)))]

    def left(self, runs: Sequence[Run]) -> list[Run]:
        return [run for run in runs if not self.results.find(self.conditions(run))]

    def seconds(self, runs: Sequence[Run]) -> float:
        """About how long so many runs take."""
        return sum(run.seconds(self.authors[run.author]) for run in runs)

    def listing(self, runs: Sequence[Run]) -> str:
        """What is done, what is left, and the minutes of that."""
        left = self.left(runs)
        lines = [
            f"{'left' if run in left else 'done'}  {self.seconds([run]) / 60:5.1f} min  {run.title}" for run in runs
        ]
        lines.append(
            f"{len(runs) - len(left)} of {len(runs)} runs are done; the rest takes {_minutes(self.seconds(left))}."
        )
        if outdated := self.results.outdated([self.conditions(run) for run in left]):
            lines.append(f"{outdated} were measured before, with other versions, settings or posts.")
        if others := self.results.other_machines():
            lines.append(f"Results of other machines are kept, and not shown: {'; '.join(sorted(others))}.")
        return "\n".join(lines)

    def measure(self, runs: Sequence[Run], again: bool) -> None:
        """Do what is missing, one run after the other; every finished one is kept at once."""
        todo = list(runs) if again else self.left(runs)
        failed = 0
        try:
            for number, run in enumerate(todo):
                rest = _minutes(self.seconds(todo[number:]))
                print(f"[{number + 1}/{len(todo)}] {run.title}; all that is left: {rest}", file=sys.stderr, flush=True)
                try:
                    record = self.results.keep(self.conditions(run), self._figures(run))
                    print(f"      {table.line(record)}", file=sys.stderr, flush=True)
                except process.Failed as error:
                    failed += 1
                    print(f"      failed: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"\nBroken off; {number} of {len(todo)} runs are kept. The same command goes on.", file=sys.stderr)
            sys.exit(130)
        if failed:
            print(f"{failed} runs failed; the same command tries them again.", file=sys.stderr)

    def draw(self, records: Sequence[table.Record]) -> None:
        """Make a picture of those that are of trainings, and say where it is."""
        path = self.results.path.with_suffix(".svg")
        path = path.with_stem("curves") if path.stem == "results" else path
        try:
            if records := table.trained(records):
                text = figure.draw(records, path)
                print(f"{path} shows the curves. Its alternative text: {text}", file=sys.stderr)
        except ImportError:
            print("No picture was drawn: there is no matplotlib, which `make benchmark` installs.", file=sys.stderr)

    def _figures(self, run: Run) -> dict[str, Any]:
        """Measure the machine, the run, and the machine again, which may have been busy; raises `Failed`."""
        before = self._rates()
        began = time.monotonic()
        found = self._run(run)
        wall = round(time.monotonic() - began, 1)
        rates = {precision: max(rate, before[precision]) for precision, rate in self._rates().items()}
        found |= {"wall_seconds": wall, "date": time.strftime("%Y-%m-%d"), "matrix_rates": rates}
        return found if run.recipe in BESIDES else {**found, **self._arithmetic(run, found)}

    def _rates(self) -> dict[str, float]:
        """The machine's rates now, by precision: products of large matrices, operations a second."""
        return json.loads(process.module("machine", str(self.matrix)))

    def _run(self, run: Run) -> dict[str, Any]:
        if run.recipe == "ours":
            return ours.train(run, self.model, self.folder)
        if run.recipe == "writing":
            return writing.measure(run, self.model)
        if run.recipe == "reading":
            job = {**asdict(run), **run.settings, "model": str(self.folder)}
            return json.loads(process.module("reading", json.dumps(job)))
        return self._rival(run)

    def _arithmetic(self, run: Run, found: dict[str, Any]) -> dict[str, Any]:
        """How fast a training was, and which share of the machine's rate that is."""
        speed = found["tokens"] / max(found["seconds"]["train"], 1e-3)
        cost = self._operations(run, found["learned"])
        share = None if cost is None else round(cost * speed / found["matrix_rates"][found["precision"]], 4)
        return {"tokens_per_second": round(speed, 1), "operations_a_token": cost, "share": share}

    def _rival(self, run: Run) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "figures.json"
            job = {**asdict(run), "settings": run.settings, "model": str(self.folder), "out": str(out)}
            process.module("rivals", json.dumps(job), loud=True)
            return json.loads(out.read_text())

    def _operations(self, run: Run, learned: dict[str, Any]) -> float | None:
        """For one token; None where nobody has counted them."""
        alone = run.recipe == "ours" or is_trl(run.recipe)
        length = self.authors[run.author].token_length if alone else run.settings["block"]
        return operations(self.shape, length, learned)


def _minutes(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes:02} min" if hours else f"about {minutes} min"


if __name__ == "__main__":
    main()
