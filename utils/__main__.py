"""The command line: python -m utils fetch | train | tweet | evaluate | models.

A contract that scripts and the dashboard depend on. `--json` prints one JSON object on standard output
and nothing else there; progress and words go to standard error, as JSON Lines with `--events`. Exit
status 0: done. 1: a problem that the user can mend, in one sentence. 2: wrong usage. 130: interrupted
with nothing to keep. Everything that takes time to import waits until a command needs it.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from utils.errors import BadSetting, TooFewPosts
from utils.events import Event
from utils.settings import MAXIMUM_AUTHORS, MAXIMUM_DRAFTS, TrainingSettings, WritingSettings
from utils.terminal import INTERRUPTED, Interrupt, Screen, as_card, in_turn, prepare_process


def _checked(kind: type, **values: Any) -> Any:
    """Settings made from options; a value out of range is wrong usage."""
    try:
        return kind(**values)
    except BadSetting as error:
        raise click.UsageError(str(error)) from None


class _Minutes(click.ParamType):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return TrainingSettings(minutes=float(value)).minutes
        except (ValueError, BadSetting):
            self.fail(f"expected a number of minutes above 0, like 5 or 0.5, and got '{value}'.", param, ctx)


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
_events = click.option("--events", is_flag=True, help="Tell the progress as JSON Lines on standard error.")
_references = click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
_apart = click.option("--apart", is_flag=True, help="Each file is an author of its own, not all of them one.")
_seed_range = click.IntRange(0, 2**32 - 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Turn somebody's posts into a bot that writes in their voice.

    \b
    Try:  python -m utils train sample:keeperfinch
          python -m utils tweet bots/keeperfinch

    A REFERENCE is a bundled author (sample:keeperfinch, sample:unit7bakes); the archive of X, Mastodon or
    Bluesky as it was downloaded, or its folder; or a file of posts (.csv, .json, .jsonl, .txt). Several
    files and folders are one author's, unless --apart says otherwise.
    """


@cli.command()
@_references
@click.option("--out", type=click.Path(path_type=Path), help="Write the posts to this file, as JSON Lines.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many posts of each author, the newest.")
@_apart
@_json
@_events
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
        _print_json({"authors": found, "enough": enough, "remarks": remarks, "out": str(out) if out else None,
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


@cli.command()
@_references
@click.option(
    "--minutes",
    type=_Minutes(),
    default=5.0,
    show_default=True,
    help="Wall clock from now to the finished bot; only a first download of the model is extra.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Train exactly so many steps instead; the same seed then gives the same bot.",
)
@click.option("--model", default="auto", show_default=True, help="A name that `models` lists, a Hub id, or a folder.")
@click.option("--out", type=click.Path(path_type=Path), help="The bot's folder.  [default: bots/NAME]")
@click.option(
    "--seed", type=_seed_range, default=0, show_default=True, help="Decides the split and the order of the posts."
)
@click.option("--track", type=click.Choice(["off"]), default="off", hidden=True)
@_apart
@click.option("--queue", type=click.Path(path_type=Path), hidden=True, help="A lock file: one training at a time.")
@click.option("--watch", is_flag=True, help="Write a draft before training and after each fifth of it.")
@_json
@_events
def train(references, minutes, steps, model, out, seed, track, apart, queue, watch, as_json, events) -> None:  # noqa: ANN001
    """Train a bot on one to three authors.

    Ctrl-C ends the training early and keeps the best bot so far; a second Ctrl-C leaves at once.
    """
    from utils import environment
    from utils.timelines import authors

    started = environment.process_start()
    settings = _checked(TrainingSettings, minutes=minutes, steps=steps, model=model, seed=seed)
    if (given := len(authors(references, apart))) > MAXIMUM_AUTHORS:
        raise click.UsageError(f"At most {MAXIMUM_AUTHORS} authors can be mixed; {given} were given.")
    with Screen(events) as screen, Interrupt(screen) as interrupt, in_turn(queue, screen) as turn:
        from utils.pipeline import make_bot

        def on_event(event: Event) -> None:
            interrupt.something_to_keep |= event.kind == "loss"
            screen.tell(event)

            if event.kind == "draft" and not (events or as_json):
                screen.print(f"{event.sentence}: {event.data['post']}\n")

        _, report = make_bot(
            references, settings, on_event, out, interrupt.is_set, turn or started, apart=apart, watch=watch
        )
    if as_json:
        _print_json(report.as_dict())
        return
    held_out, seconds = report.held_out, report.seconds["total"]
    click.echo(
        f"{' and '.join(report.authors)}: {report.steps:,} steps of training, {seconds:.0f} s in all"
        f"{' (stopped early)' if report.stopped else ''}. Held-out posts: "
        f"{held_out['bits_per_character_before']:.3f} bits per character before, "
        f"{held_out['bits_per_character']:.3f} after (lower is better).\n"
        f"Now: python -m utils tweet {report.bot}"
    )


@cli.command()
@click.argument("bot", type=click.Path(path_type=Path))
@click.option("--start", default="", metavar="TEXT", help="The opening of every draft.")
@click.option(
    "-n", "count", type=click.IntRange(1, MAXIMUM_DRAFTS), default=10, show_default=True, help="How many drafts."
)
@click.option(
    "--temperature",
    type=click.FloatRange(0.01, 5),
    default=1.0,
    show_default=True,
    help="How daring, above 0; 0.7 is tame, 1.3 is wild.",
)
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Draw from the likeliest tokens that hold this much probability.",
)
@click.option("--seed", type=_seed_range, help="The same seed writes the same drafts.")
@_json
@_events
def tweet(bot, start, count, temperature, top_p, seed, as_json, events) -> None:  # noqa: ANN001
    """Write drafts in the voice of BOT."""
    settings = _checked(WritingSettings, temperature=temperature, top_p=top_p, seed=seed)
    show = not (as_json or events)
    with Screen(events) as screen, Interrupt(screen) as interrupt:
        screen.tell(Event("stage", "Loading the bot"))
        from utils.bot import Bot
        from utils.generation import write

        loaded = Bot.load(bot)
        if loaded.training is None:
            screen.tell(Event("warning", "This bot came without its training posts, so copies cannot be marked."))
        screen.tell(Event("stage", f"Writing {count} drafts"))

        def on_event(event: Event) -> None:
            interrupt.something_to_keep |= event.kind == "draft"
            screen.tell(event)
            if show and event.kind == "draft":
                screen.print(as_card(event.data))

        writing = write(loaded, start, count, settings, on_event, interrupt.is_set)
        if writing.dropped:
            told = f"{writing.dropped} of {count} drafts did not fit into a post and were dropped."
            screen.tell(Event("warning", f"{told} A bot that is trained longer knows better how to end one."))
    if as_json:
        drafts = [draft.as_dict() for draft in writing.drafts]
        _print_json({"drafts": drafts, "dropped": writing.dropped, "rewritten": writing.rewritten,
                     "stopped": writing.stopped, "seconds": round(writing.seconds, 2)})  # fmt: skip
    elif events:
        for draft in writing.drafts:
            click.echo(as_card(draft.as_dict()))


@cli.command()
@click.argument("bot", type=click.Path(path_type=Path))
@click.argument("reference", required=False)
@click.option(
    "--drafts",
    type=click.IntRange(0, MAXIMUM_DRAFTS),
    default=50,
    show_default=True,
    help="Drafts to look through for copies.",
)
@click.option("--seed", type=_seed_range, default=0, show_default=True, help="The seed of those drafts.")
@_json
@_events
def evaluate(bot, reference, drafts, seed, as_json, events) -> None:  # noqa: ANN001
    """Say how well BOT knows its author.

    In bits per character, on the posts that were held out from its training or on those of a REFERENCE;
    and how many of its drafts repeat a post, or each other.
    """
    with Screen(events) as screen:
        screen.tell(Event("stage", "Loading the bot"))
        from utils.bot import Bot
        from utils.pipeline import evaluate_bot

        figures = evaluate_bot(Bot.load(bot), reference, drafts, seed, screen.tell)
    if as_json:
        _print_json(figures)
        return
    before = figures["bits_per_character_before"]
    click.echo(
        f"{figures['posts']:,} posts, {figures['characters']:,} characters: "
        f"{figures['bits_per_character']:.3f} bits per character (lower is better)"
        f"{'' if before is None else f', {before:.3f} before training'}"
    )
    if figures["distinct"] is not None:
        copies = "" if figures["copies"] is None else f", {figures['copies']:.0%} repeat a training post"
        click.echo(f"{figures['drafts']} drafts: {figures['distinct']:.0%} are distinct{copies}")


@cli.command(hidden=True)
@click.argument("bot", type=click.Path(path_type=Path))
def listen(bot: Path) -> None:
    """Keep BOT in memory and write whenever a line of JSON asks for it, for the page."""
    from utils.listener import listen as listen_to

    listen_to(bot, sys.stdin, sys.stdout)


@cli.command()
@_json
def models(as_json: bool) -> None:
    """List the pre-trained models."""
    from dataclasses import asdict

    from utils.models import AUTO, CATALOGUE, WHEELS

    if as_json:
        _print_json(
            {
                "models": [{**asdict(entry), "needs_hub": entry.name not in WHEELS} for entry in CATALOGUE.values()],
                "auto": AUTO,
            }
        )
        return
    for entry in CATALOGUE.values():
        click.echo(f"{entry.name:18} {entry.parameters / 1e6:4.0f} M  {entry.licence:10}  {entry.note}")


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def main() -> None:
    """Run the command line, and end the process with the status that the contract promises."""
    prepare_process()
    try:
        status = cli.main(prog_name="python -m utils", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left
        status = 1
    finally:
        gc.freeze()
    sys.exit(status)


if __name__ == "__main__":
    main()
