"""Write posts in a bot's voice.

In: a Bot and an opening, which may be empty. Out: Drafts, each whole: it ended where the model ended it
and fits into one post with the mark of a bot behind it. A draft that does not is written again, a few
times, then given up and counted; none is ever cut. Knows nothing about training.
"""

import math
import random
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from utils import environment
from utils.bot import Bot
from utils.copies import CopyIndex, words
from utils.errors import BadSetting
from utils.events import Event, OnEvent, ignore
from utils.language_model import LanguageModel
from utils.post_length import LIMIT, MARK, fits, marked, weighted_length
from utils.scoring import autocast, cross_entropy, next_token_logits, score
from utils.settings import MAXIMUM_DRAFTS, WritingSettings

TRIES = 4
"""How many texts are written for each draft asked for, at most, when some do not fit; of the first 30 drafts
of a bot of a bundled author, all fitted at once."""

ROWS = 50
"""Drafts written side by side, at most; it bounds the memory."""

LONGEST = 400
"""Tokens after which a text is given up. A post in English takes 20 to 80; one of 130 Japanese characters
takes three a character where the tokenizer knows only their bytes."""

CANDIDATES = (1024, 8192, 1 << 30)
"""How many of the likeliest tokens are looked at for the nucleus, until they hold it."""

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
    opening = _as_posted(opening)
    _check(opening, count)
    began = time.monotonic()
    seed = random.SystemRandom().randrange(2**32) if settings.seed is None else settings.seed
    generator = torch.Generator(bot.language_model.device).manual_seed(seed)
    copies = CopyIndex(bot.training or [])
    writing, tries = Writing(), TRIES * count
    with environment.memory_errors_in_words("writing"):
        while len(writing.drafts) < count and tries > 0 and not should_stop():
            rows = min(count - len(writing.drafts), tries, ROWS)
            tries -= rows
            for row in _rows(bot.language_model, opening, rows, settings, generator, should_stop):
                draft = _draft(bot.language_model, opening, row, copies)
                if draft is None:
                    writing.rewritten += 1
                    done = len(writing.drafts)
                    again = f"{done} of {count} drafts; {writing.rewritten} did not fit and are written again"
                    on_event(Event("stage", again, done / count))
                    continue
                writing.drafts.append(draft)
                done = len(writing.drafts)
                on_event(Event("draft", f"{done} of {count} drafts", done / count, draft.as_dict()))
    missing = count - len(writing.drafts)
    writing.stopped = missing > 0 and should_stop()
    writing.dropped = 0 if writing.stopped else missing
    writing.seconds = time.monotonic() - began
    return writing


def glimpse(language_model: LanguageModel, seed: int, seconds: float) -> str:
    """One text as the model writes it now, for whoever watches it learn; with "…" where `seconds` did not do.

    Unlike a draft it is not looked at further: an untrained model seldom writes anything that is a post.
    """
    generator = torch.Generator(language_model.device).manual_seed(seed)
    deadline = time.monotonic() + seconds
    so_far: list[int] = []
    for row in _rows(language_model, "", 1, WritingSettings(), generator, lambda: time.monotonic() > deadline, so_far):
        if row:
            return " ".join(language_model.decode(row[0]).split())
    return " ".join(language_model.decode(so_far).split()) + "…"


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


def _draft(
    language_model: LanguageModel, opening: str, row: tuple[list[int], float] | None, copies: CopyIndex
) -> Draft | None:
    """The draft that a row of tokens makes, or None where it is no post."""
    if row is None:
        return None
    tokens, bits = row
    text = language_model.decode(tokens).strip()
    if not _is_post(text, opening):
        return None
    if language_model.encode_opening(text) != tokens:
        # The tokenizer would cut the text otherwise than it was sampled, and a score is of a text.
        bits = score(language_model, [text], environment.precision(language_model.device)).bits
    return Draft(text, opening, copies.find(text), round(bits / len(text), 4))


def _is_post(text: str, opening: str) -> bool:
    """Whether a finished text fits, says something, adds to its opening, and has no broken characters."""
    broken = any(letter == "\ufffd" or unicodedata.category(letter) == "Cc" for letter in text.replace("\n", " "))
    return not broken and text != opening and bool(words(text)) and fits(text)


@torch.inference_mode()
def _rows(
    language_model: LanguageModel,
    opening: str,
    rows: int,
    settings: WritingSettings,
    generator: torch.Generator,
    should_stop: Callable[[], bool],
    unfinished: list[int] | None = None,
) -> Iterator[tuple[list[int], float] | None]:
    """Sample `rows` posts side by side; yields each one when it ends, or None when it grows too long.

    unfinished: a list that is filled with the tokens of a row that has not ended, for those who cannot wait.

    What is yielded are the tokens between start and end, and the bits that the untempered model needs for
    them and the end. A row that is done leaves the batch, so that the last rows do not pay for the first.
    """
    network, device = language_model.network, language_model.device
    prompt = [language_model.start, *language_model.encode_opening(opening)]
    forbidden = _special_tokens(language_model)
    written = torch.tensor([prompt] * rows, device=device)
    cache = DynamicCache(config=network.config)
    with autocast(device, environment.precision(device)):
        logits = next_token_logits(network, written[:1], cache).expand(rows, -1)
        cache.batch_repeat_interleave(rows)
        nats = torch.full((rows,), _nats_of_opening(network, written[:1]), device=device)
        for length in range(1, LONGEST + 1):
            allowed = logits.index_fill(-1, forbidden, -torch.inf)
            if length == 1:
                allowed[:, language_model.end] = -torch.inf  # an empty draft is none
            token = sample(allowed / settings.temperature, settings.top_p, generator)
            nats = nats + logits.logsumexp(-1) - logits.gather(-1, token[:, None])[:, 0]
            ended = token == language_model.end
            for row, row_nats in zip(written[ended].tolist(), nats[ended].tolist(), strict=True):
                yield row[1:], row_nats / math.log(2)
            written = torch.cat([written, token[:, None]], dim=1)
            going = ~ended
            if unfinished is not None:
                unfinished[:] = written[0, 1:].tolist()
            if length % LOOK_EVERY == 0:
                fitting = [_may_fit(language_model.decode(row[1:])) for row in written.tolist()]
                too_long = going & ~torch.tensor(fitting, device=device)
                yield from [None] * int(too_long.sum())
                going &= ~too_long
            if not going.any() or should_stop():
                return
            if not going.all():
                written, nats = written[going], nats[going]
                cache.batch_select_indices(going.nonzero()[:, 0])
            logits = next_token_logits(network, written[:, -1:], cache)
    yield from [None] * len(written)


def _may_fit(unfinished: str) -> bool:
    """Whether a text may still become a post; a letter counts 2 at most, so short ones are not counted yet."""
    return 2 * len(unfinished) < LIMIT - weighted_length(MARK) or fits(unfinished)


def _nats_of_opening(network: torch.nn.Module, prompt: torch.Tensor) -> float:
    """Negative log-likelihood of an opening after the start token; prompt: (1, length), both together."""
    if prompt.shape[1] == 1:
        return 0.0
    return cross_entropy(network, prompt[:, :-1], prompt[:, 1:], reduction="sum").item()


def _special_tokens(language_model: LanguageModel) -> torch.Tensor:
    """Ids of the tokens that are no text, the end token aside."""
    special = set(language_model.tokenizer.all_special_ids) | set(language_model.tokenizer.added_tokens_decoder)
    special |= {language_model.start}
    return torch.tensor(sorted(special - {language_model.end}), dtype=torch.long, device=language_model.device)


def sample(logits: torch.Tensor, top_p: float, generator: torch.Generator) -> torch.Tensor:
    """Draw a token for each row from its nucleus (Holtzman et al. 2020, arXiv:1904.09751).

    logits: (rows, vocabulary), temperature applied. Returns ids, (rows,). The nucleus is the smallest set
    of likeliest tokens whose probabilities reach `top_p`. It is mostly found among the thousand likeliest,
    which are had sooner than a sorted vocabulary; where it is not, more are looked at.
    """
    probabilities = logits.softmax(-1)
    for candidates in CANDIDATES:
        likeliest, ids = probabilities.topk(min(candidates, logits.shape[-1]))
        cumulative = likeliest.cumsum(-1)
        if len(ids[0]) == logits.shape[-1] or bool((cumulative[:, -1] >= top_p).all()):
            break
    last = (cumulative < top_p).sum(-1, keepdim=True).clamp(max=cumulative.shape[-1] - 1)
    mass = cumulative.gather(-1, last)
    drawn = mass * torch.rand(mass.shape, generator=generator, device=mass.device)
    return ids.gather(-1, torch.searchsorted(cumulative, drawn, right=True).minimum(last))[:, 0]
