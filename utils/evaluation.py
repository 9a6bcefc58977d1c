"""The plain truth about a Bot.

In: a Bot, texts that it should know how to write, and drafts of its own. Out: how surprised it is by the
texts, and how often its drafts repeat a training post or each other. Knows nothing about how the bot was
trained or how the drafts were written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from utils import environment
from utils.bot import Bot
from utils.cleaning import CleanTimeline
from utils.copies import fold, near_duplicates
from utils.errors import BadBot, TooFewPosts
from utils.events import Event, OnEvent, ignore
from utils.generation import Draft
from utils.language_model import LanguageModel
from utils.scoring import Score, score
from utils.settings import MAXIMUM_HELD_OUT


@dataclass(frozen=True)
class Originality:
    """How many drafts were looked at, and which shares of them were copies and were distinct.

    copies: share of the drafts that repeat a training post; None if the bot came without its posts.
    distinct: number of different drafts over the number of drafts.
    """

    drafts: int
    copies: float | None
    distinct: float | None


def measure(language_model: LanguageModel, texts: Sequence[str], sentence: str, on_event: OnEvent = ignore) -> Score:
    """Score texts in the precision of the device; `sentence` says what for, while it runs."""

    def tell(fraction: float) -> None:
        on_event(Event("stage", sentence, fraction))

    tell(0.0)
    with environment.memory_errors_in_words("scoring"):
        return score(language_model, texts, environment.precision(language_model.device), tell)


def measure_held_out(
    language_model: LanguageModel, texts: Sequence[str], when: str, on_event: OnEvent, what: str = "held-out posts"
) -> Score:
    """Score the held-out posts, or what else is meant, and tell the figure."""
    score = measure(language_model, texts, f"Scoring the {what} {when}", on_event)
    figure = score.bits_per_character
    sentence = f"{what.capitalize()} {when}: {figure:.3f} bits per character"
    on_event(Event("held-out", sentence, data={"when": when, "bits_per_character": figure}))
    return score


def unseen_texts(bot: Bot, timeline: CleanTimeline | None = None) -> tuple[list[str], int]:
    """Texts to score a bot on, and how many posts were left out because it has learned from them.

    The bot's own held-out posts, or the newest of another timeline. Raises `BadBot` if it came without
    its held-out posts and no timeline is given, `TooFewPosts` if it has seen them all.
    """
    if timeline is None:
        if not bot.held_out:
            raise BadBot("This bot came without its held-out posts. Name posts to evaluate it on, like a file.")
        return bot.held_out, 0
    seen = [*(bot.training or ()), *(bot.validation or ())]
    repeated = near_duplicates([post.text for post in timeline.posts], seen)
    texts = [post.text for index, post in enumerate(timeline.posts) if index not in repeated]
    if not texts:
        raise TooFewPosts(
            f"{timeline.author} has no post that this bot has not learned from, so there is nothing to test it on. "
            "Name other posts."
        )
    return texts[-MAXIMUM_HELD_OUT:], len(timeline.posts) - len(texts)


def originality(bot: Bot, drafts: Sequence[Draft]) -> Originality:
    """Judge drafts that were written by this bot."""
    if not drafts:
        return Originality(0, None, None)
    copied = sum(draft.copied_from is not None for draft in drafts)
    return Originality(
        drafts=len(drafts),
        copies=None if bot.training is None else copied / len(drafts),
        distinct=len({fold(draft.text) for draft in drafts}) / len(drafts),
    )
