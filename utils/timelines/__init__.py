"""Where posts come from: one module a source, each with one function that returns a Timeline.

In: a reference, the one string that a user types or the path of a file. Out: a `Timeline`, the posts
of one author as the source holds them. Knows nothing about cleaning: reposts, links and HTML escapes
are still there.
"""

import difflib
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from utils.environment import find_path
from utils.errors import BadFile, BadReference


@dataclass(frozen=True)
class Post:
    """One post as its network hands it out. `created_at` is in UTC, or None where the source has no date."""

    id: str
    created_at: datetime | None
    text: str


@dataclass(frozen=True)
class Timeline:
    """The posts of one author, in the order of the source.

    author: "@handle" where the source names one, else a name made from the file's.
    source: where the posts came from, in words that a person understands.
    """

    author: str
    source: str
    posts: tuple[Post, ...]

    def newest(self, limit: int | None) -> "Timeline":
        """The same timeline with at most `limit` posts, the newest; posts without a date count as oldest."""
        if limit is None or len(self.posts) <= limit:
            return self
        return replace(self, posts=tuple(sorted(self.posts, key=oldest_first)[-limit:]))


def oldest_first(post: Post) -> tuple[bool, float]:
    """Sort key: by date, posts without one before all others, in the order in which they came."""
    return (True, post.created_at.timestamp()) if post.created_at else (False, 0.0)


def write_json_lines(path: Path, timelines: Iterable[Timeline]) -> None:
    """Write posts in the form that `load` reads back: whole, or not at all. Raises `BadFile`."""
    if path.suffix.lower() != ".jsonl":
        raise BadFile(f"{path} is not named .jsonl, which is the form that posts are written in. Choose another --out.")
    path = path.expanduser().resolve()
    if path.exists() and not path.is_file():
        raise BadFile(f"{path} is not a file. Choose another --out file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            whole = Path(scratch) / path.name
            with open(whole, "w", encoding="utf-8") as file:
                file.writelines(_as_json(post) + "\n" for timeline in timelines for post in timeline.posts)
            whole.replace(path)
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror}. Choose another --out file.") from error


def _as_json(post: Post) -> str:
    created_at = post.created_at.isoformat().replace("+00:00", "Z") if post.created_at else None
    entry = {"id": post.id, "created_at": created_at, "text": post.text}
    line = json.dumps(entry, ensure_ascii=False)
    # Half a surrogate pair, which JSON can carry and UTF-8 cannot, is written as an escape.
    return json.dumps(entry) if any("\ud800" <= letter <= "\udfff" for letter in line) else line


WHAT_IS_READ = "an X archive (.zip) or posts as JSON Lines (.jsonl)"


def load(reference: str | Path) -> Timeline:
    """Find out which source is meant and read the posts there. An existing path always wins.

    Raises `BadReference` where no author can be found, `BadFile` where the file is no good.
    """
    text = str(reference).strip()
    if text and (path := find_path(text)):
        return _load_file(path)
    if text.startswith("sample:"):
        from utils.timelines import samples

        return samples.load(text.removeprefix("sample:"))
    raise BadReference(_why_not(text))


def _load_file(path: Path) -> Timeline:
    if path.is_dir():
        raise BadReference(f"{path} is a folder; what is read is a file: {WHAT_IS_READ}.")
    if path.suffix.lower() == ".zip":
        from utils.timelines import archive

        return archive.load(path)
    if path.suffix.lower() == ".jsonl":
        from utils.timelines import files

        return files.load(path)
    raise BadReference(f"{path.name} is not a kind of file that is read here; that is {WHAT_IS_READ}.")


def _why_not(text: str) -> str:
    from utils.timelines import samples

    text = text if len(text) <= 80 else text[:79] + "…"
    if not text:
        return f"No author was given. Expected {WHAT_IS_READ}, or {samples.choices()}."
    if re.match(r"@|https?://", text):
        return (
            f"{text} is on a network, and posts cannot be fetched by handle here. "
            f"Download the account's archive and give its .zip, or try {samples.choices()}."
        )
    if Path(text).suffix or "/" in text or "\\" in text:
        return f"There is no file {text}. Expected {WHAT_IS_READ}, or {samples.choices()}."
    close = difflib.get_close_matches(text.lower(), samples.NAMES, n=1)
    hint = f"Did you mean sample:{close[0]}?" if close else f"Expected {WHAT_IS_READ}, or {samples.choices()}."
    return f"'{text}' is neither a file nor an author that is known here. {hint}"


_X_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_X_DATE = re.compile(r"\w{3} (\w{3}) (\d\d) (\d\d):(\d\d):(\d\d) \+0000 (\d{4})")


def parse_date(value: object) -> datetime | None:
    """A date as networks write it, in UTC: ISO 8601, or X's `Fri Mar 06 13:02:05 +0000 2026`.

    Anything else is None: a post whose date cannot be read is still a post.
    """
    if not isinstance(value, str):
        return None
    try:
        if match := _X_DATE.fullmatch(value):
            month, *numbers, year = match.groups()
            return datetime(int(year), _X_MONTHS.index(month) + 1, *map(int, numbers), tzinfo=UTC)
        date = datetime.fromisoformat(value)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
