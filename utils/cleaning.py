"""Turn raw posts into text worth learning from.

In: a Timeline. Out: a CleanTimeline, the texts that are kept, oldest first, and a count for each reason
that something was dropped. Knows nothing about where posts come from or which model reads them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from utils.copies import fold, has_words
from utils.errors import TooFewPosts
from utils.events import Event, OnEvent, ignore
from utils.settings import (
    COMFORTABLE_CHARACTERS,
    FEWEST_POSTS,
    MAXIMUM_CHARACTERS,
    MINIMUM_CHARACTERS,
    CleaningSettings,
)
from utils.timelines import Account, Post, Timeline, oldest_first

REASONS = {
    "edited": "an earlier version of a post that was edited",
    "unreadable": "without text, or with letters that were lost before it came here",
    "private": "not addressed to everybody",
    "warned": "behind a content warning",
    "replies": "written to somebody else, on a network that tells; half of a conversation",
    "reposts": "somebody else's words, passed on",
    "media_only": "nothing but a link, a picture or a video",
    "long": "more characters than any post may have",
    "short": "fewer words of their own than the setting asks",
    "duplicates": "the same line as an earlier post, case and white space aside",
}
"""Why a post is dropped, in the order in which the rules look; the first that fits counts. The first
five are found while a source is read, and counted there."""

CHANGES = ("links", "mentions", "whitespace")
"""What is mended in posts that are looked at: links, opening @names, white space."""

MOST_ROUNDS = 10
"""Two are enough for any post but one that was made to need more."""

POSTS_BETWEEN_NEWS = 20_000
"""About a third of a second's work."""


@dataclass(frozen=True)
class CleanTimeline:
    """What is left of a Timeline.

    posts: the kept posts with their cleaned texts, oldest first.
    dropped: for each of `REASONS` the number of posts; `fetched` is their sum and the kept ones.
    changed: for each of `CHANGES` the number of posts in which something was mended.
    dated: False where not one post has a date; the source's order then counts as oldest first.
    commonest: the line that was posted most often, and how often.
    remarks: what a reader of the source should know, a sentence each.
    account: who it is, where a network said so.
    """

    author: str
    source: str
    posts: tuple[Post, ...]
    dropped: dict[str, int]
    changed: dict[str, int]
    dated: bool
    commonest: tuple[str, int]
    remarks: tuple[str, ...] = ()
    account: Account | None = None

    @property
    def characters(self) -> int:
        """Unicode characters in all kept texts."""
        return sum(len(post.text) for post in self.posts)

    @property
    def fetched(self) -> int:
        """Posts before cleaning."""
        return len(self.posts) + sum(self.dropped.values())

    def counts(self) -> dict[str, int]:
        """`fetched`, a count for each reason to drop, and `kept`, which add up."""
        return {"fetched": self.fetched, **self.dropped, "kept": len(self.posts)}

    def summary(self) -> str:
        """The counts as a line for people: "1,400 fetched, 85 reposts, 1 media only … 1,314 kept"; no zeros."""
        always = ("fetched", "kept")
        return ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in self.counts().items() if count or name in always
        )


def clean(
    timeline: Timeline, settings: CleaningSettings = CleaningSettings(), on_event: OnEvent = ignore
) -> CleanTimeline:
    """Drop what is not the author's own writing, and mend the rest. Never fails; see `check_enough`."""
    dropped = Counter({**dict.fromkeys(REASONS, 0), **timeline.left_out})
    changed = Counter(dict.fromkeys(CHANGES, 0))
    seen: Counter[str] = Counter()
    as_written: dict[str, str] = {}
    kept = []
    for number, post in enumerate(sorted(timeline.posts, key=oldest_first)):
        if number % POSTS_BETWEEN_NEWS == POSTS_BETWEEN_NEWS - 1:
            on_event(Event("stage", "Looking through the posts", number / len(timeline.posts)))
        if len(post.text) > 4 * MAXIMUM_CHARACTERS:  # a book takes long to mend, and is no post whatever is left
            dropped["long"] += 1
            continue
        text, changes = _mend(post.text, settings)
        if _REPOST.match(post.text) or _REPOST.match(text):
            dropped["reposts"] += 1
            continue
        folded = fold(text)
        seen[folded] += 1
        as_written.setdefault(folded, text)
        if reason := _reason_to_drop(text, changes, seen[folded], settings):
            dropped[reason] += 1
            continue
        changed.update(changes)
        kept.append(post if text == post.text else Post(post.id, post.created_at, text))
    return CleanTimeline(
        author=timeline.author,
        source=timeline.source,
        posts=tuple(kept),
        dropped=dict(dropped),
        changed=dict(changed),
        dated=any(post.created_at for post in timeline.posts),
        commonest=_commonest(seen, as_written),
        remarks=timeline.remarks,
        account=timeline.account,
    )


def _commonest(seen: Counter[str], as_written: dict[str, str]) -> tuple[str, int]:
    """The line that was posted most often, as it was first written; posts without text do not count."""
    folded, times = next(((line, times) for line, times in seen.most_common(2) if line), ("", 0))
    return as_written.get(folded, ""), times


def _reason_to_drop(text: str, changes: set[str], times_seen: int, settings: CleaningSettings) -> str | None:
    if not text:
        return "media_only" if "links" in changes or "mentions" not in changes else "short"
    if len(text) > MAXIMUM_CHARACTERS:
        return "long"
    if not has_words(_MENTION.sub("", text), settings.min_words):
        return "short"
    return "duplicates" if times_seen > 1 else None


# A repost shows only in its text: in X's archives the field `retweeted` is always false.
_REPOST = re.compile(r"\s*RT @\w")
# Links end at the first character outside ASCII, because Japanese and Chinese put no space behind them,
# and before closing punctuation, which belongs to the sentence.
# The space before a link goes with it; the look-behind keeps long runs of spaces from being read twice.
_LINK = re.compile(
    r"(?:(?<!\s)\s+)?(?:(?i:https?://|\bwww\.)|\bpic\.twitter\.com/|\bt\.co/)[!-~]*[a-zA-Z0-9_/=#&~%+-](?:…|\.{3})?"
)
# Brackets and quotation marks that stood around a link alone.
_EMPTIED = re.compile(r" ?(?:\(\s*\)|\[\s*\]|“\s*”|«\s*»)")
# Handles of X (@name), Bluesky (@name.domain) and Mastodon (@name@domain).
_HANDLE = r"[@＠]\w+(?:[.@-]\w+)*"
_MENTION = re.compile(rf"(?<![\w@]){_HANDLE}")
_OPENING_MENTIONS = re.compile(rf"\A\s*(?:{_HANDLE}[,:]?(?:\s+|$))+")
# Control characters, and marks of direction or order that show nothing; the joiner of emoji stays.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\ufffe\uffff]")


def _mend(text: str, settings: CleaningSettings) -> tuple[str, set[str]]:
    """The cleaned text, and which of `CHANGES` were made to it.

    Over and over until nothing changes: an invisible letter that goes can leave a link or a name behind.
    """
    changes: set[str] = set()
    for _ in range(MOST_ROUNDS):
        before = text
        for name, step in _STEPS.items():
            if (mended := step(text, settings)) != text:
                changes.add(name)
                text = mended
        if text == before:
            break
    return text, changes


def _without_links(text: str, settings: CleaningSettings) -> str:
    if settings.keep_links or "/" not in text and "www." not in text.lower():
        return text  # nearly every post; the pattern takes 20 microseconds to see it
    without, links = _LINK.subn("", text)
    return _EMPTIED.sub("", without) if links else text


def _without_opening_mentions(text: str, settings: CleaningSettings) -> str:
    return _OPENING_MENTIONS.sub("", text)


def _tidy(text: str, settings: CleaningSettings) -> str:
    """White space without runs and edges, at most one empty line, nothing invisible, valid Unicode."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    text = re.sub(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n", text)
    text = _INVISIBLE.sub("", text)
    # Halves of a surrogate pair, which JSON may carry, are joined; a lone half is no character.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text)
    return " ".join(text.split()) if settings.fold_line_breaks else text.strip()


_STEPS = {"links": _without_links, "mentions": _without_opening_mentions, "whitespace": _tidy}


def check_enough(timelines: Sequence[CleanTimeline]) -> list[str]:
    """Warnings about the amount of text, a sentence each. Raises `TooFewPosts` under the minimum.

    The thresholds hold for all authors together, so that a second author can make up for a quiet one;
    an author with nothing to learn from is an error all the same.
    """
    for timeline in timelines:
        line, times = timeline.commonest
        if times > max(timeline.fetched / 2, 1) and timeline.characters < MINIMUM_CHARACTERS:
            raise TooFewPosts(
                f"{timeline.author} posts the same line again and again: {times:,} of {timeline.fetched:,} posts "
                f"are “{_shorten(line)}”. There is no voice to learn there; try an author who says different things."
            )
        if not timeline.posts:
            raise TooFewPosts(
                f"{timeline.author} has no post worth learning from ({timeline.summary()}). "
                "Try one who writes posts of their own."
            )
    characters = sum(timeline.characters for timeline in timelines)
    names = " and ".join(timeline.author for timeline in timelines)
    have = "has" if len(timelines) == 1 else "have together"
    if characters < MINIMUM_CHARACTERS:
        raise TooFewPosts(
            f"{names} {have} {characters:,} characters of usable text; training needs at least "
            f"{MINIMUM_CHARACTERS:,}. Add a second author, or try one who posts more."
        )
    for timeline in timelines:
        if len(timeline.posts) < FEWEST_POSTS:
            raise TooFewPosts(
                f"{timeline.author} has {len(timeline.posts)} usable posts; training needs at least {FEWEST_POSTS}, "
                "some of them to test with. Try an author who posts more."
            )
    warnings = []
    if characters < COMFORTABLE_CHARACTERS:
        warnings.append(
            f"{names} {have} {characters:,} characters of usable text; with less than "
            f"{COMFORTABLE_CHARACTERS:,} the bot may repeat itself or its author."
        )
    warnings += [
        f"The posts of {timeline.author} have no dates that were read; they were taken as oldest first."
        for timeline in timelines
        if not timeline.dated
    ]
    return warnings


def _shorten(line: str, length: int = 60) -> str:
    return line if len(line) <= length else line[: length - 1] + "…"
