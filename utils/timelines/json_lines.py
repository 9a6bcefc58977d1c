"""Posts to a file, in the form that is read back as it is.

In: Timelines. Out: a `.jsonl` file, an object a line. Knows nothing about where the posts came from.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from utils.errors import BadFile
from utils.timelines import Post, Timeline


def write_json_lines(path: Path, timelines: Iterable[Timeline]) -> None:
    """Write posts in the form that `load` reads back: whole, or not at all. Raises `BadFile`.

    Each line says that its text is plain: `&lt;` in it is what the author wrote, not an escape.
    """
    path = checked_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            whole = Path(scratch) / path.name
            with open(whole, "w", encoding="utf-8") as file:
                file.writelines(as_json(post) + "\n" for timeline in timelines for post in timeline.posts)
            whole.replace(path)
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror}. Choose another --out file.") from error


def checked_path(path: Path) -> Path:
    """The file that is meant. Raises `BadFile` where posts cannot be written there, as far as one can know before."""
    if path.suffix.lower() != ".jsonl":
        raise BadFile(f"{path} is not named .jsonl, which is the form that posts are written in. Choose another --out.")
    path = path.expanduser().resolve()
    if path.exists() and not path.is_file():
        raise BadFile(f"{path} is not a file. Choose another --out file.")
    return path


def as_json(post: Post, **more: str) -> str:
    """A post as one line of JSON, and whatever more is to be told of it."""
    created_at = post.created_at.isoformat().replace("+00:00", "Z") if post.created_at else None
    entry = {"id": post.id, "created_at": created_at, "text": post.text, "plain": True, **more}
    line = json.dumps(entry, ensure_ascii=False)
    # Half a surrogate pair, which JSON can carry and UTF-8 cannot, is written as an escape.
    return json.dumps(entry) if any("\ud800" <= letter <= "\udfff" for letter in line) else line
