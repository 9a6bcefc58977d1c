"""The command that trains: train.

In: references and settings. Out: a bot's folder, and the report of how it came about.
"""

from collections.abc import Callable
from contextlib import suppress
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
    references_argument,
    stop_file_option,
)
from utils.events import Event
from utils.settings import ENDS, MAXIMUM_AUTHORS, SCHEDULES, TrainingSettings
from utils.terminal import Interrupt, Screen, in_turn

DEFAULTS = TrainingSettings()


def knobs(command: Callable) -> Callable:
    """The options of a search for good settings; in the help they would only frighten."""
    for name, kind in (
        ("learning_rate", float),
        ("learned_share", float),
        ("learned_end", click.Choice(ENDS)),
        ("rank", int),
        ("schedule", click.Choice(SCHEDULES)),
        ("warmup", float),
        ("tokens_per_batch", int),
        ("rounds", int),
    ):
        names = {f"--{name}", f"--{name.replace('_', '-')}"}  # W&B's agents write the name as the config has it
        command = click.option(*sorted(names), name, type=kind, default=getattr(DEFAULTS, name), hidden=True)(command)
    return command


@click.command()
@references_argument
@click.option(
    "--minutes",
    type=Minutes(),
    default=5.0,
    show_default=True,
    help="Wall clock from now to the finished bot; only a first download of the model is extra.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Train so many steps instead; the same seed then gives the same bot.",
)
@click.option("--model", default="auto", show_default=True, help="A name that `models` lists, a Hub id, or a folder.")
@click.option("--out", type=click.Path(path_type=Path), help="The bot's folder.  [default: bots/NAME]")
@click.option(
    "--seed",
    type=SEED_RANGE,
    default=0,
    show_default=True,
    help="Decides the order of the posts, and which of them choose the best weights.",
)
@click.option(
    "--track",
    type=click.Choice(["off", "offline", "online"]),
    help="Keep a record with W&B.  [default: online if you are logged in there, else offline: in files]",
)
@click.option("--track-posts", is_flag=True, help="The posts may be part of that record, not only their number.")
@apart_option
@queue_option
@stop_file_option
@click.option("--watch", is_flag=True, help="Write a draft before training and after each of its first four fifths.")
@knobs
@json_option
@events_option
def train(
    references, minutes, steps, model, out, seed, track, track_posts, apart, queue, stop_file, watch, as_json, events,
    **knobs
) -> None:  # noqa: ANN001, ANN003  # fmt: skip
    """Train a bot on one to three authors.

    Ctrl-C ends the training early and keeps the best bot so far; a second Ctrl-C leaves at once. On several
    GPUs: accelerate launch --multi_gpu --num_processes 2 -m utils train REFERENCE...
    """
    from utils import environment, tracking
    from utils.timelines import authors

    started = environment.process_start()
    settings = checked(TrainingSettings, minutes=minutes, steps=steps, model=model, seed=seed, **knobs)
    if (given := len(authors(references, apart))) > MAXIMUM_AUTHORS:
        raise click.UsageError(f"At most {MAXIMUM_AUTHORS} authors can be mixed; {given} were given.")
    with (
        Screen(events) as screen,
        Interrupt(screen, stop_file) as interrupt,
        in_turn(queue, screen, interrupt) as turn,
        tracking.start(track, track_posts, minutes) as tracker,
    ):
        from utils.pipeline import make_bot

        def on_event(event: Event) -> None:
            interrupt.something_to_keep |= event.kind == "loss"
            screen.tell(event)
            if event.kind == "draft" and not (events or as_json):
                with suppress(OSError):  # as where somebody has read enough and left `less`
                    screen.print(f"{event.sentence}: {event.data['post']}\n")

        _, report = make_bot(
            references, settings, on_event, out, interrupt.is_set, turn or started,
            apart=apart, watch=watch, tracker=tracker,
        )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
        return
    held_out, seconds = report.held_out, report.seconds["total"]
    click.echo(
        f"{' and '.join(report.authors)}: {report.steps:,} steps of training, {seconds:.0f} s in all"
        f"{' (stopped early)' if report.stopped else ''}. Held-out posts: "
        f"{held_out['bits_per_character_before']:.3f} bits per character before, "
        f"{held_out['bits_per_character']:.3f} after (lower is better).\n"
        f"Now: python -m utils tweet {report.bot}"
    )
