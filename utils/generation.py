"""Write posts in a bot's voice.

In: a Bot and an opening, which may be empty. Out: Drafts, each whole: it ended where the model ended it
and fits into one post with the mark of a bot behind it. A draft that does not is written again, a few
times, then given up and counted; none is ever cut. Knows nothing about training.
"""

import random
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from utils import environment
from utils.bot import Bot
from utils.copies import CopyIndex, words
from utils.errors import BadSetting
from utils.events import Event, OnEvent, ignore
from utils.language_model import LanguageModel
from utils.post_length import LIMIT, MARK, fits, marked, weighted_length
from utils.sampling import Text, sample_texts, writing_precision
from utils.scoring import score
from utils.settings import MAXIMUM_DRAFTS, WritingSettings

TRIES = 4
"""How many texts are written for each draft asked for, at most, when some do not fit; of the first 30 drafts
of a bot of a bundled author, all fitted at once."""

ROWS = 50
"""Drafts written side by side, at most, spares aside; it bounds the memory."""

ROWS_A_SPARE = 5
"""Drafts for which one spare text is begun with them, to take the place of one that does not fit.

Two spares make the steps of ten drafts a twentieth slower; one text begun anew takes as many steps again. A bot
that was trained for 20 steps had 1 to 3 of 13 texts that did not fit.
"""


@dataclass(frozen=True)
class Draft:
    """One generated post, with what a reader should know of it.

    text: the post, opening included, without the mark; `post` is the text as it may leave the program.
    copied_from: the training post that it repeats, or None.
    bits_per_character: how surprised the bot itself is by the text; low means typical.
    """

    text: str
    start: str
    copied_from: str | None
    bits_per_character: float

    def as_dict(self) -> dict[str, Any]:
        """The draft as JSON values, with `post`: the text and the mark that a bot wrote it."""
        return {**asdict(self), "post": marked(self.text)}


@dataclass
class Writing:
    """The drafts in the order in which they were finished, and how many could not be had.

    dropped: drafts that were asked for and given up. rewritten: texts that did not fit and were written again.
    """

    drafts: list[Draft] = field(default_factory=list)
    dropped: int = 0
    rewritten: int = 0
    stopped: bool = False
    seconds: float = 0.0


def write(
    bot: Bot,
    opening: str = "",
    count: int = 10,
    settings: WritingSettings = WritingSettings(),
    on_event: OnEvent = ignore,
    should_stop: Callable[[], bool] = lambda: False,
) -> Writing:
    """Write `count` drafts that begin with `opening`, telling of each as soon as it is finished.

    Raises `BadSetting` for an opening that leaves no room, or a count out of range.
    """
    opening = _as_posted(opening)
    _check(opening, count)
    began = time.monotonic()
    seed = random.SystemRandom().randrange(2**32) if settings.seed is None else settings.seed
    generator = torch.Generator(bot.language_model.device).manual_seed(seed)
    copies = bot.copies()
    writing, tries = Writing(), TRIES * count
    with environment.memory_errors_in_words("writing"):
        while len(writing.drafts) < count and tries > 0 and not should_stop():
            wanted = min(count - len(writing.drafts), ROWS)
            rows = min(wanted + wanted // ROWS_A_SPARE, tries)
            tries -= rows
            texts = sample_texts(bot.language_model, opening, rows, settings, generator, should_stop, _may_fit)
            made = ((text.row, _draft(bot.language_model, opening, text, copies)) for text in texts)
            for draft in first_begun(made, wanted):
                _tell(draft, writing, count, on_event)
    missing = count - len(writing.drafts)
    writing.stopped = missing > 0 and should_stop()
    writing.dropped = 0 if writing.stopped else missing
    writing.seconds = time.monotonic() - began
    return writing


def first_begun(made: Iterable[tuple[int, Draft | None]], wanted: int) -> Iterator[Draft | None]:
    """Of the drafts made from each row, the first `wanted` by row, and a None for each that failed before them.

    A spare row counts only once one before it has failed. If the first to finish were taken, whichever they
    are, short posts would come too often.
    """
    waiting: dict[int, Draft | None] = {}
    told = 0
    for row, draft in made:
        waiting[row] = draft
        while ready := sorted(row for row in waiting if row < wanted):
            for row in ready:
                wanted += waiting[row] is None  # so the next row counts as well
                told += 1
                yield waiting.pop(row)
        if told == wanted:
            return


def _tell(draft: Draft | None, writing: Writing, count: int, on_event: OnEvent) -> None:
    """Count a draft, or one that failed, and tell of it."""
    if draft is None:
        writing.rewritten += 1
        done = len(writing.drafts)
        again = f"{done} of {count} drafts; rewritten for not fitting: {writing.rewritten}"
        on_event(Event("stage", again, done / count))
        return
    writing.drafts.append(draft)
    done = len(writing.drafts)
    on_event(Event("draft", f"{done} of {count} drafts", done / count, draft.as_dict()))


def glimpse(language_model: LanguageModel, seed: int, seconds: float) -> str:
    """One text as the model writes it now, for whoever watches it learn; with "…" where `seconds` did not do.

    Unlike a draft it is not looked at further: an untrained model seldom writes anything that is a post.
    """
    generator = torch.Generator(language_model.device).manual_seed(seed)
    deadline = time.monotonic() + seconds
    so_far: list[int] = []

    def is_over() -> bool:
        return time.monotonic() > deadline

    for text in sample_texts(language_model, "", 1, WritingSettings(), generator, is_over, unfinished=so_far):
        if text.tokens is not None:
            return " ".join(language_model.decode(text.tokens).split())
    return " ".join(language_model.decode(so_far).split()) + "…"


def beginnings(language_model: LanguageModel, count: int, seed: int, letters: int) -> list[str]:
    """What a model writes behind what begins a post: the first `letters` of so many texts, whole words.

    An untrained model does not know how short a post is: of 80 texts of the default model, one was a draft.
    """
    cut: list[str] = []

    def goes_on(unfinished: str) -> bool:
        if len(unfinished) <= letters:
            return True
        cut.append(unfinished)
        return False

    generator = torch.Generator(language_model.device).manual_seed(seed)
    ended: list[str] = []
    with environment.memory_errors_in_words("writing"):
        for done in range(0, count, ROWS):
            rows = min(ROWS, count - done)
            texts = sample_texts(language_model, "", rows, WritingSettings(), generator, may_go_on=goes_on)
            ended += [language_model.decode(text.tokens) for text in texts if text.tokens is not None]
    texts = [" ".join(text.split()) for text in [*cut, *ended]]
    return [text if len(text) <= letters else text[:letters].rpartition(" ")[0] or text[:letters] for text in texts]


def _check(opening: str, count: int) -> None:
    if not 1 <= count <= MAXIMUM_DRAFTS:
        raise BadSetting(f"The number of drafts must be from 1 to {MAXIMUM_DRAFTS:,}; it was {count}.")
    if opening and not fits(opening + " …"):
        raise BadSetting(
            f"The opening counts {weighted_length(opening)} characters of the {LIMIT} that a post may have, of which "
            f"{weighted_length(MARK)} belong to the mark of a bot. Shorten it."
        )


def _as_posted(opening: str) -> str:
    """An opening without what no post can hold: control characters, broken ones, white space at its ends."""
    opening = opening.replace("\r\n", "\n").encode("utf-8", "ignore").decode("utf-8")
    return "".join(
        letter if letter == "\n" else " " if unicodedata.category(letter) == "Cc" else letter
        for letter in opening
        if letter not in "\ufffd\ufeff\ufffe\uffff"
    ).strip()


def _draft(language_model: LanguageModel, opening: str, sampled: Text, copies: CopyIndex) -> Draft | None:
    """The draft that a sampled text makes, or None where it is no post."""
    if sampled.tokens is None:
        return None
    text, bits = language_model.decode(sampled.tokens).strip(), sampled.bits
    if not _is_post(text, opening):
        return None
    if language_model.encode_opening(text) != sampled.tokens:
        # The tokenizer would cut the text otherwise than it was sampled, and a score is of a text.
        bits = score(language_model, [text], writing_precision(language_model.device)).bits
    return Draft(text, opening, copies.find(text), round(bits / len(text), 4))


def _is_post(text: str, opening: str) -> bool:
    """Whether a finished text fits, says something, adds to its opening, and has no broken characters."""
    broken = any(letter == "\ufffd" or unicodedata.category(letter) == "Cc" for letter in text.replace("\n", " "))
    return not broken and text != opening and bool(words(text)) and fits(text)


def _may_fit(unfinished: str) -> bool:
    """Whether a text may still become a post; a letter counts 2 at most, so short ones are not counted yet."""
    return 2 * len(unfinished) < LIMIT - weighted_length(MARK) or fits(unfinished)
