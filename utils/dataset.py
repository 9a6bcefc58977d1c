"""From clean texts to what a model reads: three parts, and batches of token ids.

In: the CleanTimelines of one to three authors, and a tokenizer's encoder. Out: a PostDataset. Held out
are the newest posts of each author, scored before and after training and used for nothing else;
validation posts steer the training; the rest is learned from. Knows nothing about the model.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from utils.cleaning import CleanTimeline
from utils.copies import near_duplicates
from utils.errors import BadSetting, TooFewPosts
from utils.scoring import batches_by_length
from utils.settings import MAXIMUM_AUTHORS, MAXIMUM_HELD_OUT, MINIMUM_POSTS

HELD_OUT_SHARE = 0.1
"""The newest tenth of each author's posts, and at most `MAXIMUM_HELD_OUT` of them."""

VALIDATION_SHARE, MAXIMUM_VALIDATION = 0.1, 100
"""A tenth of the remaining posts of all authors together, and at most so many."""

MAXIMUM_TOKENS = 512
"""A longer training post is learned from only so far; nothing tells the model that it ends there."""

POOL = 2048
"""Posts drawn at a time, at most, and sorted by length into batches. Of @keeperfinch's posts, batches of
512 tokens come out 98 % full; from pools of 512 posts, 96 %."""


@dataclass(frozen=True)
class Example:
    """One post as the model reads it: beginning, text, end token."""

    text: str
    author: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class PostDataset:
    """The three parts. No text of `training` nearly repeats one of `held_out`; `near_duplicates` did.

    left_out: texts that are in no part: near-duplicates, and what was too much to hold out.
    """

    authors: tuple[str, ...]
    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    held_out: tuple[Example, ...]
    near_duplicates: int
    left_out: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """The number of posts in each part, and of those in none."""
        parts = {name: len(getattr(self, name)) for name in ("training", "validation", "held_out")}
        return {**parts, "near_duplicates": self.near_duplicates}

    def training_tokens(self) -> int:
        """Tokens to predict in one pass over the training posts."""
        return sum(len(example.tokens) - 1 for example in self.training)

    def training_batches(self, tokens_per_batch: int, seed: int) -> Iterator[list[int]]:
        """Batches of indices into `training`, without end: similar lengths together, in random order.

        Where there is time for a third of them, the newest third is no better than any: 20 steps of 512 tokens came to
        1.559 and 1.558 held-out bits per character so, and to 1.557 and 1.559 (`sample:keeperfinch`, two seeds).
        """
        rng = random.Random(seed)
        pool: list[int] = []
        for index in mixed([example.author for example in self.training], seed):
            # Twice in a pool would mean twice in a batch, since sorting by length brings both together.
            if len(pool) == POOL or index in pool:
                lengths = [len(self.training[index].tokens) - 1 for index in pool]
                batches = batches_by_length(lengths, tokens_per_batch)
                rng.shuffle(batches)
                for batch in batches:
                    yield [pool[position] for position in batch]
                pool = []
            pool.append(index)


def build(timelines: Sequence[CleanTimeline], encode: Callable[[str], list[int]], seed: int) -> PostDataset:
    """Split the kept posts of all authors by time and by chance, and encode them.

    encode: a post's text to its token ids, with those around it. Raises `BadSetting` for too
    many authors, `TooFewPosts` where nothing would be left to learn from.
    """
    if len(timelines) > MAXIMUM_AUTHORS:
        raise BadSetting(f"At most {MAXIMUM_AUTHORS} authors can be mixed; {len(timelines)} were given.")
    rng = random.Random(seed)
    held_out, rest, surplus = [], [], []
    for author, timeline in enumerate(timelines):
        texts = [(author, post.text) for post in timeline.posts]
        newest = max(1, round(len(texts) * HELD_OUT_SHARE))
        sample = in_order(rng, texts[-newest:], MAXIMUM_HELD_OUT)
        held_out += sample
        surplus += sorted(set(texts[-newest:]) - set(sample))
        rest += texts[:-newest]
    chosen = set(rng.sample(range(len(rest)), min(round(len(rest) * VALIDATION_SHARE), MAXIMUM_VALIDATION)))
    validation = [item for index, item in enumerate(rest) if index in chosen]
    candidates = [item for index, item in enumerate(rest) if index not in chosen]
    repeated = near_duplicates([text for _, text in candidates], [text for _, text in held_out])
    training = [item for index, item in enumerate(candidates) if index not in repeated]
    _check_left(timelines, [author for author, _ in training])

    def examples(items: list[tuple[int, str]], limit: int | None = None) -> tuple[Example, ...]:
        return tuple(Example(text, author, tuple(encode(text)[:limit])) for author, text in items)

    return PostDataset(
        authors=tuple(timeline.author for timeline in timelines),
        training=examples(training, MAXIMUM_TOKENS),
        validation=examples(validation),
        held_out=examples(held_out),
        near_duplicates=len(repeated),
        left_out=tuple(text for _, text in [*(candidates[index] for index in sorted(repeated)), *surplus]),
    )


def _check_left(timelines: Sequence[CleanTimeline], authors: Sequence[int]) -> None:
    """Raise `TooFewPosts` for an author with hardly a post to learn from; all posts much alike do that too."""
    for author, timeline in enumerate(timelines):
        left = authors.count(author)
        if left < MINIMUM_POSTS:
            raise TooFewPosts(
                f"{timeline.author} has {left} different posts to learn from; training needs at least {MINIMUM_POSTS}. "
                "Try an author who posts more."
            )


def in_order(rng: random.Random, items: list, most: int) -> list:
    """A random choice of at most `most` items that keeps their order."""
    if len(items) <= most:
        return items
    return [items[index] for index in sorted(rng.sample(range(len(items)), most))]


def mixed(authors: Sequence[int], seed: int) -> Iterator[int]:
    """Indices of posts without end, authors in turn, each author's posts shuffled anew every time round.

    authors: for each post the number of its author.

    So each author has an equal say whatever their volume, and no post comes twice before all others of
    its author came once.
    """
    rng = random.Random(seed)
    posts: dict[int, list[int]] = {}
    for index, author in enumerate(authors):
        posts.setdefault(author, []).append(index)

    def shuffled(indices: list[int]) -> Iterator[int]:
        while True:
            yield from rng.sample(indices, len(indices))

    streams = [shuffled(indices) for indices in posts.values()]
    while True:
        for stream in streams:
            yield next(stream)
