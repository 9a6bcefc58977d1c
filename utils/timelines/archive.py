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
from itertools import islice
from typing import Any

from utils.errors import BadFile
from utils.settings import MAXIMUM_CHARACTERS
from utils.timelines import Collector, Post, Timeline, json_values, tables
from utils.timelines.containers import Container
from utils.timelines.dates import parse_date
from utils.timelines.markup import unescape, unescape_if_escaped

# The first group is the folder, if any, in which an archive lies; JavaScript reads these expressions too.
_FOLDER = r"((?:(?!\.|__|data/)[^/]+/){0,3})"
_POSTS = re.compile(_FOLDER + r"(?:data/)?tweets?(?:-part\d{1,6})?\.js")
_NOTES = re.compile(_FOLDER + r"(?:data/)?note-tweets?(?:-part\d{1,6})?\.js")
_MANIFEST = re.compile(_FOLDER + r"(?:data/)?manifest\.js")
# The archives of 2012 to 2018: a script a month, the same posts once more as a table, and the owner.
_MONTHS = re.compile(_FOLDER + r"data/js/tweets/\d{4}_\d{2}\.js")
_TABLE = re.compile(_FOLDER + r"tweets\.csv")
_USER = re.compile(_FOLDER + r"data/js/user_details\.js")

MEMBERS = (_POSTS, _NOTES, _MANIFEST, _MONTHS, _TABLE, _USER)
"""Names of all members that are ever opened."""

_LISTED = re.compile(r"data/(?!deleted|direct|like|personal|ad-)[\w-]+\.js")
"""What a manifest may name: a script beside it, nothing above it, and nothing that is known to be private."""

_SCRIPT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:window\.YTD\.tweets?\.part\d+|Grailbird\.data\.tweets_\w+)\s*=")

_OTHER_SCRIPT = re.compile(rb"(?:\xef\xbb\xbf)?\s*window\.YTD\.(?!tweets?\.)")
LARGEST_MANIFEST = 1 << 24
"""Bytes; a real one has some tens of thousands."""
MOST_VERSIONS = 100
"""Of one post; X allows five edits."""
MOST_NOTES = 200_000

_HANDLE = re.compile(r"\w{1,50}")

NOTE_WITHIN = timedelta(hours=1)
"""A long post and its full text are stored within a second of each other; an edit, within the hour that X allows."""

_CUT_OFF = re.compile(r"…\s*https?://t\.co/\w+\s*\Z")
_LINK = re.compile(r"https?://\S+")
_OPENING_MENTIONS = re.compile(r"\A(?:\s*@\w+)+\s*")
SHORTEST_PREFIX = 20
"""Characters that a cut-off post and its full text share at least; those of X share about 250."""
MOST_ALIKE = 1000
"""Full texts with the same beginning among which the one with the nearest date is looked for."""


def folders(container: Container) -> list[str]:
    """The folders in a container in which an archive of X lies, "" for the container itself."""
    found = {match[1]: None for name in container.names for pattern in (_POSTS, _MONTHS)
             if (match := pattern.fullmatch(name))}  # fmt: skip
    tables_in = {match[1] for name in container.names if (match := _TABLE.fullmatch(name))}
    users_in = {match[1] for name in container.names if (match := _USER.fullmatch(name))}
    return list(found | dict.fromkeys(sorted(tables_in & users_in)))


def read(container: Container, folder: str = "") -> Timeline:
    """Read the posts of an archive in a container that is open. Raises `BadFile` where they are not whole."""
    manifest = _manifest(container, folder)
    names = _members(container, manifest, folder, ("tweets", "tweet"), _POSTS)
    names = names or sorted(_usual(container, _MONTHS, folder)) or _single_script(container)
    remarks = _missing(container, manifest, folder)
    posts = _Collected()
    for name in names:
        with container.open(name) as stream:
            if _OTHER_SCRIPT.match(stream.peek(100)):
                raise BadFile(
                    f"{_called(name, container)} is not the file of posts in an archive of X; that is tweets.js."
                )
            posts.add_all(json_values.entries(stream, _called(name, container)))
    if not names:
        for name in _usual(container, _TABLE, folder):
            with container.open(name) as stream:
                posts.add_all(tables.rows_as_dicts(stream, _called(name, container)))
    notes: list[_Note] = []
    for name in _members(container, manifest, folder, ("noteTweet", "note-tweet"), _NOTES):
        try:
            with container.open(name) as stream:
                notes += _notes(json_values.entries(stream, _called(name, container)))
        except BadFile as error:
            remarks.append(f"Long posts stay as X cut them off: {error}")
    source = container.name if container.path.suffix == ".js" else f"X archive {folder.rstrip('/') or container.name}"
    name = folder.rstrip("/").rpartition("/")[2] if folder and container.path.is_dir() else container.stem
    return posts.timeline(_owner(container, manifest, folder) or name, source, notes, remarks)


def from_lists(tweets: Iterable[Any], notes: Iterable[Any], author: str, source: str) -> Timeline:
    """The same from entries that are already read, as the Community Archive's file a user holds them."""
    posts = _Collected()
    posts.add_all(tweets)
    return posts.timeline(author, source, _notes(notes), [])


def _usual(container: Container, pattern: re.Pattern, folder: str) -> list[str]:
    """The members in a folder whose names say what they are."""
    return [name for name in container.names if (match := pattern.fullmatch(name)) and match[1] == folder]


def _manifest(container: Container, folder: str) -> dict:
    """The manifest, {} where there is none to be read: the members have names that say enough."""
    for name in _usual(container, _MANIFEST, folder):
        try:
            with container.open(name) as stream:
                manifest = json_values.whole(stream, name, LARGEST_MANIFEST)
        except BadFile:
            continue
        if isinstance(manifest, dict):
            return manifest
    return {}


def _listed(container: Container, manifest: dict, folder: str, kinds: Sequence[str]) -> list[str]:
    """The members that the manifest names for these kinds of data, as far as they lie where they should."""
    listed = []
    for kind in kinds:
        try:
            files = [file["fileName"] for file in manifest["dataTypes"][kind]["files"]]
        except (LookupError, TypeError):
            continue
        listed += [folder + file for file in files if isinstance(file, str) and _LISTED.fullmatch(file)]
    if container.path.is_dir() and f"{folder}manifest.js" in container.names:  # the archive's `data` alone
        listed = [folder + name.removeprefix(f"{folder}data/") for name in listed]
    return listed


def _members(container: Container, manifest: dict, folder: str, kinds: Sequence[str], usual: re.Pattern) -> list[str]:
    """The members of some kind: those that the manifest lists, else those with the usual names."""
    there = set(container.names)
    listed = [name for name in dict.fromkeys(_listed(container, manifest, folder, kinds)) if name in there]
    return sorted(listed or _usual(container, usual, folder), key=_part)


def _missing(container: Container, manifest: dict, folder: str) -> list[str]:
    there = set(container.names)
    missing = [name for name in _listed(container, manifest, folder, ("tweets", "tweet")) if name not in there]
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


def _owner(container: Container, manifest: dict, folder: str) -> str | None:
    """The owner's handle: what the manifest says, or, in the oldest archives, the file for just that."""
    details = [manifest.get("userInfo")]
    for name in _usual(container, _USER, folder):
        try:
            with container.open(name) as stream:
                details.append(json_values.whole(stream, name, LARGEST_MANIFEST))
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
            if isinstance(tweet.get("retweeted_status"), dict):
                self.leave_out("reposts")
                continue
            text = tweet.get("full_text", tweet.get("text"))
            number = tweet.get("id_str") or tweet.get("id") or tweet.get("tweet_id")
            date = parse_date(tweet.get("created_at", tweet.get("timestamp")))
            added = self.add(number, date, unescape(text) if isinstance(text, str) else text)
            if added and len(versions := _versions(tweet)) > 1:
                self._versions[self.posts[-1].id] = versions

    def timeline(self, author: str, source: str, notes: list[_Note], remarks: list[str]) -> Timeline:
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
            return tuple(str(number) for number in ids[:MOST_VERSIONS])
        places += [place.get(key) for key in ("initial", "edit", "editControlInitial")]
    return ()


def _lengthen(posts: list[Post], notes: list[_Note]) -> None:
    """Put the full text in the place of each post that is cut off, where one fits by its beginning and date."""
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
    """The text as both of its copies have it: links are written differently, names may be missing in front."""
    return " ".join(_LINK.sub("\0", _OPENING_MENTIONS.sub("", text)).split())


def _closest(post: Post, notes: Sequence[_Note]) -> _Note | None:
    """The note whose date is nearest to the post's, if that is near enough; undated ones fit in need."""
    dated = [note for note in notes if note.date and post.created_at]
    best = min(dated, key=lambda note: abs(note.date - post.created_at), default=None)
    if best and abs(best.date - post.created_at) <= NOTE_WITHIN:
        return best
    return next((note for note in notes if not (note.date and post.created_at)), None)


def _notes(entries: Iterable[Any]) -> list[_Note]:
    """The full texts among the entries of `note-tweet.js`, without what is too long to be any."""
    found: list[_Note] = []
    for entry in islice(entries, MOST_NOTES):
        note = entry.get("noteTweet", entry) if isinstance(entry, dict) else None
        if not isinstance(note, dict):
            continue
        core = note.get("core", note.get("noteTweetResults", note))
        text = core.get("text") if isinstance(core, dict) else None
        if isinstance(text, str) and len(text) <= 2 * MAXIMUM_CHARACTERS:
            found.append(_Note(text, parse_date(note.get("createdAt"))))
    texts = unescape_if_escaped([note.text for note in found])
    return [replace(note, text=text) for note, text in zip(found, texts, strict=True)]
