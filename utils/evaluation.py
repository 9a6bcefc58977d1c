"""The plain truth about a Bot.

In: a Bot, texts that it should know how to write, and drafts of its own. Out: how surprised it is by the
texts, and how often its drafts repeat a training post or each other. Knows nothing about how the bot was
trained or how the drafts were written.
"""

import math
import time
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
from utils.scoring import Score, score_in_batches, total
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
    return total(_measure(language_model, texts, sentence, on_event))


def measure_held_out(
    language_model: LanguageModel,
    texts: Sequence[str],
    when: str,
    on_event: OnEvent,
    what: str = "held-out posts",
    until: float = math.inf,
    batches: int | None = None,
) -> list[Score]:
    """Score the held-out posts, or what else is meant, and tell the figure; returns the score of each batch.

    until: the moment of `time.monotonic` at which to be done; the posts for which there is no time are left
        out, but for the first batch. batches: the number of batches to score, at most.
    """
    scores = _measure(language_model, texts, f"Scoring the {what} {when}", on_event, until, batches)
    figure = total(scores).bits_per_character
    sentence = f"{what.capitalize()} {when}: {figure:.3f} bits per character"
    on_event(Event("held-out", sentence, data={"when": when, "bits_per_character": figure}))
    return scores


def comparable(*measurements: Sequence[Score]) -> list[Score]:
    """Several measurements of the same texts, each reduced to the posts that all of them had time for."""
    batches = min(map(len, measurements))
    return [total(scores[:batches]) for scores in measurements]


def _measure(
    language_model: LanguageModel,
    texts: Sequence[str],
    sentence: str,
    on_event: OnEvent,
    until: float = math.inf,
    batches: int | None = None,
) -> list[Score]:
    def tell(fraction: float) -> None:
        on_event(Event("stage", sentence, fraction))

    tell(0.0)
    scores: list[Score] = []
    longest, began = 0.0, time.monotonic()
    precision = environment.precision(language_model.device)
    with environment.memory_errors_in_words("scoring"):
        for score in score_in_batches(language_model, texts, precision, tell):
            scores.append(score)
            now = time.monotonic()
            longest, began = max(longest, now - began), now
            if len(scores) == batches or now + longest > until:
                break
    return scores


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
