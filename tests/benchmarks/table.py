"""The results for a reader, and the ratio in the headline.

In: records of one machine. Out: text. Knows nothing about how they were measured.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from benchmarks.recipes import NAMES

Record = dict[str, Any]

COLUMNS = ("recipe", "runs", "seconds", "held-out bits per character", "tokens/s", "of the matrix rate", "memory")


def rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """A row for each recipe and budget; of several seeds the mean, and half the distance between the extremes."""
    groups = defaultdict(list)
    for record in records:
        run = record["conditions"]["run"]
        groups[run["recipe"], run["minutes"], run["blocks"]].append(record)
    return [_row(key, groups[key]) for key in sorted(groups, key=_order)]


def _order(key: tuple) -> tuple:
    recipe, minutes, _ = key
    return list(NAMES).index(recipe), minutes or 0


def _row(key: tuple, group: Sequence[Record]) -> tuple[str, ...]:
    recipe, minutes, blocks = key
    budget = "" if minutes is None else f", {minutes:g} min"
    budget += "" if recipe != "ours" else " in all"
    cut = "" if blocks is None else f", first {blocks} blocks"
    bits = [record["bits_per_character"] for record in group]
    spread = f" ± {(max(bits) - min(bits)) / 2:.3f}" if len(bits) > 1 else ""
    shares = [record["share"] for record in group if record["share"] is not None]
    return (
        NAMES[recipe] + budget + cut,
        str(len(group)),
        f"{_mean(group, lambda record: seconds(record)):,.0f}",
        f"{statistics.mean(bits):.3f}{spread}",
        f"{_mean(group, lambda record: record['tokens_per_second']):,.0f}",
        f"{statistics.mean(shares):.0%}" if shares else "–",
        f"{max(record['peak_memory_bytes'] for record in group) / 1e9:.1f} GB",
    )


def _mean(group: Sequence[Record], of: Any) -> float:
    return statistics.mean(of(record) for record in group)


def seconds(record: Record) -> float:
    """What counts as a recipe's time: for ours everything, for a rival its training alone."""
    return record["seconds"]["total" if record["conditions"]["run"]["recipe"] == "ours" else "train"]


def text(records: Sequence[Record]) -> str:
    """All authors' tables, one below the other, with the machine above and the ratio and the notes below each."""
    if not records:
        return "Nothing is measured yet."
    rates = {
        name: statistics.median(record["matrix_rates"][name] for record in records if name in record["matrix_rates"])
        for name in records[0]["matrix_rates"]
    }
    blocks = [machine.describe(records[0]["conditions"]["machine"], rates)]
    for author, own in by_author(records).items():
        before, posts = own[0]["bits_per_character_before"], own[0]["held_out"]["posts"]
        title = f"{author}, {posts} held-out posts, {before:.3f} bits per character untrained"
        blocks.append(f"{title}\n{_aligned([COLUMNS, *rows(own)])}")
        blocks += [sentence for sentence in (headline(own), *_notes(own)) if sentence]
    return "\n\n".join(blocks)


def by_author(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each author, in the order in which the authors come."""
    found = defaultdict(list)
    for record in records:
        found[record["conditions"]["run"]["author"]].append(record)
    return dict(found)


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """When ours was as good as the ancestor's recipe. seconds: its own, or None where no budget got there."""

    goal: float
    ancestor_seconds: float
    seconds: float | None


def reached(records: Sequence[Record]) -> Reached | None:
    """How long ours takes to the ancestor's final figure, of one author's records.

    Nothing is interpolated: what counts is the first measured budget whose mean over the seeds is at or below it.
    None unless the ancestor's recipe was run to its end.
    """
    of = defaultdict(list)
    for record in records:
        run = record["conditions"]["run"]
        of[run["recipe"], run["minutes"] if run["blocks"] is None else "cut"].append(record)
    ancestor, budgets = of["ancestor", None], sorted(minutes for recipe, minutes in of if recipe == "ours")
    if not ancestor or not budgets:
        return None
    goal, theirs = ancestor[0]["bits_per_character"], seconds(ancestor[0])
    good = (of["ours", minutes] for minutes in budgets)
    good = (group for group in good if _mean(group, lambda record: record["bits_per_character"]) <= goal)
    return Reached(goal, theirs, next((_mean(group, seconds) for group in good), None))


def headline(records: Sequence[Record]) -> str | None:
    """The ratio: seconds until ours is at the ancestor's final figure, all included, over the ancestor's own."""
    found = reached(records)
    if found is None:
        return None
    sentence = f"The recipe of 2020 ended at {found.goal:.3f} after {found.ancestor_seconds:,.0f} s."
    if found.seconds is None:
        return f"{sentence} No budget that was measured got there."
    return (
        f"{sentence} HuggingTweets was at or below that after {found.seconds:,.0f} s, everything included: "
        f"{found.seconds / found.ancestor_seconds:.1%} of the time, or 1/{found.ancestor_seconds / found.seconds:.1f}."
    )


def _notes(records: Sequence[Record]) -> list[str]:
    lines = []
    for record in records:
        run = record["conditions"]["run"]
        lines += [f"{NAMES[run['recipe']]}, seed {run['seed']}: {note}" for note in record["notes"]]
    return ["\n".join(dict.fromkeys(lines))] if lines else []
