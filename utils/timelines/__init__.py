"""Where posts come from: one module a source, each with one function that returns a Timeline.

In: a reference, the one string that a user types or the path of a file. Out: a `Timeline`, the posts
of one author as their readers saw them: escapes and markup of the source are undone. Knows nothing about
cleaning: reposts as `RT @…`, links and @names are still there.
"""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from utils.environment import find_path
from utils.errors import BadFile, BadReference
from utils.events import OnEvent, ignore
from utils.timelines.containers import begins_like_a_zip
from utils.timelines.dates import is_plausible, latest_plausible
from utils.timelines.handles import BLUESKY, MASTODON, Handle, X, other_network, parse

MAXIMUM_POSTS = 1_000_000
"""More than nearly anybody has written; a file with more is something else, or made to fill the memory."""

WORTH_A_REMARK = 0.02
"""The share of unreadable entries from which one should know of it."""


@dataclass(frozen=True, slots=True)
class Post:
    """One post as its readers saw it. `created_at` is in UTC, or None where the source has no date."""

    id: str
    created_at: datetime | None
    text: str


@dataclass(frozen=True)
class Account:
    """Who somebody is on a network, in the network's own words.

    id: the network's own, which stays when the handle changes.
    avatar: the address of a picture. followers, posts: counts, None where the network does not give them.
    notice: what the network or the server asks of those who read posts there; "" for nothing.
    """

    network: str
    id: str
    handle: str
    link: str
    name: str = ""
    avatar: str | None = None
    followers: int | None = None
    posts: int | None = None
    notice: str = ""


@dataclass(frozen=True)
class Fetching:
    """How posts are fetched from a network.

    newest: ask the network for what is newer than what is on the shelf, and fail where it does not answer.
        Otherwise what was fetched within the last hour will do, and so will the shelf where the network is away.
    refresh: fetch everything again.
    limit: no more than so many posts of an account, the newest.
    accept_x_terms: the user has read what fetching from X costs, and what X's terms say.
    x_token: the bearer token for X, "" for none; the one in the environment where it is None. Never shown.
    should_stop: asked again and again; True ends the fetching, and what has come is kept.
    pauses: seconds between tries; those of `network.py` unless given.
    """

    newest: bool = False
    refresh: bool = False
    limit: int | None = None
    accept_x_terms: bool = False
    x_token: str | None = field(default=None, repr=False)
    should_stop: Callable[[], bool] = lambda: False
    pauses: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Timeline:
    """The posts of one author, in the order of the source.

    author: "@handle" where the source names one, else a name made from the file's.
    source: where the posts came from, in words that a person understands.
    left_out: posts that the source held and that are not among these, a count for each of the reasons
        that cleaning counts too, like "edited" and "unreadable".
    remarks: what a reader of the source should know, a sentence each.
    account: who it is, where a network said so.
    """

    author: str
    source: str
    posts: tuple[Post, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    account: Account | None = None

    def newest(self, limit: int | None) -> "Timeline":
        """The same timeline with at most `limit` posts, the newest; posts without a date count as oldest."""
        if limit is None or len(self.posts) <= limit:
            return self
        return replace(self, posts=tuple(sorted(self.posts, key=oldest_first)[-limit:]))


class Collector:
    """Posts while they are read. What is no post is counted instead, and no more are taken than are bearable."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.left_out: Counter[str] = Counter()
        self._implausible, self._latest = 0, latest_plausible()

    def add(self, number: object, created_at: datetime | None, text: object) -> bool:
        """Take one post, and say whether it was taken: what has no text, or has lost some of it, is not.

        number: its id; without one it is numbered. Raises `BadFile` for more than `MAXIMUM_POSTS`.
        """
        if not isinstance(text, str) or "\ufffd" in text:
            self.leave_out("unreadable")
            return False
        self._check_room()
        if created_at and not is_plausible(created_at, self._latest):
            self._implausible += 1
            created_at = None
        is_id = isinstance(number, str | int) and not isinstance(number, bool) and str(number).strip()
        self.posts.append(Post(str(number) if is_id else str(len(self.posts) + 1), created_at, text))
        return True

    def leave_out(self, reason: str) -> None:
        """Count an entry that is no post of the author's. Raises `BadFile` for too many."""
        self._check_room()
        self.left_out[reason] += 1

    def _check_room(self) -> None:
        if len(self.posts) + self.left_out.total() >= MAXIMUM_POSTS:
            raise BadFile(f"There are more than {MAXIMUM_POSTS:,} entries. Give a file of one person's posts.")

    def finished(
        self, author: str, source: str, remarks: Iterable[str] = (), account: Account | None = None
    ) -> Timeline:
        """The timeline of what was taken. Raises `BadFile` where not one post was read."""
        if not self.posts and not self.left_out:
            raise BadFile(f"{source} holds not a single post. Was another file meant?")
        if not self.posts and self.left_out.keys() == {"unreadable"}:
            raise BadFile(
                f"{source} holds nothing with the text of a post (entries without one: "
                f"{self.left_out['unreadable']:,}). Was another file meant?"
            )
        remarks = list(remarks)
        lost = self.left_out["unreadable"]
        if lost > WORTH_A_REMARK * (len(self.posts) + lost):
            remarks.append(f"{lost:,} entries have no text, or lost letters before they came here; they are left out.")
        if self._implausible:
            remarks.append(
                f"{self._implausible:,} posts have dates in the future, or in 1970 or before; they count as undated."
            )
        return Timeline(author, source, tuple(self.posts), dict(self.left_out), tuple(remarks), account)


def oldest_first(post: Post) -> tuple[bool, float]:
    """Sort key: by date, posts without one before all others, in the order in which they came."""
    return (True, post.created_at.timestamp()) if post.created_at else (False, 0.0)


WHAT_IS_READ = (
    "the archive of X, Mastodon or Bluesky as downloaded, its folder, or a file of posts (.csv, .json, .jsonl, .txt)"
)

HANDLES = "@name (X), @name.bsky.social (Bluesky), @name@server (Mastodon)"

WHAT_IT_COSTS = {X: "with your own key; X takes money for each post", BLUESKY: "free to read", MASTODON: "free to read"}

PACKED, SPREADSHEETS = (".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar"), (".xls", ".ods", ".numbers")
"""What the posts may be in, and is not opened here."""

PLAIN_FILES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt")


def authors(references: Sequence[str | Path], apart: bool = False) -> list[list[str | Path]]:
    """The references in groups, a group an author: files and folders given at once are one author's.

    apart: every reference is an author of its own.
    """
    if apart:
        return [[reference] for reference in references]
    groups: list[list[str | Path]] = []
    files: list[str | Path] = []
    for reference in references:
        if find_path(str(reference).strip()):
            if not files:
                groups.append(files)
            files.append(reference)
        else:
            groups.append([reference])
    return groups


def load(reference: str | Path, on_event: OnEvent = ignore, fetching: Fetching = Fetching()) -> Timeline:
    """Find out which source is meant and read the posts there. An existing path always wins.

    Raises `BadReference` where no author can be found, `BadFile` where the file is no good, `NetworkFailed` where a
    network does not give the posts.
    """
    text = str(reference).strip()
    if text and (path := find_path(text)):
        return load_file(path, on_event)
    if text.startswith("sample:"):
        from utils.timelines import samples

        return samples.load(text.removeprefix("sample:"))
    if handle := _handle(text):
        from utils.timelines import fetching as network

        return network.fetch(handle, fetching, on_event)
    raise BadReference(_why_not(text))


def understand(reference: str) -> tuple[bool, str]:
    """Whether a reference leads somewhere, and what it means, in a sentence; nothing is read."""
    from utils.timelines import samples

    text = reference.strip()
    if path := find_path(text):
        if path.is_dir():
            return True, f"The folder {path.resolve().name}"
        size = path.stat().st_size
        return True, f"The file {path.name}, " + (f"{size / 1e6:,.1f} MB" if size > 99_999 else f"{size:,} bytes")
    if (name := text.removeprefix("sample:")) in samples.NAMES and name != text:
        return True, f"A bundled author: {samples.NAMES[name]}"
    if handle := _handle(text):
        return True, f"{handle} on {handle.network}, {WHAT_IT_COSTS[handle.network]}"
    return False, _why_not(text) if not text.startswith("sample:") else f"One of {samples.choices()}"


def load_together(
    references: Sequence[str | Path], on_event: OnEvent = ignore, fetching: Fetching = Fetching()
) -> Timeline:
    """The posts of several references as those of one author. Raises like `load`."""
    return together_as_one([load(reference, on_event, fetching) for reference in references])


def together_as_one(timelines: Sequence[Timeline]) -> Timeline:
    """One timeline of several. It is named after the handles that the sources know, or else after the files."""
    if len(timelines) == 1:
        return timelines[0]
    names = list(dict.fromkeys(timeline.author for timeline in timelines))
    names = [name for name in names if name.startswith("@")] or names
    left_out: Counter[str] = Counter()
    for timeline in timelines:
        left_out.update(timeline.left_out)
    return Timeline(
        author=names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
        source=" and ".join(timeline.source for timeline in timelines[:3])
        + (f" and {len(timelines) - 3} more" if len(timelines) > 3 else ""),
        posts=tuple(post for timeline in timelines for post in timeline.posts),
        left_out=dict(left_out),
        remarks=tuple(dict.fromkeys(remark for timeline in timelines for remark in timeline.remarks)),
    )


def load_file(path: Path, on_event: OnEvent = ignore) -> Timeline:
    """Read the posts of a file or a folder. Raises `BadFile`, and `BadReference` for what is not read at all."""
    suffix = path.suffix.lower()
    if suffix in PLAIN_FILES:
        from utils.timelines import files

        return files.load(path, on_event)
    if suffix == ".car":
        from utils.timelines import exports

        return exports.load_bluesky(path, on_event)
    if path.is_dir() or suffix in (".zip", ".js") or begins_like_a_zip(path):
        from utils.timelines import folders

        return folders.load(path, on_event)
    if suffix in PACKED:
        raise BadReference(f"{path.name} cannot be opened here. Unpack it, and give the folder that comes out.")
    if suffix in SPREADSHEETS:
        raise BadReference(f"{path.name} is a spreadsheet. Save it as .csv, with a column “text”, and give that.")
    raise BadReference(f"{path.name} is not a kind of file that is read here; that is {WHAT_IS_READ}.")


def _handle(text: str) -> Handle | None:
    return None if other_network(text) else parse(text)


def _why_not(text: str) -> str:
    from utils.timelines import samples

    text = text if len(text) <= 80 else text[:79] + "…"
    if not text:
        return f"No author was given. Expected {WHAT_IS_READ}, or {samples.choices()}."
    if network := other_network(text):
        return f"Posts on {network} cannot be read here. Read are handles of {HANDLES}, and {WHAT_IS_READ}."
    if re.match(r"[@＠]|https?://|at://|did:", text):
        return f"{text} is no handle and no link to a profile. Expected one like {HANDLES}; or {samples.choices()}."
    if "/" not in text and parse(f"@{text}") and not text.lower().endswith(PLAIN_FILES):
        on = parse(f"@{text}").network
        close = difflib.get_close_matches(text.lower(), samples.NAMES, n=1)
        hint = f"Did you mean sample:{close[0]}?" if close else f"Did you mean @{text}, on {on}?"
        return f"'{text}' is neither a file nor an author that is known here. {hint}"
    if Path(text).suffix or "/" in text or "\\" in text:
        return f"There is no file {text}. Expected {WHAT_IS_READ}, or {samples.choices()}."
    expected = f"Expected a handle, {WHAT_IS_READ}, or {samples.choices()}."
    return f"'{text}' is neither a file nor an author that is known here. {expected}"
