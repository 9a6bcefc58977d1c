"""The results for a reader, and the ratio in the headline.

In: records of one machine. Out: text. Knows nothing about how they were measured.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from benchmarks.recipes import NAMES

Record = dict[str, Any]

Key = tuple[str, float | None, int | None]
"""A recipe, its minutes, and the blocks after which it was cut off."""

SIDES = ("ours", "plain")

COLUMNS = ("recipe", "runs", "seconds", "held-out bits per character", "tokens/s", "of the matrix rate", "memory")
WRITING_COLUMNS = ("writing, seconds", "HuggingTweets", "plain generate()")
READING_COLUMNS = ("posts", "kept", "read, s", "clean, s", "split and encode, s", "a thousand, s")


def rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """A row for each recipe and budget."""
    return [_row(key, group) for key, group in groups(records).items()]


def groups(records: Sequence[Record]) -> dict[Key, list[Record]]:
    """The records of each recipe and budget, in the order in which a reader gets them."""
    found = defaultdict(list)
    for record in records:
        run = record["conditions"]["run"]
        found[run["recipe"], run["minutes"], run["blocks"]].append(record)
    return {key: found[key] for key in sorted(found, key=lambda key: (list(NAMES).index(key[0]), key[1] or 0))}


def bits(group: Sequence[Record]) -> str:
    """Bits per character; of several seeds the mean, and half the distance between the extremes."""
    values = [record["bits_per_character"] for record in group]
    spread = f" ± {(max(values) - min(values)) / 2:.3f}" if len(values) > 1 else ""
    return f"{bits_per_character(group):.3f}{spread}"


def _row(key: Key, group: Sequence[Record]) -> tuple[str, ...]:
    recipe, minutes, blocks = key
    budget = "" if minutes is None else f", {minutes:g} min"
    budget += "" if recipe != "ours" else " in all"
    cut = "" if blocks is None else f", first {blocks} blocks"
    shares = [record["share"] for record in group if record["share"] is not None]
    return (
        NAMES[recipe] + budget + cut,
        str(len(group)),
        f"{mean(group, seconds):,.0f}",
        bits(group),
        f"{mean(group, lambda record: record['tokens_per_second']):,.0f}",
        f"{statistics.mean(shares):.0%}" if shares else "–",
        f"{max(record['peak_memory_bytes'] for record in group) / 1e9:.1f} GB",
    )


def untrained(records: Sequence[Record]) -> float:
    """Bits per character before training, of one author; as ours has it, if it is among the records, with a quotation
    mark before a post, which others leave out."""
    ours = (record for record in records if record["conditions"]["run"]["recipe"] == "ours")
    return next(ours, records[0])["bits_per_character_before"]


def bits_per_character(group: Sequence[Record]) -> float:
    """The mean of the seeds."""
    return mean(group, lambda record: record["bits_per_character"])


def mean(group: Sequence[Record], of: Callable[[Record], float]) -> float:
    """The mean of what the function makes of each record."""
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
    for author, own in by_author(trained(records)).items():
        posts = own[0]["held_out"]["posts"]
        title = f"{author}, {posts} held-out posts, {untrained(own):.3f} bits per character untrained"
        blocks.append(f"{title}\n{_aligned([COLUMNS, *rows(own)])}")
        blocks += [sentence for sentence in (headline(own), *_notes(own)) if sentence]
    blocks += [_writing(record) for record in records if "cold_seconds" in record]
    blocks += [_reading(record) for record in records if "sizes" in record]
    return "\n\n".join(blocks)


def trained(records: Sequence[Record]) -> list[Record]:
    """Those of trainings; the others are of what is measured besides."""
    return [record for record in records if "bits_per_character" in record]


def line(record: Record) -> str:
    """What came of a run, in a line."""
    if "cold_seconds" in record:
        later = record["later_calls"]["ours"]
        return f"{_median(later['seconds'])} s for ten drafts from a loaded bot"
    if "sizes" in record:
        return _growth(record["sizes"])
    return f"{record['bits_per_character']:.3f} bits per character, {seconds(record):,.0f} s"


def _writing(record: Record) -> str:
    """The table of what drafts take."""
    run, told = record["conditions"]["run"], record["conditions"]["settings"]
    ten, many = f"{told['drafts']} drafts", f"{told['many']} drafts"

    def both(call: str, figure: str = "seconds") -> tuple[str, ...]:
        return tuple(_median(record[call][side][figure]) for side in SIDES)

    lines = [
        (f"{ten} from a cold command", _median(record["cold_seconds"]), "–"),
        (f"{ten} from a loaded bot, first call", *both("first_call")),
        (f"{ten} from a loaded bot", *both("later_calls")),
        ("the first of them", *both("later_calls", "first_draft")),
        (many, *both("many")),
        ("tokens a second, of these", *(f"{record['many'][side]['tokens_per_second']:,.0f}" for side in SIDES)),
        ("whole posts among these", *(f"{record['many'][side]['whole']:.0%}" for side in SIDES)),
    ]
    return f"{_aligned([WRITING_COLUMNS, *lines])}\n\n" + (
        f"The bot learned from {run['author']} for {told['steps']} steps. Medians of {told['commands']} commands and "
        f"of {told['rounds']} calls by turns; {many} once. generate() has the same weights, temperature and nucleus, "
        f"in batches of {told['drafts']}, and stops after {told['longest']} tokens."
    )


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}"


def _reading(record: Record) -> str:
    """The table of how reading grows."""
    lines = [
        (f"{size['posts']:,}", f"{size['kept']:,}", *(f"{value:.2f}" for value in size["seconds"].values()),
         f"{1000 * _together(size) / size['posts']:.3f}")
        for size in record["sizes"]
    ]  # fmt: skip
    author = record["conditions"]["run"]["author"]
    made = f"The posts are made of those of {author}, words exchanged among them."
    return f"{_aligned([READING_COLUMNS, *lines])}\n\n{_growth(record['sizes'])}. {made}"


def _together(size: dict[str, Any]) -> float:
    return sum(size["seconds"].values())


def _growth(sizes: Sequence[dict[str, Any]]) -> str:
    posts, times = sizes[-1]["posts"] / sizes[0]["posts"], _together(sizes[-1]) / _together(sizes[0])
    return f"{posts:g} times as many posts take {times:.1f} times as long to read, clean, split and encode"


def by_author(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each author, in the order in which the authors come."""
    found = defaultdict(list)
    for record in records:
        found[record["conditions"]["run"]["author"]].append(record)
    return dict(found)


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """When ours was as good as the ancestor's recipe.

    goal: bits per character at the ancestor's end. ancestor_seconds: of its training. seconds: ours, everything
    included; training: of these, what is counted of the ancestor, too. None where no budget got there.
    """

    goal: float
    ancestor_seconds: float
    seconds: float | None = None
    training: float | None = None


def reached(records: Sequence[Record]) -> Reached | None:
    """How long ours takes to the ancestor's final figure, of one author's records.

    Nothing is interpolated: what counts is the first measured budget whose mean over the seeds is at or below it.
    None unless the ancestor's recipe was run to its end.
    """
    of = groups(records)
    ancestor = of.get(("ancestor", None, None))
    budgets = [group for (recipe, *_), group in of.items() if recipe == "ours"]
    if not ancestor or not budgets:
        return None
    goal, theirs = bits_per_character(ancestor), mean(ancestor, seconds)
    good = (group for group in budgets if bits_per_character(group) <= goal)
    if (first := next(good, None)) is None:
        return Reached(goal, theirs)
    return Reached(goal, theirs, mean(first, seconds), mean(first, lambda record: record["seconds"]["train"]))


def headline(records: Sequence[Record]) -> str | None:
    """The ratio: seconds until ours is at the ancestor's final figure, all included, over the ancestor's own; and the
    same of training alone, as a rival's is counted."""
    found = reached(records)
    if found is None:
        return None
    sentence = f"The recipe of 2020 ended at {found.goal:.3f} after {found.ancestor_seconds:,.0f} s of training."
    if found.seconds is None:
        return f"{sentence} No budget that was measured got there."
    whole, alone = (found.ancestor_seconds / taken for taken in (found.seconds, found.training))
    return (
        f"{sentence} HuggingTweets was at or below that after {found.seconds:,.0f} s, everything included, which is "
        f"1/{whole:.1f} of the time; {found.training:,.0f} s of these were training, 1/{alone:.1f}."
    )


def _notes(records: Sequence[Record]) -> list[str]:
    lines = []
    for record in records:
        run = record["conditions"]["run"]
        lines += [f"{NAMES[run['recipe']]}, seed {run['seed']}: {note}" for note in record["notes"]]
    return ["\n".join(dict.fromkeys(lines))] if lines else []
