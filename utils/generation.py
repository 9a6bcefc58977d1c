"""Write posts in a bot's voice.

In: a Bot and an opening, which may be empty. Out: Drafts, each whole: it ended where the model ended it
and fits into one post with the mark of a bot behind it. A draft that does not is written again, a few
times, then given up and counted; none is ever cut. Knows nothing about training.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from transformers import DynamicCache, TemperatureLogitsWarper

from utils import environment
from utils.bot import Bot
from utils.copies import CopyIndex, words
from utils.errors import BadSetting
from utils.events import Event, OnEvent, ignore
from utils.language_model import LanguageModel
from utils.post_length import LIMIT, MARK, fits, marked, weighted_length
from utils.scoring import autocast, score
from utils.settings import MAXIMUM_DRAFTS, WritingSettings

ROUNDS = 4
"""How often a draft that did not fit is written again before it is given up: at the rate of one in ten that
was seen on the bundled authors, one in ten thousand is given up."""

ROWS = 50
"""Drafts written side by side; more share no more work on a CPU and take memory."""

LONGEST = 300
"""Tokens after which a row is given up; a post of 280 characters of any script is shorter."""

LOOK_EVERY = 8
"""Tokens between two looks at whether an unfinished row is already too long."""


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
    opening = " ".join(opening.split(" ")).strip()
    _check(opening, count)
    began = time.monotonic()
    seed = random.SystemRandom().randrange(2**32) if settings.seed is None else settings.seed
    generator = torch.Generator(bot.language_model.device).manual_seed(seed)
    copies = CopyIndex(bot.training or [])
    writing, given_up = Writing(), 0
    with environment.memory_errors_in_words("writing"):
        while len(writing.drafts) + given_up < count and not writing.stopped:
            wanted = min(count - len(writing.drafts) - given_up, ROWS)
            for _ in range(ROUNDS):
                for text in _texts(bot.language_model, opening, wanted, settings, generator, should_stop):
                    if _is_whole(text, opening):
                        _add(writing, bot, text, opening, copies, count, on_event)
                        wanted -= 1
                    else:
                        writing.rewritten += 1
                writing.stopped = should_stop()
                if not wanted or writing.stopped:
                    break
            given_up += wanted
    writing.dropped = 0 if writing.stopped else given_up
    writing.seconds = time.monotonic() - began
    return writing


def _check(opening: str, count: int) -> None:
    if not 1 <= count <= MAXIMUM_DRAFTS:
        raise BadSetting(f"The number of drafts must be from 1 to {MAXIMUM_DRAFTS:,}; it was {count}.")
    if opening and not fits(opening + " …"):
        raise BadSetting(
            f"The opening counts {weighted_length(opening)} characters of the {LIMIT} that a post may have, of which "
            f"{weighted_length(MARK)} belong to the mark of a bot. Shorten it."
        )


def _is_whole(text: str | None, opening: str) -> bool:
    """Whether a text is a post: it ended, fits, says something, and adds to its opening."""
    return text is not None and text.strip() != opening and bool(words(text)) and fits(text)


def _add(writing: Writing, bot: Bot, text: str, opening: str, copies: CopyIndex, count: int, on_event: OnEvent) -> None:
    precision = environment.precision(bot.language_model.device)
    bits = score(bot.language_model, [text], precision).bits_per_character
    draft = Draft(text, opening, copies.find(text), round(bits, 4))
    writing.drafts.append(draft)
    on_event(Event("draft", f"{len(writing.drafts)} of {count} drafts", len(writing.drafts) / count, draft.as_dict()))


@torch.inference_mode()
def _texts(
    language_model: LanguageModel,
    opening: str,
    rows: int,
    settings: WritingSettings,
    generator: torch.Generator,
    should_stop: Callable[[], bool],
) -> Iterator[str | None]:
    """Sample `rows` texts side by side; yields each one when it ends, or None when it grows too long.

    A row that is done leaves the batch, so that the last rows do not pay for the first ones.
    """
    network, device = language_model.network, language_model.device
    prompt = [language_model.start, *language_model.encode_opening(opening)]
    forbidden = _special_tokens(language_model)
    temperature = TemperatureLogitsWarper(settings.temperature)
    written = torch.tensor([prompt] * rows, device=device)
    cache = DynamicCache(config=network.config)
    with autocast(device, environment.precision(device)):
        logits = network(input_ids=written[:1], past_key_values=cache).logits[:, -1]
        cache.batch_repeat_interleave(rows)
        logits = logits.expand(rows, -1)
        for length in range(1, LONGEST + 1):
            logits = logits.float().index_fill(-1, forbidden, -torch.inf)
            if length == 1:
                logits[:, language_model.end] = -torch.inf  # an empty draft is none
            token = sample(temperature(None, logits), settings.top_p, generator)
            ended = token == language_model.end
            yield from (language_model.decode(row[1:]) for row in written[ended].tolist())
            written = torch.cat([written, token[:, None]], dim=1)
            going = ~ended
            if length % LOOK_EVERY == 0:
                too_long = torch.tensor(
                    [not fits(language_model.decode(row[1:])) for row in written.tolist()], device=device
                )
                yield from [None] * int((too_long & going).sum())
                going &= ~too_long
            if not going.any() or should_stop():
                return
            if not going.all():
                written = written[going]
                cache.batch_select_indices(going.nonzero()[:, 0])
            logits = network(input_ids=written[:, -1:], past_key_values=cache).logits[:, -1]
    yield from [None] * len(written)


def _special_tokens(language_model: LanguageModel) -> torch.Tensor:
    """Ids of the tokens that are no text, the end token aside."""
    special = set(language_model.tokenizer.all_special_ids) | set(language_model.tokenizer.added_tokens_decoder)
    special |= {language_model.start}
    return torch.tensor(sorted(special - {language_model.end}), dtype=torch.long, device=language_model.device)


def sample(logits: torch.Tensor, top_p: float, generator: torch.Generator) -> torch.Tensor:
    """Draw a token for each row from its nucleus (Holtzman et al. 2020, arXiv:1904.09751).

    logits: (rows, vocabulary), temperature applied. Returns ids, (rows,). The nucleus is the smallest set
    of likeliest tokens whose probabilities reach `top_p`. It is almost always found among the thousand
    likeliest, which are had faster than a sorted vocabulary; where it is not, all are sorted.
    """
    probabilities = logits.softmax(-1)
    for candidates in (min(1024, logits.shape[-1]), logits.shape[-1]):
        likeliest, ids = probabilities.topk(candidates)
        before = likeliest.cumsum(-1) - likeliest
        if bool((before[:, -1] + likeliest[:, -1] >= top_p).all()):
            break
    nucleus = likeliest.masked_fill(before >= top_p, 0)
    return ids.gather(-1, torch.multinomial(nucleus, 1, generator=generator))[:, 0]
