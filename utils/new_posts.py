"""What is new since a bot was made, and how it joins the three parts.

In: the CleanTimelines of the bot's sources, and the posts that it knows, part by part. Out: a Lesson, the
data set to go on learning from, and the parts as they are afterwards. A post that was held out stays held
out. Knows nothing about the model, or whether the lesson was worth it.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from utils.cleaning import CleanTimeline
from utils.copies import fold, near_duplicates
from utils.dataset import HELD_OUT_SHARE, MAXIMUM_TOKENS, MAXIMUM_VALIDATION, Example, PostDataset, in_order
from utils.settings import MAXIMUM_HELD_OUT, MINIMUM_POSTS

MINIMUM_NEW_POSTS = MINIMUM_POSTS
"""Fewer new posts wait for the next time: there would be nothing to hold out and to validate on."""

HANDFUL = 5
"""At least so many new posts are held out, and as many choose the best weights, where there are few; but no more
than a quarter of them each."""

REPLAY = 0.5
"""Old training posts in the lesson for each new one, so that the old ones are not forgotten.

Bits per character on held-out posts, old and new, after 30 steps at a peak rate of 2e-4, from a bot of the older
70 % of `sample:keeperfinch` (60 steps). New are its other posts, or, as if the author were somebody else now, 400 of
`sample:unit7bakes`:

    old ones for each new one      old    new      old    new of somebody else
    the bot as it was            1.544  1.599    1.544  1.850
    0                            1.529  1.565    1.615  1.660
    0.25                         1.526  1.570
    0.5                          1.530  1.572    1.572  1.677
    1                            1.538  1.583    1.561  1.711
    3                            no validation was better

While the author stays the same, replay costs a little, since old posts teach less than new ones; when the
author changes, half as many old posts more than halve what is forgotten.
"""

Item = tuple[int, str]
"""The number of an author, and the text of a post."""


@dataclass(frozen=True)
class Lesson:
    """New posts, and as much of the old ones as keeps them in mind.

    dataset: what to learn from, and validation posts, as many old as new ones where there are as many. It holds
        nothing out, because held-out posts of two times are to be told apart:
    held_out_before, held_out_since: those that the bot had, and those of the new posts.
    new_training: how many of the posts to learn from are new.
    parts: the bot's posts afterwards: "training", "validation", "held_out" and, in none of these, "left_out".
    """

    dataset: PostDataset
    held_out_before: list[str]
    held_out_since: list[str]
    new_training: int
    parts: dict[str, list[str]]


def unknown(timelines: Sequence[CleanTimeline], parts: Mapping[str, Sequence[str]]) -> list[Item]:
    """The posts that are in none of the parts, oldest first, each with the number of its author."""
    known = {fold(text) for part in parts.values() for text in part}
    return [
        (author, post.text)
        for author, timeline in enumerate(timelines)
        for post in timeline.posts
        if fold(post.text) not in known
    ]


def really_new(found: Sequence[Item], parts: Mapping[str, Sequence[str]]) -> list[Item]:
    """Those that do not nearly repeat a post that the bot has learned from or was tested on."""
    known = [text for name in ("training", "validation", "held_out") for text in parts[name]]
    repeated = near_duplicates([text for _, text in found], known)
    return [item for index, item in enumerate(found) if index not in repeated]


def plan(
    timelines: Sequence[CleanTimeline],
    parts: Mapping[str, Sequence[str]],
    encode: Callable[[str], list[int]],
    seed: int,
    replay: float = REPLAY,
) -> Lesson:
    """Split the posts that are unknown, by time and by chance, and mix old ones in.

    parts: the bot's posts by part. encode: a post's text to its token ids, with those around it.
    Held out are the newest tenth of each author's really new posts. What nearly repeats a held-out post is
    left out; what nearly repeats an old training post may be learned from once more.
    """
    rng = random.Random(seed)
    new = _split(unknown(timelines, parts), parts, rng)
    room = MAXIMUM_HELD_OUT * len(timelines) - len(new["held_out"])
    held_out_before = in_order(rng, list(parts["held_out"]), room)
    kept = set(held_out_before)
    surplus = [text for text in parts["held_out"] if text not in kept]
    writers = {fold(post.text): number for number, timeline in enumerate(timelines) for post in timeline.posts}
    old = {name: [(writers.get(fold(text), 0), text) for text in parts[name]] for name in ("training", "validation")}
    compared = in_order(rng, old["validation"], len(new["validation"]))
    replayed = _replayed(old["training"], new["training"], len(timelines), replay, rng)

    def examples(items: Sequence[Item], limit: int | None = None) -> tuple[Example, ...]:
        return tuple(Example(text, author, tuple(encode(text)[:limit])) for author, text in items)

    came = {name: [text for _, text in items] for name, items in new.items()}
    return Lesson(
        dataset=PostDataset(
            authors=tuple(timeline.author for timeline in timelines),
            training=examples([*replayed, *new["training"]], MAXIMUM_TOKENS),
            validation=examples([*compared, *new["validation"]]),
            held_out=(),
            near_duplicates=len(came["left_out"]),
            left_out=(*came["left_out"], *surplus),
        ),
        held_out_before=held_out_before,
        held_out_since=came["held_out"],
        new_training=len(came["training"]),
        parts={
            "training": [*parts["training"], *came["training"]],
            "validation": [*parts["validation"], *came["validation"]],
            "held_out": [*held_out_before, *came["held_out"]],
            "left_out": [*parts["left_out"], *came["left_out"], *surplus],
        },
    )


def _split(found: Sequence[Item], parts: Mapping[str, Sequence[str]], rng: random.Random) -> dict[str, list[Item]]:
    """The new posts by part; left out is what nearly repeats a held-out post, old or new."""
    held_out = _newest(really_new(found, parts), rng)
    chosen = {text for _, text in held_out}
    rest = [item for item in found if item[1] not in chosen]
    repeated = near_duplicates([text for _, text in rest], [*parts["held_out"], *chosen])
    usable = [item for index, item in enumerate(rest) if index not in repeated]
    most = min(_share(len(usable)), MAXIMUM_VALIDATION, len(usable))
    validating = set(rng.sample(range(len(usable)), most))
    return {
        "training": [item for index, item in enumerate(usable) if index not in validating],
        "validation": [usable[index] for index in sorted(validating)],
        "held_out": held_out,
        "left_out": [rest[index] for index in sorted(repeated)],
    }


def _replayed(old: list[Item], new: list[Item], authors: int, replay: float, rng: random.Random) -> list[Item]:
    """Old posts to go with the new ones. Who has fewer new posts than others gets more old ones: an equal say."""
    came = Counter(author for author, _ in new)
    each = round((1 + replay) * max(came.values(), default=0))
    replayed = []
    for author in range(authors):
        own = [item for item in old if item[0] == author]
        replayed += in_order(rng, own, each - came[author])
    return replayed


def _newest(new: Sequence[Item], rng: random.Random) -> list[Item]:
    """The newest tenth of each author's new posts, a handful at least, and half of what may be held out at most."""
    held_out = []
    for author in dict.fromkeys(author for author, _ in new):
        own = [item for item in new if item[0] == author]
        held_out += in_order(rng, own[-_share(len(own)) :], MAXIMUM_HELD_OUT // 2)
    return held_out


def _share(count: int) -> int:
    """A tenth of so many posts; a handful where that is more and there are enough for it; one at least."""
    return max(round(count * HELD_OUT_SHARE), min(HANDFUL, count // 4), 1)
