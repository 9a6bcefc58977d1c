"""Commands about posts: fetch, and shelf for what was fetched.

In: references. Out: what the posts are worth, and a file of them.
"""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from utils.commands import apart_option, events_option, json_option, print_json, references_argument, x_terms_option
from utils.errors import BadReference, TooFewPosts
from utils.events import Event
from utils.terminal import Interrupt, Screen

if TYPE_CHECKING:
    from utils.timelines.handles import Handle


@click.command()
@references_argument
@click.option("--out", type=click.Path(path_type=Path), help="Write the posts to this file, as JSON Lines.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many posts of each author, the newest.")
@click.option("--refresh", is_flag=True, help="Fetch everything again, not only what is newer.")
@x_terms_option
@apart_option
@json_option
@events_option
def fetch(references, out, limit, refresh, accept_x_terms, apart, as_json, events) -> None:  # noqa: ANN001
    """Read posts and say what they are worth.

    Posts of a handle are fetched from its network and kept, so that a second time only newer ones are asked for.
    Ctrl-C ends the fetching and keeps what has come. With --out the posts are written to a file, as they are, that
    every other command reads.
    """
    if refresh and limit:
        raise click.UsageError("--refresh fetches everything again; it takes no --limit.")
    from utils.cleaning import check_enough, clean
    from utils.timelines import Fetching, authors, load_together
    from utils.timelines.json_lines import checked_path, write_json_lines

    with Screen(events) as screen, Interrupt(screen) as interrupt:

        def on_event(event: Event) -> None:
            interrupt.something_to_keep |= bool(event.data.get("pages"))
            screen.tell(event)

        fetching = Fetching(True, refresh, limit, accept_x_terms, should_stop=interrupt.is_set)
        if out:
            checked_path(out)  # before anything is fetched, or paid
        screen.tell(Event("stage", "Reading the posts"))
        started = time.monotonic()
        groups = authors(references, apart)
        timelines = []
        for group in groups:
            try:
                timelines.append(load_together(group, on_event, fetching).newest(limit))
            except BadReference:
                if not (timelines and interrupt.is_set()):
                    raise
            if interrupt.is_set():
                break
        if missing := [str(reference) for group in groups[len(timelines) :] for reference in group]:
            screen.tell(Event("warning", f"Stopped; nothing was fetched of {', '.join(missing)}."))
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
            "account": asdict(timeline.account) if timeline.account else None,
            "posts": timeline.counts(),
            "characters": timeline.characters,
            "remarks": timeline.remarks,
        }
        for timeline in cleaned
    ]
    if as_json:
        print_json({"authors": found, "enough": enough, "remarks": remarks, "out": str(out) if out else None,
                     "seconds": seconds, "stopped": interrupt.is_set()})  # fmt: skip
        return
    for timeline in cleaned:
        click.echo(f"{timeline.author}: {timeline.summary()}; {timeline.characters:,} characters")
        for remark in timeline.remarks:
            click.echo(f"  {remark}")
    for remark in remarks or ["That is enough to learn from."]:
        click.echo(remark)
    if out:
        click.echo(f"Written to {out}")


@click.command()
@click.argument("handles", nargs=-1, metavar="[HANDLE]...")
@click.option("--clear", is_flag=True, help="Take these accounts off the shelf; all of them where none is named.")
@json_option
def shelf(handles: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """List the accounts whose posts have been fetched and are kept.

    They lie in the cache folder, a file of JSON Lines for each account.
    """
    from utils.timelines import shelf as kept
    from utils.timelines.handles import parse

    with Screen(events=False):
        wanted = {handle: _known(parse(handle), handle) for handle in handles}
        shelves = [one for one in kept.everything() if not wanted or any(map(one.is_of, wanted.values()))]
        if missing := [handle for handle, own in wanted.items() if not any(one.is_of(own) for one in shelves)]:
            raise BadReference(f"There is nothing of {' and '.join(missing)} on the shelf.")
        found = [
            {
                "handle": one.account.handle,
                "network": one.account.network,
                "posts": one.posts,
                "whole": one.is_whole,
                "fetched": _moment(one.asked_at) if one.asked_at else None,
                "file": str(one.path),
                "bytes": one.path.stat().st_size,
            }
            for one in shelves
        ]
        if clear:
            for one in shelves:
                kept.clear(one)
    if as_json:
        print_json({"shelf": found, "cleared": clear})
        return
    for one in found:
        rest = "" if one["whole"] else ", not all of them"
        when = f"fetched {one['fetched'][:10]}" if one["fetched"] else "nothing fetched yet"
        click.echo(
            f"{one['handle']:30} {one['network']:9} {one['posts']:>7,} posts{rest}, {when}, "
            f"{one['bytes'] / 1e6:.1f} MB{', removed' if clear else ''}"
        )
    if not found:
        click.echo("The shelf is empty. Posts that are fetched by handle are kept there: python -m utils fetch @name")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _known(handle: "Handle | None", text: str) -> "Handle":
    from utils.timelines import HANDLES

    if handle is None:
        raise BadReference(f"{text} is no handle. Expected one like {HANDLES}.")
    return handle
