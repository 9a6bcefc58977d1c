"""Posts from the archive that X lets everybody download from their own account.

In: the path of the `.zip`, in its current form. Out: the owner's Timeline. Only `data/manifest.js`,
`data/tweets.js` and `data/tweets-partN.js` are opened, inside the zip; messages, likes and everything
else private stay unread, and nothing is unpacked to disk.
"""

import json
import lzma
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

from utils.errors import BadFile
from utils.timelines import Post, Timeline, parse_date

MAXIMUM_BYTES = 1 << 30
"""A member that unpacks to more than this is refused: 200,000 long posts are a third of it."""

_POSTS = re.compile(r"(?:(?!\.)[^/]+/)?data/tweets(?:-part\d{1,6})?\.js")
_HANDLE = re.compile(r"\w{1,50}")
_MANIFEST = re.compile(r"(?:[^/]+/)?data/manifest\.js")


def load(path: Path) -> Timeline:
    """Read the posts of an archive. Raises `BadFile` where the zip is no archive or not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in dict.fromkeys(archive.namelist()) if _POSTS.fullmatch(name)]
            if not members:
                raise BadFile(
                    f"{path.name} holds no posts: an X archive has a file data/tweets.js, and this zip has none. "
                    "Was another download meant?"
                )
            entries = [entry for name in sorted(members, key=_part) for entry in _entries(archive, name)]
            author = _owner(archive) or path.stem
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError) as error:
        raise BadFile(
            f"{path.name} is not a whole zip file ({error}); the download may have broken off. Download it again."
        ) from error
    except RuntimeError as error:
        raise BadFile(
            f"{path.name} cannot be opened: {error}. An archive as X hands it out has no password."
        ) from error
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}.") from error
    posts = tuple(_post(entry, path.name) for entry in entries)
    if not posts:
        raise BadFile(f"{path.name} is an archive without a single post.")
    return Timeline(author=author, source=f"X archive {path.name}", posts=posts)


def _part(name: str) -> tuple[int, str]:
    """`tweets.js` comes before `tweets-part1.js`, and part 2 before part 10."""
    number = re.search(r"-part(\d+)", name)
    return (int(number[1]) if number else 0, name)


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    """The value in `window.YTD.tweets.part0 = <JSON>`; the part before the equals sign is not looked at."""
    with archive.open(name) as member:
        content = member.read(MAXIMUM_BYTES + 1)
    if len(content) > MAXIMUM_BYTES:
        raise BadFile(f"{name} in the archive unpacks to more than {MAXIMUM_BYTES >> 20} MB; that is no file of posts.")
    try:
        text = content.decode("utf-8-sig")
        return json.loads(text[text.index("=") + 1 :])
    except (ValueError, RecursionError):
        raise BadFile(f"{name} in the archive is damaged or cut off. Download the archive again.") from None


def _entries(archive: zipfile.ZipFile, name: str) -> list[Any]:
    entries = _read(archive, name)
    if not isinstance(entries, list):
        raise BadFile(f"{name} in the archive holds no list of posts. Was another download meant?")
    return entries


def _owner(archive: zipfile.ZipFile) -> str | None:
    name = next((name for name in archive.namelist() if _MANIFEST.fullmatch(name)), None)
    try:
        handle = _read(archive, name)["userInfo"]["userName"] if name else ""
        return f"@{handle}" if _HANDLE.fullmatch(handle) else None
    except (BadFile, LookupError, TypeError):
        return None  # the name is a courtesy; the posts are what matters


def _post(entry: Any, archive_name: str) -> Post:
    tweet = entry.get("tweet", entry) if isinstance(entry, dict) else {}
    text = tweet.get("full_text", tweet.get("text")) if isinstance(tweet, dict) else None
    if not isinstance(text, str):
        raise BadFile(f"{archive_name} has a post without text. Download the archive again.")
    return Post(str(tweet.get("id_str") or tweet.get("id") or ""), parse_date(tweet.get("created_at")), text)
