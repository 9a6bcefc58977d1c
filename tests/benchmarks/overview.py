"""The table of the README: recipes below each other, authors beside each other.

In: the records of one machine. Out: Markdown, and a README in which it has taken the place of the one before. Knows
nothing about how the records were measured.
"""

import re
import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks import table
from benchmarks.plan import FAIR_MINUTES
from benchmarks.recipes import MODEL, NAMES, settings
from benchmarks.table import Record
from utils.atomic import replacing_file
from utils.errors import BadFile

BEGIN, END = "<!-- measured by make benchmark on {machine} -->", "<!-- until here -->"

BETTER = 0.0005
"""A rival that was better on its way by less than this, in bits per character, was not."""

LINE = 120
"""Characters of a line of the README, tables aside."""

LAST_COLUMNS = ("tokens a second", "of the matrix rate", "peak memory")


def write(records: Sequence[Record], machine: dict[str, object], readme: Path) -> str:
    """Put the table of that machine's records into the README, and return it.

    Raises `BadFile` if there are none, or no place for it.
    """
    if not shown(records, machine):
        raise BadFile(f"Nothing is measured with today's settings on {name(machine)}, so {readme.name} stays as it is.")
    before, after = _around(readme)
    made = render(records, machine)
    with replacing_file(readme) as partial:
        partial.write_text(f"{before}{made}{after}", "utf-8")
    return made


def written(readme: Path) -> tuple[str, str]:
    """What the README's table is measured on, and the table with the comments around it."""
    before, after = _around(readme)
    text = readme.read_text("utf-8")
    block = text[len(before) : len(text) - len(after)]
    return re.match(re.escape(BEGIN).replace(r"\{machine\}", "(.*)"), block)[1], block


def _around(readme: Path) -> tuple[str, str]:
    """What stands before the table, and what behind it."""
    before, found, rest = readme.read_text("utf-8").partition(BEGIN.partition("{")[0])
    _, closed, after = rest.partition(END)
    if not found or not closed:
        comments = f"{BEGIN.format(machine='…')} and {END}"
        raise BadFile(f"{readme} has no two comments between which the table could stand: {comments}.")
    return before, after


def name(machine: dict[str, object]) -> str:
    """A machine in a few words."""
    threads = "" if machine["threads"] == "all" else f", {machine['threads']} threads"
    return f"{machine['processor']}, {machine['cores']} cores{threads}"


def render(records: Sequence[Record], machine: dict[str, object]) -> str:
    """The table and the headlines, with the comments between which they stand."""
    everything = shown(records, machine)
    authors = table.by_author(everything)
    before = [f"{table.untrained(own):.3f}" for own in authors.values()]
    lines = [["recipe", *map(_author, authors), *LAST_COLUMNS], ["---"] * (len(authors) + 1 + len(LAST_COLUMNS))]
    lines.append(["untrained", *before, *[""] * len(LAST_COLUMNS)])
    for key, group in table.groups(everything).items():
        of = table.by_author(group)
        lines.append([_recipe(key), *(_cell(of[a]) if a in of else "owed" for a in authors), *_speed(group)])
    headlines = [(author, sentence) for author, own in authors.items() if (sentence := table.headline(own))]
    return "\n".join(
        [BEGIN.format(machine=name(machine)), "", *(f"| {' | '.join(line)} |" for line in lines), ""]
        + [
            textwrap.fill(f"- {_author(author)}: {sentence}", LINE, subsequent_indent="  ")
            for author, sentence in headlines
        ]
        + [""] * bool(headlines)
        + [END]
    )


def shown(records: Sequence[Record], machine: dict[str, object]) -> list[Record]:
    """Those of the default model's trainings to their end, on that machine, with today's settings."""
    found = []
    for record in table.trained(records):
        told, run = record["conditions"], record["conditions"]["run"]
        is_of_today = told["settings"] == settings(run["recipe"], run["minutes"])
        is_of_here = (told["machine"], told["model"]) == (machine, MODEL)
        if is_of_here and is_of_today and run["blocks"] is None:
            found.append(record)
    return found


def _author(reference: str) -> str:
    if reference.startswith("sample:"):
        return f"`{reference.removeprefix('sample:')}`"
    return reference if reference.startswith("@") else Path(reference).stem


def _recipe(key: table.Key) -> str:
    recipe, minutes, _ = key
    is_usual = minutes in (None, FAIR_MINUTES) and recipe != "ours"
    return NAMES[recipe] + ("" if is_usual else f", {minutes:g} min")


def _cell(group: Sequence[Record]) -> str:
    """The figure of a recipe's end, and of the best point on its way where that was better; means of the seeds."""
    end = f"{table.bits(group)} after {table.mean(group, table.seconds):,.0f} s"
    best = [min(record["curve"], key=lambda point: point[1]) for record in group]
    seconds, bits = map(statistics.mean, zip(*best, strict=True))
    is_better = bits < table.mean(group, lambda record: record["bits_per_character"]) - BETTER
    return f"{end}; at best {bits:.3f} after {seconds:,.0f} s" if is_better else end


def _speed(group: Sequence[Record]) -> list[str]:
    """Tokens a second, the share of the machine's rate, and memory; the extremes of all runs."""
    tokens = [record["tokens_per_second"] for record in group]
    shares = [record["share"] for record in group if record["share"] is not None]
    memory = max(record["peak_memory_bytes"] for record in group)
    return [
        _extremes(tokens, "{:,.0f}"),
        _extremes([100 * share for share in shares], "{:.0f} %"),
        f"{memory / 1e9:.1f} GB",
    ]


def _extremes(values: Sequence[float], form: str) -> str:
    """The least and the largest, once if they look alike."""
    return " to ".join(dict.fromkeys(form.format(value) for value in (min(values), max(values)))) if values else "–"
