"""Commands about a bot that exists: tweet, evaluate, the hidden listen; and models, what a bot can start from.

In: a bot's folder. Out: drafts and figures.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from utils.commands import SEED_RANGE, checked, events_option, json_option, print_json
from utils.events import Event
from utils.settings import MAXIMUM_DRAFTS, WritingSettings
from utils.terminal import Interrupt, Screen, as_card


@click.command()
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
    help="How daring, above 0; at 0.8 drafts make more sense and are more alike, at 1.3 they are wild.",
)
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Draw from the likeliest tokens that hold this much probability.",
)
@click.option("--seed", type=SEED_RANGE, help="The same seed writes the same drafts.")
@json_option
@events_option
def tweet(bot, start, count, temperature, top_p, seed, as_json, events) -> None:  # noqa: ANN001
    """Write drafts in the voice of BOT."""
    settings = checked(WritingSettings, temperature=temperature, top_p=top_p, seed=seed)
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
        print_json({"drafts": drafts, "dropped": writing.dropped, "rewritten": writing.rewritten,
                     "stopped": writing.stopped, "seconds": round(writing.seconds, 2)})  # fmt: skip
    elif events:
        for draft in writing.drafts:
            click.echo(as_card(draft.as_dict()))


@click.command()
@click.argument("bot", type=click.Path(path_type=Path))
@click.argument("reference", required=False)
@click.option(
    "--drafts",
    type=click.IntRange(0, MAXIMUM_DRAFTS),
    default=50,
    show_default=True,
    help="Drafts to look through for copies, and to compare with posts.",
)
@click.option("--seed", type=SEED_RANGE, default=0, show_default=True, help="The seed of those drafts.")
@click.option("--against-untrained", is_flag=True, help="Compare drafts by the untrained model with posts, too.")
@json_option
@events_option
def evaluate(bot, reference, drafts, seed, against_untrained, as_json, events) -> None:  # noqa: ANN001
    """Say how well BOT knows its author.

    In bits per character, on the posts that were held out from its training or on those of a REFERENCE; how many of
    its drafts repeat a post, or each other; and whether a classifier that looks at letters tells them from posts.
    """
    with Screen(events) as screen:
        screen.tell(Event("stage", "Loading the bot"))
        from utils.bot import Bot
        from utils.pipeline import evaluate_bot

        figures = evaluate_bot(Bot.load(bot), reference, drafts, seed, screen.tell, against_untrained)
    if as_json:
        print_json(figures)
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
    for sentence in _in_words(figures["style"], figures["style_untrained"]):
        click.echo(sentence)


def _in_words(style: dict[str, Any] | None, untrained: dict[str, Any] | None) -> Iterator[str]:
    """What `evaluation.Style` holds of the bot and of the untrained model, for people."""
    style, untrained = style or {}, untrained or {}

    def pairs(name: str) -> str:
        told, before = style[name], untrained.get(name)
        words = f"in {100 * told['auc']:.0f} of 100 pairs (give or take {200 * told['spread']:.0f})"
        return words + (f", those of the untrained model in {100 * before['auc']:.0f}" if before else "")

    if style.get("drafts_against_posts"):
        yield (
            "A classifier that looks at letters tells its drafts from real posts "
            f"{pairs('drafts_against_posts')}; 50 would be chance"
        )
    if style.get("drafts_recognised"):
        yield (
            "One that knows the author's posts tells its drafts from posts of others "
            f"{pairs('drafts_recognised')}; real posts of the author in {100 * style['posts_recognised']['auc']:.0f}"
        )
    for figures, whose in ((style, "its drafts"), (untrained, "drafts by the untrained model")):
        if figures.get("remark"):
            yield f"Whether {whose} sound like the author cannot be told in full. {figures['remark']}"


@click.command(hidden=True)
@click.argument("bot", type=click.Path(path_type=Path))
def listen(bot: Path) -> None:
    """Keep BOT in memory and write whenever a line of JSON asks for it, for the page."""
    from utils.listener import listen as listen_to

    listen_to(bot, sys.stdin, sys.stdout)


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List the pre-trained models."""
    from dataclasses import asdict

    from utils.models import AUTO, CATALOGUE, WHEELS

    if as_json:
        print_json(
            {
                "models": [{**asdict(entry), "needs_hub": entry.name not in WHEELS} for entry in CATALOGUE.values()],
                "auto": AUTO,
            }
        )
        return
    for entry in CATALOGUE.values():
        click.echo(f"{entry.name:18} {entry.parameters / 1e6:4.0f} M  {entry.licence:10}  {entry.note}")
