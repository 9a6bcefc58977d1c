"""The command that keeps a bot up to date: update.

In: a bot's folder, and references where its own do not hold any more. Out: the bot, better or as it was.
"""

import os
from dataclasses import replace
from pathlib import Path

import click

from utils.commands import (
    SEED_RANGE,
    Minutes,
    apart_option,
    checked,
    events_option,
    json_option,
    print_json,
    queue_option,
    stop_file_option,
    x_terms_option,
)
from utils.events import Event
from utils.settings import UPDATE_SETTINGS
from utils.terminal import Interrupt, Screen, in_turn


@click.command()
@click.argument("bot", type=click.Path(path_type=Path))
@click.argument("references", nargs=-1, metavar="[REFERENCE]...")
@click.option(
    "--minutes",
    type=Minutes(),
    default=UPDATE_SETTINGS.minutes,
    show_default=True,
    help="Wall clock from now to the end; where nothing is new, it takes seconds.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Train so many steps instead.")
@click.option("--seed", type=SEED_RANGE, default=0, show_default=True, help="Decides the order of the posts.")
@click.option(
    "--force", is_flag=True, help="Keep the new version, whatever it has lost on old posts and whose the new ones are."
)
@click.option("--undo", is_flag=True, help="Bring the version before back; once more undoes that.")
@x_terms_option
@apart_option
@queue_option
@stop_file_option
@json_option
@events_option
def update(
    bot, references, minutes, steps, seed, force, undo, accept_x_terms, apart, queue, stop_file, as_json, events
) -> None:  # noqa: ANN001
    """Train BOT on what its authors have posted since.

    It looks where BOT's posts came from, or in the REFERENCEs, and remembers those. The new version is kept
    only if it loses no more on old posts, in bits per character, than it gains on new ones; the version
    before stays beside it, in BOT.before. Where nothing is new, or the new version is no better, the bot
    stays as it is and the status is 0 all the same: nothing is wrong. With --json, "updated" tells the two
    apart.
    """
    if undo:
        if references or force or steps:
            raise click.UsageError("--undo brings the version before back; it takes nothing else but BOT.")
        _undo(bot, as_json, events)
        return
    if apart and not references:
        raise click.UsageError("--apart is about the REFERENCEs that you name.")
    from utils import environment

    started = environment.process_start()
    os.environ.pop("WANDB_MODE", None)  # no update is tracked, and transformers would print a line about it
    settings = checked(replace, UPDATE_SETTINGS, minutes=minutes, steps=steps, seed=seed)
    with Screen(events) as screen, Interrupt(screen, stop_file) as interrupt, in_turn(queue, screen, interrupt) as turn:
        from utils.update import update_bot

        def on_event(event: Event) -> None:
            interrupt.something_to_keep |= event.kind == "loss"
            if event.kind != "done" or events:
                screen.tell(event)

        report = update_bot(
            bot, references, settings, on_event, interrupt.is_set, turn or started, apart, force, accept_x_terms
        )
    if as_json:
        print_json(report.as_dict())
        return
    click.echo(report.reason)
    if not report.updated and any(side["bot_before"] != side["bot_after"] for side in report.comparison.values()):
        click.echo("More new posts may help; --force keeps the new version whatever it has lost.")
    if report.updated:
        click.echo(f"The version before is in {report.before}; back to it: python -m utils update {bot} --undo")


def _undo(bot: Path, as_json: bool, events: bool) -> None:
    with Screen(events) as screen:
        from utils.bot import swap_with_before

        story = swap_with_before(bot)
        screen.tell(Event("done", f"{story.voice} is back", 1.0))
    sentence = f"{story.voice} is back as of {story.date}, and what it was until now is kept in its place."
    if as_json:
        print_json({"bot": str(bot), "undone": True, "authors": story.authors, "held_out": story.held_out})
    else:
        click.echo(sentence)
