"""The command that gives a bot away: share.

In: a bot's folder, and where it should go. Out: a repository on the Hugging Face Hub, a zip, or a GGUF file.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from utils.commands import events_option, json_option, print_json
from utils.events import Event, OnEvent
from utils.settings import CONSENT, DRAFTS_TO_SHARE, HUB_PATIENCE, MAXIMUM_DRAFTS
from utils.terminal import Interrupt, Screen

if TYPE_CHECKING:
    from utils.sharing import Maker


@click.command()
@click.argument("bot", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["hub", "zip", "gguf"]),
    required=True,
    help="The Hugging Face Hub, a zip, or one file for llama.cpp.",
)
@click.option(
    "--author",
    type=click.Choice(list(CONSENT)),
    help="Whose posts they are: your own, of somebody who agreed, or of nobody who lives. The Hub wants to know.",
)
@click.option("--as", "called", metavar="TEXT", help="Who the card says it is.  [default: the @handles]")
@click.option("--language", metavar="CODE", help="The language of the posts, like en, for the card.")
@click.option("--name", metavar="NAME", help="Of the repository.  [default: huggingtweets-NAME]")
@click.option("--public", is_flag=True, help="Let everybody see the repository; without it you alone do.")
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: huggingtweets-NAME.zip or .gguf]")
@click.option(
    "--drafts",
    type=click.IntRange(0, MAXIMUM_DRAFTS),
    default=DRAFTS_TO_SHARE,
    show_default=True,
    help="Drafts to look through for copies, for the card; 0 leaves that out.",
)
@click.option("--patience", type=click.FloatRange(min=0.1), default=HUB_PATIENCE, hidden=True)
@json_option
@events_option
def share(bot, to, author, called, language, name, public, out, drafts, patience, as_json, events) -> None:  # noqa: ANN001
    """Give BOT away, without the posts that it learned from.

    To the Hugging Face Hub it goes with your token: log in once (hf auth login), or set HF_TOKEN. A second
    try sends only what did not arrive.
    """
    if out and to == "hub":
        raise click.UsageError("--out is for --to zip and --to gguf.")
    if (name or public) and to != "hub":
        raise click.UsageError("--name and --public are for --to hub.")
    from utils.bot import read_story
    from utils.sharing import Maker, completed, path_for, told

    with Screen(events) as screen, Interrupt(screen):
        bot = bot.expanduser()
        maker = completed(bot, Maker(author, called, language))
        if to == "hub":
            answer, sentence = _to_hub(bot, maker, name, public, drafts, patience, screen.tell)
        else:
            target = path_for(bot, maker, out, to)
            if to == "zip":
                _to_zip(bot, maker, target, drafts, screen.tell)
            else:
                from utils.sharing.gguf import write_gguf

                screen.tell(Event("stage", "Writing the file"))
                write_gguf(bot, told(read_story(bot), maker).voice, target)
            answer = {"out": str(target), "bytes": target.stat().st_size}
            sentence = f"Written to {target} ({answer['bytes'] / 1e6:,.1f} MB)"
        screen.tell(Event("done", "The bot is published" if to == "hub" else "The bot is written", 1.0, answer))
    if as_json:
        print_json({"bot": str(bot), "to": to, **answer})
    elif not events:
        click.echo(sentence)


def _to_hub(
    bot: Path, maker: "Maker", name: str | None, public: bool, drafts: int, patience: float, on_event: OnEvent
) -> tuple[dict[str, Any], str]:
    from utils.bot import read_story
    from utils.sharing import NAMELESS, check_consent, files, measure_copies, shared_name, told
    from utils.sharing.hub import Account, find_token

    check_consent(maker)
    account = Account(find_token(), patience, on_event)
    name = name or shared_name(told(read_story(bot), maker).authors)
    place = account.repository(name)
    ready = files(bot, maker, place, *measure_copies(bot, drafts, on_event))
    published = account.publish(ready, place, private=not public, replace=name != NAMELESS)
    seen_by = "only you can see it" if published.private else "everybody can see it"
    return published.as_dict(), f"{published.url} ({seen_by}; {published.sent / 1e6:,.1f} MB sent)"


def _to_zip(bot: Path, maker: "Maker", target: Path, drafts: int, on_event: OnEvent) -> None:
    from utils.sharing import files, measure_copies, write_zip

    ready = files(bot, maker, target.stem, *measure_copies(bot, drafts, on_event))
    write_zip(ready, target.stem, target, lambda share: on_event(Event("stage", "Packing the bot", share)))
