"""Posts from a plain file.

In: the path of a `.jsonl` file, an object `{"id", "created_at", "text"}` a line. Out: a Timeline named
after the file. Only `text` is needed; an id that is missing is the line's number, a date that is missing
is None. Knows nothing about archives, which are several files in one.
"""

import json
from pathlib import Path

from utils.errors import BadFile
from utils.timelines import Post, Timeline, parse_date


def load(path: Path) -> Timeline:
    """Read a file of JSON Lines in UTF-8. Raises `BadFile`, which names the line at fault."""
    posts = []
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    posts.append(_post(line, number, path.name))
    except UnicodeDecodeError:
        raise BadFile(f"{path.name} is not text in UTF-8; save it in that encoding and try again.") from None
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}.") from error
    if not posts:
        raise BadFile(f'{path.name} is empty; expected lines like {{"text": "…"}}, one post each.')
    return Timeline(author=path.stem, source=path.name, posts=tuple(posts))


def _post(line: str, number: int, name: str) -> Post:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise BadFile(
            f"{name} is damaged or cut off: line {number} is not a whole JSON object. Save or download the file again."
        ) from None
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise BadFile(
            f'{name} is not a file of posts: line {number} has no "text"; '
            'expected lines like {"id": "1", "created_at": "2026-03-06T13:02:05Z", "text": "…"}.'
        )
    return Post(str(entry.get("id") or number), parse_date(entry.get("created_at")), entry["text"])
