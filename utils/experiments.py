"""Try something out: the same posts and the same beginning, one thing changed, and a figure at the end.

In: a PostDataset, settings, and how much effort it is worth. Out: an Attempt, with its figures on the way. Choices are
made by validation posts, never by held-out ones. Knows nothing about references and files; what is tried out here and
proves itself goes into the settings.
"""

import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import mean, stdev

import torch

from utils import environment, models
from utils.copies import CopyIndex
from utils.course import Conditions
from utils.dataset import Example, PostDataset
from utils.errors import BadSetting
from utils.language_model import LanguageModel
from utils.post_length import LIMIT
from utils.sampling import sample_texts
from utils.scoring import Score, autocast, collate, cross_entropy, score, total
from utils.settings import TrainingSettings, WritingSettings
from utils.training import fine_tune

SENTENCE = re.compile(r"(?<=[.!?…]) +")
"""Where one sentence of a post ends and the next begins."""


@dataclass(frozen=True)
class Effort:
    """How much of a machine's time to spend on trying things out.

    bot: how the bot is trained that a reader gets to know. seconds: of each training that is compared by time.
    steps: of each that is compared by what it has read, of so many tokens each. seeds: one training for each. posts:
    validation posts that are scored at each look. drafts: that are written to be judged.
    """

    bot: TrainingSettings
    seconds: float
    steps: int
    tokens: int
    seeds: tuple[int, ...]
    posts: int
    drafts: int


EFFORTS = {
    "test": Effort(
        TrainingSettings(steps=16, tokens_per_batch=256),
        seconds=2, steps=2, tokens=256, seeds=(0,), posts=4, drafts=30,
    ),
    "reader": Effort(
        TrainingSettings(minutes=1.25), seconds=5, steps=6, tokens=128, seeds=(0,), posts=10, drafts=20
    ),
    "recorded": Effort(
        TrainingSettings(minutes=5), seconds=24, steps=8, tokens=256, seeds=(0, 1, 2), posts=16, drafts=50
    ),
}  # fmt: skip
"""For tests, which only look whether it runs; for a reader, who waits; and for figures that are kept."""


def effort() -> Effort:
    """What `$HUGGINGTWEETS_EFFORT` names; a reader's, unless it does. Raises `BadSetting` for another name."""
    name = environment.effort()
    if name not in EFFORTS:
        raise BadSetting(f"HUGGINGTWEETS_EFFORT must be {', '.join(EFFORTS)}; it was {name}.")
    return EFFORTS[name]


@dataclass(frozen=True)
class Attempt:
    """A training that was tried out.

    looks: (seconds of training, bits per character of the validation posts) along the way; before training first, after
        it, with the weights that were best on the way, last.
    """

    looks: tuple[tuple[float, float], ...]
    steps: int
    tokens: int

    @property
    def bits_per_character(self) -> float:
        """Of the validation posts, after the training."""
        return self.looks[-1][1]


def attempt(
    parts: PostDataset,
    settings: TrainingSettings,
    seconds: float | None = None,
    on_look: Callable[[LanguageModel], None] | None = None,
    language_model: LanguageModel | None = None,
) -> Attempt:
    """Train for `seconds`, or for `settings.steps`, and look at the validation posts before and after.

    seconds: of training alone; what looking takes is not counted, and the model is looked at after each fifth, too.
    on_look: called at each look with the model as it is then. language_model: what learns, and keeps what it learned;
    the pre-trained model of the settings, unless given.
    """
    language_model = language_model or models.load(settings.model, environment.device())
    texts = [example.text for example in parts.validation]
    looks: list[tuple[float, float]] = []
    start = looking = 0.0

    def look(progress: float) -> None:
        nonlocal start, looking
        began = time.monotonic()
        if not looks:
            start = began
        looks.append((began - start - looking, score(language_model, texts).bits_per_character))
        if on_look:
            on_look(language_model)
        looking += time.monotonic() - began

    ends = math.inf
    if seconds is not None:
        settings = replace(settings, steps=None, rounds=1)
        began = time.monotonic()
        score(language_model, texts)
        ends = time.monotonic() + seconds + LOOKS * (time.monotonic() - began)
    often = seconds is not None or on_look is not None
    precision = environment.precision(language_model.device)
    training = fine_tune(
        language_model, parts, settings, Conditions(ends, precision, interlude=look if often else None)
    )
    if not often:
        looks, start = [(0.0, training.validation[0][1])], time.monotonic() - training.seconds
    look(1.0)
    return Attempt(tuple(looks), training.steps, training.tokens)


LOOKS = 7
"""Before training, after each of the first four fifths, and two that the training takes itself."""


def compare(
    parts: PostDataset, ways: Mapping[str, TrainingSettings], effort: Effort, by_time: bool = False
) -> dict[str, list[Attempt]]:
    """Attempts in several ways, with each seed, by turns; prints each figure as it comes.

    by_time: give each `effort.seconds` of training; else each has `effort.steps` steps.
    """
    attempts: dict[str, list[Attempt]] = {name: [] for name in ways}
    for seed in effort.seeds:
        for name, settings in ways.items():
            settings = replace(settings, seed=seed, steps=effort.steps)
            tried = attempt(parts, settings, effort.seconds if by_time else None)
            attempts[name].append(tried)
            print(f"{name}, seed {seed}: {tried.bits_per_character:.3f} after {tried.tokens:,} tokens")
    return attempts


def figures_of(attempts: Mapping[str, Sequence[Attempt]]) -> dict[str, list[float]]:
    """Of each way, the bits per character that its attempts came to."""
    return {name: [attempt.bits_per_character for attempt in several] for name, several in attempts.items()}


def spread(figures: Sequence[float]) -> str:
    """The mean of several figures and their standard deviation, "1.512 ± 0.003"; a single one stands alone."""
    return f"{mean(figures):.3f}" + (f" ± {stdev(figures):.3f}" if len(figures) > 1 else "")


def told(figures: Mapping[str, Sequence[float]]) -> str:
    """The figures of several ways as one reads them out: "LoRA 1.925 ± 0.030, everything 1.954 ± 0.024"."""
    return ", ".join(f"{name} {spread(several)}" for name, several in figures.items())


def copied(language_model: LanguageModel, posts: Sequence[str], drafts: int, seed: int = 0) -> float:
    """The share of so many texts from a model that repeat one of the posts; those that are too long do not count."""
    copies = CopyIndex(posts)
    generator = torch.Generator(language_model.device).manual_seed(seed)
    texts = sample_texts(
        language_model, "", drafts, WritingSettings(), generator, may_go_on=lambda text: len(text) < LIMIT
    )
    written = [language_model.decode(text.tokens).strip() for text in texts if text.tokens is not None]
    return mean(copies.find(text) is not None for text in written) if written else 0.0


def smaller(parts: PostDataset, posts: int) -> PostDataset:
    """The same parts with at most so many validation posts, so that looking at them takes less time."""
    return replace(parts, validation=parts.validation[:posts])


def packed(parts: PostDataset, length: int, seed: int) -> PostDataset:
    """Training posts one behind the other, their beginnings between them, cut into pieces of `length` tokens.

    A post sees those before it, and most pieces begin and end inside one, much as in the first huggingtweets (2020).
    """
    shuffled = random.Random(seed).sample(parts.training, len(parts.training))
    stream = list(chain.from_iterable(example.tokens[:-1] for example in shuffled))
    pieces = [tuple(stream[begin : begin + length + 1]) for begin in range(0, len(stream) - length, length)]
    return replace(parts, training=tuple(Example("", 0, piece) for piece in pieces))


def endless(parts: PostDataset) -> PostDataset:
    """Training posts without the token that ends them."""
    return replace(parts, training=tuple(replace(post, tokens=post.tokens[:-1]) for post in parts.training))


def reordered(parts: PostDataset, encode: Callable[[str], list[int]], seed: int) -> PostDataset:
    """Twice as many training posts: each as it is, and with its sentences in another order."""
    rng = random.Random(seed)

    def shuffled(example: Example) -> Example:
        sentences = SENTENCE.split(example.text)
        text = " ".join(rng.sample(sentences, len(sentences)))
        return Example(text, example.author, tuple(encode(text)))

    return replace(parts, training=parts.training + tuple(map(shuffled, parts.training)))


def score_after(language_model: LanguageModel, examples: Sequence[str], texts: Sequence[str]) -> Score:
    """Score each text as if it followed the examples: few-shot prompting (Brown et al. 2020, arXiv:2005.14165).

    The examples stand before it like posts before a post, their beginnings between them, and cost no bits themselves.
    """
    prompt = list(chain.from_iterable(language_model.encode(example)[:-1] for example in examples))
    return total(_score_after(language_model, prompt, texts))


@torch.inference_mode()
def _score_after(language_model: LanguageModel, prompt: list[int], texts: Sequence[str]) -> Iterator[Score]:
    precision = environment.precision(language_model.device)
    for text in texts:
        batch = collate([[*prompt, *language_model.encode(text)]], [len(prompt) + len(language_model.beginning)])
        batch = {name: tensor.to(language_model.device) for name, tensor in batch.items()}
        with autocast(language_model.device, precision):
            nats = cross_entropy(language_model.network, **batch, reduction="sum").item()
        yield Score(1, len(text), nats / math.log(2))
