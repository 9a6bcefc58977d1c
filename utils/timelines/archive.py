"""Posts from the archive that X lets everybody download from their own account, in all its forms.

In: the path of the `.zip` as downloaded, of its unpacked folder, or of `tweets.js` alone. Out: the
owner's Timeline. Only the members with posts, the manifest and the owner's public name are opened, where
they are; messages, likes, deleted posts and everything else private stay unread, and nothing is
unpacked to disk.

What the forms have in common was measured on real archives: reposts show only as `RT @…`; the order is
none; text is HTML-escaped, numbers are strings; every version of an edited post is there; a post of more
than 280 characters is cut off, and whole in `note-tweet.js` under another id.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from utils.errors import BadFile
from utils.events import OnEvent, ignore
from utils.timelines import Collector, Post, Timeline, json_values, tables
from utils.timelines.containers import Container, opened
from utils.timelines.dates import parse_date
from utils.timelines.markup import unescape, unescape_if_escaped

_FOLDER = r"(?:(?!\.|__)[^/]+/)?(?:data/)?"
_POSTS = re.compile(_FOLDER + r"tweets?(?:-part\d{1,6})?\.js")
_NOTES = re.compile(_FOLDER + r"note-tweets?(?:-part\d{1,6})?\.js")
_MANIFEST = re.compile(_FOLDER + r"manifest\.js")
# The archives of 2012 to 2018: a script a month, the same posts once more as a table, and the owner.
_MONTHS = re.compile(r"(?:[^/]+/)?data/js/tweets/\d{4}_\d{2}\.js")
_TABLE = re.compile(r"(?:[^/]+/)?tweets\.csv")
_USER = re.compile(r"(?:[^/]+/)?data/js/user_details\.js")

_LISTED = re.compile(r"data/[\w-]+\.js")
"""What a manifest may name: a script beside it, and nothing above it."""

_SCRIPT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:window\.YTD\.tweets?\.part\d+|Grailbird\.data\.tweets_\w+)\s*=")

_HANDLE = re.compile(r"\w{1,50}")

NOTE_WITHIN = timedelta(hours=1)
"""A long post and its full text are stored within a second of each other; an edit, within the hour that X allows."""

_CUT_OFF = re.compile(r"…\s*https?://t\.co/\w+\s*\Z")
_OPENING_MENTIONS = re.compile(r"\A(?:\s*@\w+)+\s*")
SHORTEST_PREFIX = 20
"""Characters that a cut-off post and its full text share at least; those of X share about 250."""
MOST_ALIKE = 1000
"""Full texts with the same beginning among which the one with the nearest date is looked for."""


def is_archive(container: Container) -> bool:
    """Whether this is an archive of X: some member has the name of one with posts."""
    return any(_POSTS.fullmatch(name) or _MONTHS.fullmatch(name) for name in container.names) or (
        any(_TABLE.fullmatch(name) for name in container.names) and any(map(_USER.fullmatch, container.names))
    )


def load(path: Path, on_event: OnEvent = ignore) -> Timeline:
    """Read the posts of an archive. Raises `BadFile` where it is no archive, not whole, or empty."""
    with opened(path, on_event) as container:
        return read(container)


def read(container: Container) -> Timeline:
    """Read the posts of an archive that is open. Raises `BadFile`."""
    manifest, base = _manifest(container)
    names = _members(container, manifest, base, ("tweets", "tweet"), _POSTS)
    notes = _members(container, manifest, base, ("noteTweet", "note-tweet"), _NOTES)
    remarks = _missing(container, manifest, base)
    names = names or sorted(filter(_MONTHS.fullmatch, container.names)) or _single_script(container)
    posts = _Collected()
    for name in names:
        with container.open(name) as stream:
            posts.add_all(json_values.entries(stream, _called(name, container)))
    if not names:
        for name in filter(_TABLE.fullmatch, container.names):
            with container.open(name) as stream:
                posts.add_all(tables.rows_as_dicts(stream))
    full_texts = []
    for name in notes:
        with container.open(name) as stream:
            full_texts += json_values.entries(stream, _called(name, container))
    source = container.name if container.path.suffix == ".js" else f"X archive {container.name}"
    return posts.timeline(_owner(container, manifest) or container.path.stem, source, full_texts, remarks)


def from_lists(tweets: Iterable[Any], notes: Iterable[Any], author: str, source: str) -> Timeline:
    """The same from entries that are already read, as the Community Archive's file a user holds them."""
    posts = _Collected()
    posts.add_all(tweets)
    return posts.timeline(author, source, list(notes), [])


def _manifest(container: Container) -> tuple[dict, str]:
    """The manifest, {} where there is none to be read, and the folder above `data/` that it lies in."""
    for name in filter(_MANIFEST.fullmatch, container.names):
        try:
            with container.open(name) as stream:
                manifest = json_values.whole(stream, name)
        except BadFile:
            continue  # the members have names that say enough
        if isinstance(manifest, dict):
            return manifest, name.removesuffix("manifest.js").removesuffix("data/")
    return {}, ""


def _listed(manifest: dict, base: str, kinds: Sequence[str]) -> list[str]:
    """The members that the manifest names for these kinds of data, as far as they lie where they should."""
    listed = []
    for kind in kinds:
        try:
            files = [file["fileName"] for file in manifest["dataTypes"][kind]["files"]]
        except (LookupError, TypeError):
            continue
        listed += [base + file for file in files if isinstance(file, str) and _LISTED.fullmatch(file)]
    return listed


def _members(container: Container, manifest: dict, base: str, kinds: Sequence[str], usual: re.Pattern) -> list[str]:
    """The members of some kind: those that the manifest lists, else those with the usual names."""
    there = set(container.names)
    listed = [name for name in dict.fromkeys(_listed(manifest, base, kinds)) if name in there]
    return sorted(listed or filter(usual.fullmatch, container.names), key=_part)


def _missing(container: Container, manifest: dict, base: str) -> list[str]:
    there = set(container.names)
    missing = [name for name in _listed(manifest, base, ("tweets", "tweet")) if name not in there]
    if not missing:
        return []
    names = ", ".join(name.rpartition("/")[2] for name in missing)
    return [f"{container.name} lists {names}, which is not in it; the posts there are missing."]


def _single_script(container: Container) -> list[str]:
    """The one file that was given, under any name, if it says of itself that it holds posts."""
    if container.path.suffix.lower() != ".js":
        return []
    with container.open(container.path.name) as stream:
        if not _SCRIPT.match(stream.peek(100)):
            raise BadFile(f"{container.name} is not the file of posts in an archive of X; that is tweets.js.")
    return container.names


def _part(name: str) -> tuple[int, str]:
    """`tweets.js` comes before `tweets-part1.js`, and part 2 before part 10."""
    number = re.search(r"-part(\d+)", name)
    return (int(number[1]) if number else 0, name)


def _called(name: str, container: Container) -> str:
    return name if len(container.names) == 1 else f"{name} in {container.name}"


def _owner(container: Container, manifest: dict) -> str | None:
    """The owner's handle: what the manifest says, or, in the oldest archives, the file for just that."""
    details = [manifest.get("userInfo")]
    for name in filter(_USER.fullmatch, container.names):
        try:
            with container.open(name) as stream:
                details.append(json_values.whole(stream, name))
        except BadFile:
            continue  # the name is a courtesy; the posts are what matters
    for found in details:
        for key in ("userName", "screen_name"):
            handle = found.get(key) if isinstance(found, dict) else None
            if isinstance(handle, str) and _HANDLE.fullmatch(handle):
                return f"@{handle}"
    return None


@dataclass(frozen=True)
class _Note:
    """The full text of a long post."""

    text: str
    date: Any


class _Collected(Collector):
    """The posts of an archive while it is read, and which of them are versions of one."""

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[str, tuple[str, ...]] = {}

    def add_all(self, entries: Iterable[Any]) -> None:
        for entry in entries:
            tweet = entry.get("tweet", entry) if isinstance(entry, dict) else None
            tweet = tweet if isinstance(tweet, dict) else {}
            text = tweet.get("full_text", tweet.get("text"))
            number = tweet.get("id_str") or tweet.get("id") or tweet.get("tweet_id")
            date = parse_date(tweet.get("created_at", tweet.get("timestamp")))
            added = self.add(number, date, unescape(text) if isinstance(text, str) else text)
            if added and len(versions := _versions(tweet)) > 1:
                self._versions[self.posts[-1].id] = versions

    def timeline(self, author: str, source: str, notes: list[Any], remarks: list[str]) -> Timeline:
        """All that was collected. Raises `BadFile` where not one post was."""
        if outdated := self._outdated():
            current = [post for post in self.posts if post.id not in outdated]
            self.left_out["edited"] += len(self.posts) - len(current)
            self.posts = current
        if notes:
            _lengthen(self.posts, notes)
        return self.finished(author, source, remarks)

    def _outdated(self) -> set[str]:
        """Ids of versions of which a later one is there; the order of `editTweetIds` says which is later."""
        there = {post.id for post in self.posts} if self._versions else set()
        outdated: set[str] = set()
        for own, ids in self._versions.items():
            present = [number for number in ids if number in there]
            if present and own in present:
                outdated.update(present[:-1])
        return outdated


def _versions(tweet: dict) -> tuple[str, ...]:
    """The ids of all versions of a post, first to last; X keeps them at different places."""
    places = [tweet.get("edit_info")]
    while places:
        place = places.pop()
        if not isinstance(place, dict):
            continue
        ids = place.get("editTweetIds")
        if isinstance(ids, list):
            return tuple(str(number) for number in ids)
        places += [place.get(key) for key in ("initial", "edit", "editControlInitial")]
    return ()


def _lengthen(posts: list[Post], entries: list[Any]) -> None:
    """Put the full text in the place of each post that is cut off, where one fits by its beginning and date."""
    notes = _notes(entries)
    beginnings = [_comparable(note.text) for note in notes]
    order = sorted(range(len(notes)), key=beginnings.__getitem__)
    ordered = [beginnings[index] for index in order]
    for index, post in enumerate(posts):
        if "…" not in post.text or not (cut := _CUT_OFF.search(post.text)):
            continue
        beginning = _comparable(post.text[: cut.start()])
        fitting = []
        first = bisect_left(ordered, beginning)
        for position in range(first, min(first + MOST_ALIKE, len(ordered))):
            if len(beginning) < SHORTEST_PREFIX or not ordered[position].startswith(beginning):
                break
            fitting.append(notes[order[position]])
        if note := _closest(post, fitting):
            posts[index] = replace(post, text=note.text)


def _comparable(text: str) -> str:
    """The beginning of a text as both of its copies have it: up to a link, which is written differently."""
    text = _OPENING_MENTIONS.sub("", text).partition("http")[0]
    return " ".join(text.split())


def _closest(post: Post, notes: Sequence[_Note]) -> _Note | None:
    """The note whose date is nearest to the post's, if that is near enough; undated ones fit in need."""
    dated = [note for note in notes if note.date and post.created_at]
    best = min(dated, key=lambda note: abs(note.date - post.created_at), default=None)
    if best and abs(best.date - post.created_at) <= NOTE_WITHIN:
        return best
    return next((note for note in notes if not (note.date and post.created_at)), None)


def _notes(entries: Iterable[Any]) -> list[_Note]:
    found = []
    for entry in entries:
        note = entry.get("noteTweet", entry) if isinstance(entry, dict) else None
        if not isinstance(note, dict):
            continue
        core = note.get("core", note.get("noteTweetResults", note))
        text = core.get("text") if isinstance(core, dict) else None
        if isinstance(text, str):
            found.append(_Note(text, parse_date(note.get("createdAt"))))
    texts = unescape_if_escaped([note.text for note in found])
    return [replace(note, text=text) for note, text in zip(found, texts, strict=True)]
