"""Which field of an entry holds the text, the date and the id, under whatever name.

In: the names in a table's first row, or one JSON object of any tool. Out: which are meant. Knows nothing
about files.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from utils.settings import MAXIMUM_CHARACTERS
from utils.timelines.markup import plain

TEXT = (
    "fulltext", "text", "tweettext", "tweet", "rawcontent", "content", "contenttext", "body", "post", "posttext",
    "message", "status", "statustext", "caption", "note", "toot", "skeet", "selftext", "contents",
)  # fmt: skip
DATE = (
    "createdat", "created", "createdutc", "timestamp", "datetime", "date", "time", "postedat", "published",
    "publishedat", "publishdate", "posteddate", "dateposted", "indexedat", "tweetcreatedat", "timestampms",
)  # fmt: skip
ID = ("idstr", "id", "tweetid", "statusid", "postid", "uri", "rkey", "url", "permalink", "link")
AUTHOR = (
    "screenname", "userscreenname", "username", "ownerusername", "handle", "acct", "user", "fromuser", "from", "sender",
    "sendername", "author", "authorname", "account", "profile",
)  # fmt: skip
FLAGS = ("visibility", "spoilertext", "cw", "isretweet", "retweet", "isrepost")
"""What says that a post is not to be learned from; see `not_for_learning`."""

INSIDE = ("tweet", "post", "status", "record", "legacy", "object", "node", "note", "value")
"""Where tools hide the entry proper inside another object."""

FOR_FEW = ("direct", "private", "specified", "followers", "limited")
"""Whom a post is for, in the words of Mastodon and of Misskey, if it is not for everybody."""

_HANDLE = re.compile(r"@?([\w.-]+)|@([\w.-]+@[\w.-]+)")  # without the "@" before it, the second could be a mail address
_STATUS_LINK = re.compile(r"https?://.*/status(?:es)?/(\d+)")
_HTML = re.compile(r"\s*<p[ >]", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def find(names: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted names that is there, as it is written there; case and signs do not matter."""
    there = {_folded(name): name for name in reversed(list(names))}
    return next((there[name] for name in wanted if name in there), None)


class Entry(NamedTuple):
    """What an object says about one post.

    author: a handle, or a name as it is there. reason: why it is not one to learn from, or None. plain: whether its
    text is known to be as it was read.
    """

    id: Any = None
    date: Any = None
    text: Any = None
    author: str | None = None
    reason: str | None = None
    names: tuple[str | None, str | None, str | None] = (None, None, None)
    plain: bool = False


def read(entry: Any) -> Entry:
    """Find the fields of one post in a JSON value: a string is its text, an object names its parts."""
    if isinstance(entry, str):
        return Entry(text=entry)
    if not isinstance(entry, Mapping):
        return Entry()
    around, entry = entry, _proper(entry)
    texts = {name: value for name, value in entry.items() if isinstance(value, str) or _is_in_parts(value)}
    names = (find(texts, TEXT), find(entry, DATE), find(entry, ID))
    text, date, number = (entry.get(name) if name else None for name in names)
    if isinstance(whole := _whole_text(entry), str):
        text = whole
    elif isinstance(text, list):
        text = "".join(part if isinstance(part, str) else part["text"] for part in text)
    if date is None and (outer := find(around, DATE)):
        date = around[outer]
    if number is None and (outer := find(around, ID)):
        number = around[outer]
    is_plain = entry.get("plain") is True
    if not is_plain:
        text = without_html(text)
    reason = not_for_learning(around, entry)
    return Entry(number, date, text, _author(entry) or _author(around), reason, names, is_plain)


def is_flag(name: str) -> bool:
    """Whether a column's name is one of `FLAGS`."""
    return _folded(name) in FLAGS


def without_html(text: Any) -> Any:
    """A text without the HTML of Mastodon's, if it is one of these."""
    if isinstance(text, str) and _HTML.match(text) and len(text) < 4 * MAXIMUM_CHARACTERS:
        return plain(text)
    return text


def _is_in_parts(value: Any) -> bool:
    """Whether a value is a text in Telegram's way, a list of strings and of objects with a part of it."""
    return isinstance(value, list) and all(
        isinstance(part, str) or isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in value
    )


def _whole_text(entry: Mapping[str, Any]) -> Any:
    """The full text of a long post, which X's interfaces keep beside the one that is cut off."""
    for inside, name in (("note_tweet", "text"), ("extended_tweet", "full_text")):
        if isinstance(found := entry.get(inside), Mapping):
            return found.get(name)
    return None


def _proper(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that holds the text itself, at most three levels down."""
    for _ in range(3):
        inner = next((entry[name] for name in INSIDE if isinstance(entry.get(name), Mapping)), None)
        if inner is None or isinstance(entry.get(find(entry, TEXT) or ""), str):
            break
        entry = inner
    return entry


def not_for_learning(*levels: Mapping[str, Any]) -> str | None:
    """What networks say of a post: that somebody else wrote it, that it is for few, or behind a warning."""
    for level in levels:
        reason = level.get("reason")
        if any(isinstance(level.get(name), Mapping) for name in ("reblog", "retweeted_status")):
            return "reposts"
        if isinstance(reason, Mapping) and "repost" in str(reason.get("$type", "")).lower():
            return "reposts"
        flags = {folded: value for name, value in level.items() if (folded := _folded(name)) in FLAGS}
        marks = (flags.get(name) for name in ("isretweet", "retweet", "isrepost"))
        if level.get("forwarded_from") or any(str(mark).lower() in ("true", "t") for mark in marks):
            return "reposts"
        if str(flags.get("visibility")).lower() in FOR_FEW:
            return "private"
        if any(isinstance(flags.get(name), str) and flags[name].strip() for name in ("spoilertext", "cw")):
            return "warned"
    return None


def _author(entry: Mapping[str, Any]) -> str | None:
    name = find(entry, AUTHOR)
    value = entry.get(name) if name else None
    if isinstance(value, Mapping):
        inner = find(value, (*AUTHOR, "name"))
        value = value.get(inner) if inner else None
    return author(value)


def author(value: Any) -> str | None:
    """Who wrote a post: "@name", or a name as it is there, and nothing longer."""
    return handle(value) or (value.strip() or None if isinstance(value, str) and len(value) < 100 else None)


def handle(value: Any) -> str | None:
    """ "@name" if that is what a value holds, and nothing longer."""
    match = _HANDLE.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 100 else None
    return f"@{match[1] or match[2]}" if match else None


def short_id(value: Any) -> Any:
    """The number at the end of a link to a post; anything else as it is."""
    match = _STATUS_LINK.match(value) if isinstance(value, str) else None
    return match[1] if match else value
