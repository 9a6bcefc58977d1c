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
from benchmarks.machine import name
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


def shown(records: Sequence[Record], machine: dict[str, object]) -> list[Record]:
    """Those of the default model's trainings to their end, on that machine, with today's settings.

    Raises `BadFile` if there are none.
    """
    found = []
    for record in table.trained(records):
        told, run = record["conditions"], record["conditions"]["run"]
        is_of_today = told["settings"] == settings(run["recipe"], run["minutes"])
        is_of_here = (told["machine"], told["model"]) == (machine, MODEL)
        if is_of_here and is_of_today and run["blocks"] is None:
            found.append(record)
    if not found:
        raise BadFile(f"Nothing is measured with today's settings on {name(machine)}, so the README stays as it is.")
    return found


def write(records: Sequence[Record], readme: Path) -> str:
    """Put the table of what is `shown` into the README, and return it. Raises `BadFile` if there is no place for it."""
    made, text = render(records), readme.read_text("utf-8")
    place = _place(text, readme)
    with replacing_file(readme) as partial:
        partial.write_text(f"{text[: place.start()]}{made}{text[place.end() :]}", "utf-8")
    return made


def written(readme: Path) -> tuple[str, str]:
    """What the README's table is measured on, and the table with the comments around it."""
    place = _place(readme.read_text("utf-8"), readme)
    return place[1], place[0]


def _place(text: str, readme: Path) -> re.Match[str]:
    if place := re.search(f"{BEGIN.format(machine='(.*?)')}.*?{END}", text, re.DOTALL):
        return place
    comments = f"{BEGIN.format(machine='…')} and {END}"
    raise BadFile(f"{readme} has no two comments between which the table could stand: {comments}.")


def render(records: Sequence[Record]) -> str:
    """The table of what is `shown` and the headlines, with the comments between which they stand."""
    authors = table.by_author(records)
    before = [f"{table.untrained(own):.3f}" for own in authors.values()]
    lines = [["recipe", *map(_author, authors), *LAST_COLUMNS], ["---"] * (len(authors) + 1 + len(LAST_COLUMNS))]
    lines.append(["untrained", *before, *[""] * len(LAST_COLUMNS)])
    for key, group in table.groups(records).items():
        of = table.by_author(group)
        lines.append([_recipe(key), *(_cell(of[a]) if a in of else "owed" for a in authors), *_speed(group)])
    blocks = [BEGIN.format(machine=name(records[0]["conditions"]["machine"]))]
    blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    told = [(author, sentence) for author, own in authors.items() if (sentence := table.headline(own))]
    if told:
        bullets = (f"- {_author(author)}: {sentence}" for author, sentence in told)
        blocks.append("\n".join(textwrap.fill(bullet, LINE, subsequent_indent="  ") for bullet in bullets))
    return "\n\n".join([*blocks, END])


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
    is_better = bits < table.bits_per_character(group) - BETTER
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
