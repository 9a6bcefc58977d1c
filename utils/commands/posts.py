"""Commands about posts: fetch.

In: references. Out: what the posts are worth, and a file of them.
"""

import time
from pathlib import Path

import click

from utils.commands import apart_option, events_option, json_option, print_json, references_argument
from utils.errors import TooFewPosts
from utils.events import Event
from utils.terminal import Screen


@click.command()
@references_argument
@click.option("--out", type=click.Path(path_type=Path), help="Write the posts to this file, as JSON Lines.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many posts of each author, the newest.")
@apart_option
@json_option
@events_option
def fetch(
    references: tuple[str, ...], out: Path | None, limit: int | None, apart: bool, as_json: bool, events: bool
) -> None:
    """Read posts and say what they are worth.

    With --out they are kept in a file, as they are, that every other command reads.
    """
    from utils.cleaning import check_enough, clean
    from utils.timelines import authors, load_together
    from utils.timelines.json_lines import write_json_lines

    with Screen(events) as screen:
        screen.tell(Event("stage", "Reading the posts"))
        started = time.monotonic()
        timelines = [load_together(group, screen.tell).newest(limit) for group in authors(references, apart)]
        read = time.monotonic()
        cleaned = [clean(timeline, on_event=screen.tell) for timeline in timelines]
        seconds = {"read": round(read - started, 2), "clean": round(time.monotonic() - read, 2)}
        try:
            enough, remarks = True, check_enough(cleaned)
        except TooFewPosts as error:
            enough, remarks = False, [str(error)]
        if out:
            write_json_lines(out, timelines)
    found = [
        {
            "author": timeline.author,
            "source": timeline.source,
            "posts": timeline.counts(),
            "characters": timeline.characters,
            "remarks": timeline.remarks,
        }
        for timeline in cleaned
    ]
    if as_json:
        print_json({"authors": found, "enough": enough, "remarks": remarks, "out": str(out) if out else None,
                     "seconds": seconds})  # fmt: skip
        return
    for timeline in cleaned:
        click.echo(f"{timeline.author}: {timeline.summary()}; {timeline.characters:,} characters")
        for remark in timeline.remarks:
            click.echo(f"  {remark}")
    for remark in remarks or ["That is enough to learn from."]:
        click.echo(remark)
    if out:
        click.echo(f"Written to {out}")
