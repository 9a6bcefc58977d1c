"""Zips and folders: all the archives in them and the files of posts that lie beside, as one author's.

In: the path of a zip or a folder. Out: a Timeline. Knows nothing about what is in an archive or a file;
`archive.py`, `exports.py` and `files.py` do.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from utils.errors import BadFile, BadReference, UserError
from utils.events import OnEvent, ignore
from utils.timelines import PLAIN_FILES, WHAT_IS_READ, Timeline, archive, exports, load_file, together_as_one
from utils.timelines.containers import opened

MOST_FILES = 1000
"""Files of one folder that are read as one author's."""

_PRIVATE = re.compile(r"(?i)(^|[^a-z])(messages?|chats?|chat_history|dms?|direct|inbox|mails?)([^a-z]|$)")
"""Names of files that hold what was written to one person. Nobody who gives a folder means these."""

_ABOUT = re.compile(r"(?i)(read.?me|licen[cs]e|requirements)\b.*\.txt")
"""Names of files about other files. X itself puts a README.txt into its archives."""

REDDIT = {"comments.csv", "posts.csv"}
"""In a download from Reddit, what its owner wrote; everything else is about other things."""

OTHER_DOWNLOADS = {
    "your_instagram_activity": "Instagram",
    "your_facebook_activity": "Facebook",
    "Takeout": "Google",
    "Reddit": "Reddit",
}
"""What the folders are called in the downloads of networks that are not read here."""


def load(path: Path, on_event: OnEvent = ignore) -> Timeline:
    """All archives in a zip or a folder, and the files of posts that lie in a folder, as one author's.

    Raises `BadFile` for a zip without posts, `BadReference` for a folder without.
    """
    timelines: list[Timeline] = []
    with opened(path, on_event) as container:
        if path.suffix.lower() == ".js" and not path.is_dir():
            return archive.read(container)
        folders, outboxes, names = archive.folders(container), exports.outboxes(container), container.names
        timelines += [archive.read(container, folder) for folder in folders]
        timelines += [exports.read_mastodon(container, outbox) for outbox in outboxes]
    remarks: list[str] = []
    if path.is_dir():
        claimed = exports.BESIDE if "outbox.json" in outboxes else ("tweets.csv",) if "" in folders else ()
        found, remarks = _load_files(path, claimed, on_event)
        timelines += found
    if timelines:
        together = together_as_one(timelines)
        if len(timelines) > 1:
            together = replace(together, source=f"{'folder' if path.is_dir() else 'zip'} {path.resolve().name}")
        return replace(together, remarks=(*together.remarks, *remarks))
    if path.is_dir():
        raise BadReference(" ".join([f"{path} is a folder without posts; what is read is {WHAT_IS_READ}.", *remarks]))
    raise BadFile(_no_posts(path.name, names))


def _no_posts(name: str, names: Sequence[str]) -> str:
    if inner := next((inner for inner in names if inner.lower().endswith(".zip")), None):
        return f"{name} holds another zip, {inner}. Unpack it, and give the inner one."
    if "[Content_Types].xml" in names:
        return f"{name} is a spreadsheet or another document. Save it as .csv, with a column “text”, and give that."
    tables = (inner for inner in names if inner.lower().endswith((".csv", ".tsv", ".jsonl", ".ndjson", ".car")))
    if (inner := next(tables, None)) and not any(folder in inner for folder in OTHER_DOWNLOADS):
        return f"{name} is no archive that is known here, but holds {inner}. Unpack it, and give that or the folder."
    networks = (network for folder, network in OTHER_DOWNLOADS.items() if any(folder in inner for inner in names))
    found = f"this looks like a download from {network}" if (network := next(networks, None)) else "this has neither"
    return (
        f"{name} holds no posts: an X archive has a file data/tweets.js, one of Mastodon an outbox.json, "
        f"and {found}. Was another download meant?"
    )


def _load_files(path: Path, claimed: Sequence[str], on_event: OnEvent) -> tuple[list[Timeline], list[str]]:
    """The files of posts that lie in a folder, but for those with the names `claimed`, and remarks on the others."""
    suffixes = (*PLAIN_FILES, ".zip", ".car")
    inside = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and file.suffix.lower() in suffixes and file.name not in claimed and file.name[0] != "."
    )
    if {file.name for file in inside} >= REDDIT:
        inside = [file for file in inside if file.name in REDDIT]
    if len(inside) > MOST_FILES:
        raise BadReference(f"{path} holds {len(inside):,} files; at most {MOST_FILES:,} are read as one author's.")
    timelines, remarks = [], []
    for file in inside:
        if _PRIVATE.search(file.stem):
            remarks.append(f"Left out: {file.name}, which looks like private messages. Give it by name if it is not.")
            continue
        if _ABOUT.fullmatch(file.name):
            remarks.append(f"Left out: {file.name}, which by its name holds no posts. Give it by name if it does.")
            continue
        try:
            timelines.append(load_file(file, on_event))
        except UserError as error:
            remarks.append(f"Left out: {error}")
    return timelines, remarks
