"""Posts from a plain file, whatever wrote it.

In: the path of a `.csv`, `.tsv`, `.json`, `.jsonl` or `.txt` file. Out: a Timeline, named after its
author where all of it is by one, else after the file; its remarks say which columns were taken for what.
Knows nothing about archives, which are several files in one.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import BadFile
from utils.events import OnEvent, ignore
from utils.timelines import (
    MAXIMUM_POSTS,
    Collector,
    Timeline,
    archive,
    exports,
    fields,
    json_values,
    plain_text,
    tables,
)
from utils.timelines.containers import Container, opened
from utils.timelines.dates import is_plausible, latest_plausible, parse_dates
from utils.timelines.encodings import encoding_of, mend
from utils.timelines.fields import Entry
from utils.timelines.markup import unescape_if_escaped

LISTS = ("tweets", "posts", "statuses", "data", "items", "results", "entries", "feed", "records", "toots", "messages")
"""The names under which tools keep the list of posts in an object."""

FEWEST_SWALLOWED = 20
"""Lines inside one cell that look like rows without a date; a poem has fewer, and no commas where they would be."""


def load(path: Path, on_event: OnEvent = ignore) -> Timeline:
    """Read a file by what its name ends in. Raises `BadFile`, which says what is wrong, and where."""
    read = {".csv": _read_table, ".tsv": _read_table, ".json": _read_json, ".txt": _read_text}
    with opened(path, on_event, single=True) as container:
        return read.get(path.suffix.lower(), _read_json_lines)(container)


def _read_table(container: Container) -> Timeline:
    table, remarks = _table(container), []
    if table.has_swallowed_rows():
        again = _table(container, quoted=False)
        if again.is_better_than(table):
            table, remarks = again, ["A quotation mark never ends; all of them were read as text."]
    return _timeline(container, table.entries, [*_took("column", table.names), *remarks])


class _Table(NamedTuple):
    """The entries of a table. columns: how many. names: of those for text, date and id. date: the number of that one's
    column, if there is one."""

    entries: list[Entry]
    columns: int
    names: tuple[str | None, str | None, str | None]
    date: int | None

    def has_swallowed_rows(self) -> bool:
        """Whether a cell holds other rows, because a quotation mark never ended."""
        return any(_is_swallowed(entry, self.columns, self.date, len(self.entries)) for entry in self.entries)

    def is_better_than(self, other: "_Table") -> bool:
        """Whether this way to read the same table finds more rows with a date than it makes rows without."""
        if self.date is None:
            return True
        own, others = self._with_and_without_date(), other._with_and_without_date()
        return own[0] - others[0] > own[1] - others[1]

    def _with_and_without_date(self) -> tuple[int, int]:
        dated = sum(date is not None for date in parse_dates([entry.date for entry in self.entries])[0])
        return dated, len(self.entries) - dated


def _table(container: Container, quoted: bool = True) -> _Table:
    with container.open(container.path.name) as stream:
        table = tables.rows(stream, encoding_of(container.path), quoted)
        try:
            header = [name.strip() for name in next(table, [])]
            columns = tuple(fields.find(header, wanted) for wanted in (fields.TEXT, fields.DATE, fields.ID))
            if columns[0] is None:
                raise BadFile(_no_text_column(container.name, header))
            by = fields.find(header, fields.AUTHOR)
            text, date, number, author = (header.index(name) if name else None for name in (*columns, by))
            flags = {name: header.index(name) for name in header if fields.is_flag(name)}

            def cell(row: list[str], column: int | None) -> str | None:
                return row[column] if column is not None and column < len(row) else None

            entries = [
                Entry(
                    id=cell(row, number),
                    date=cell(row, date),
                    text=fields.without_html(cell(row, text)),
                    author=fields.author(cell(row, author)),
                    reason=fields.not_for_learning({name: cell(row, at) for name, at in flags.items()}),
                )
                for row in _bounded(table)
            ]
        except csv.Error as error:
            raise BadFile(f"{container.name} is damaged: {error}. Save or download it again.") from None
    return _Table(entries, len(header), columns, date)


def _is_swallowed(entry: Entry, columns: int, date: int | None, rows: int) -> bool:
    """Whether a cell holds other rows of its table, because a quotation mark never ended.

    date: the number of the column of dates, if there is one.
    """
    lines = entry.text.split("\n") if entry.text else []
    if date is not None and sum(_is_dated_row(line, columns, date) for line in lines[1:]) > len(lines[1:]) / 2:
        return True
    if len(lines) <= FEWEST_SWALLOWED:
        return False
    like_rows = sum(any(line.count(sign) >= columns - 1 for sign in tables.DELIMITERS) for line in lines)
    return like_rows > 0.8 * len(lines) if columns > 1 else len(lines) > rows


def _is_dated_row(line: str, columns: int, date: int) -> bool:
    """Whether a line has a date in the column of dates, counted from either end: its text may hold delimiters, too."""
    rows = (line.split(sign) for sign in tables.DELIMITERS if line.count(sign) >= columns - 1)
    cells = (cell.strip(' "\r') for row in rows for cell in (row[date], row[date - columns]))
    found = (parse_dates([cell])[0][0] for cell in cells)
    return any(day and is_plausible(day, latest_plausible()) for day in found)


def _bounded(values: Iterable[Any]) -> Iterator[Any]:
    """The values, or `BadFile` as soon as there are more than anybody has written."""
    for number, value in enumerate(values):
        if number == MAXIMUM_POSTS:
            raise BadFile(f"There are more than {MAXIMUM_POSTS:,} entries. Give a file of one person's posts.")
        yield value


def _no_text_column(name: str, header: list[str]) -> str:
    if not header:
        return f"{name} is empty; expected a table whose first row names a column “text”."
    return (
        f"{name} has no column for the text of posts: its first row is {_names(header)}. "
        "Give the column with the posts the name “text”."
    )


def _names(names: Iterable[Any]) -> str:
    """The first names of columns or fields, as a sentence can have them."""
    return ", ".join(f"“{str(name)[:30]}”" for name in list(names)[:8])


def _read_json(container: Container) -> Timeline:
    content = _utf8(container)
    with content() as stream:
        first = json_values.starts_with(stream)
    if first == "[":
        with content() as stream:
            return _from_entries(container, json_values.entries(stream, container.name))
    with content() as stream:
        line = stream.readline()
        if first == "{" and stream.peek(1) and _is_object(line):
            return _read_json_lines(container)
    with content() as stream:
        value = json_values.whole(stream, container.name)
    if not isinstance(value, dict):
        raise BadFile(f"{container.name} holds no posts: expected a list of them, or an object with one.")
    if exports.is_outbox(value):
        return exports.from_outbox(value, None, container.stem, container.name)
    if isinstance(value.get("tweets"), list) and ("account" in value or "profile" in value):
        notes = value.get("note-tweet")
        notes = notes if isinstance(notes, list) else []
        return archive.from_lists(value["tweets"], notes, _owner(value, container), container.name)
    return _from_entries(container, _list_in(value, container.name))


def _utf8(container: Container) -> Any:
    """A function that opens the file as a stream of bytes in UTF-8, whatever its encoding."""
    name, encoding = container.path.name, encoding_of(container.path)
    if encoding.startswith("utf-8"):
        return lambda: container.open(name)
    with container.open(name) as stream:
        content = stream.read().decode(encoding, "replace").encode("utf-8", "replace")
    return lambda: io.BufferedReader(io.BytesIO(content))


def _is_object(line: str | bytes) -> bool:
    return _is_json(line, dict)


def _is_json(line: str | bytes, kind: type = object) -> bool:
    """Whether a line is a whole JSON value of that kind."""
    try:
        return isinstance(json.loads(line), kind)
    except (ValueError, RecursionError):
        return False


def _owner(value: dict, container: Container) -> str:
    """The handle in the Community Archive's file a user."""
    try:
        return fields.handle(value["account"][0]["account"]["username"]) or container.stem
    except (LookupError, TypeError):
        return container.stem


def _list_in(value: dict, name: str) -> list:
    """The list of posts in an object: under a usual name, perhaps one object further down."""
    for level in (value, *(inner for inner in value.values() if isinstance(inner, dict))):
        folded = fields.find([key for key, inner in level.items() if isinstance(inner, list)], LISTS)
        if folded:
            return level[folded]
    raise BadFile(
        f"{name} holds no list of posts under a usual name: it has {_names(value) or 'nothing'}. "
        "Expected a list of posts, or an object with “tweets” or “posts”."
    )


def _read_json_lines(container: Container) -> Timeline:
    name = container.name
    with _utf8(container)() as stream:
        if json_values.starts_with(stream) == "[" and not _is_json(stream.readline()):
            return _read_json(container)  # a list over several lines, whatever the file is called

    def values() -> Iterator[Any]:
        with container.open(container.path.name) as stream:
            lines = io.TextIOWrapper(stream, encoding_of(container.path), errors="replace")
            for number, line in enumerate(lines, 1):
                if line.strip("\ufeff \t\r\n"):
                    try:
                        yield from _posts_in(json.loads(line.lstrip("\ufeff")))
                    except (ValueError, RecursionError):
                        raise BadFile(
                            f"{name} is damaged or cut off: line {number} is not a whole JSON object. "
                            "Save or download the file again."
                        ) from None

    return _from_entries(container, values())


def _posts_in(value: Any) -> list[Any]:
    """The entries in a line of JSON: itself, or those of the page of posts that it is."""
    if isinstance(value, list):
        return value
    pages = [value[name] for name in LISTS if isinstance(value.get(name), list)] if isinstance(value, dict) else []
    return pages[0] if pages and fields.read(value).text is None else [value]


def _from_entries(container: Container, values: Iterable[Any]) -> Timeline:
    entries, there = [], {}
    for value in _bounded(values):
        there = there or (value if isinstance(value, dict) else {})
        entries.append(fields.read(value))
    if there and all(entry.text is None and not entry.reason for entry in entries):
        raise BadFile(
            f"{container.name} has no field for the text of posts: its first entry has {_names(there)}. "
            "Give the field with the posts the name “text”."
        )
    used = Counter(entry.names for entry in entries).most_common(1)
    names = used[0][0] if used else (None, None, None)
    return _timeline(container, entries, [] if names == ("text", "created_at", "id") else _took("field", names))


def _read_text(container: Container) -> Timeline:
    with container.open(container.path.name) as stream:
        if os.path.getsize(container.path) > json_values.LARGEST_WHOLE:
            raise BadFile(
                f"{container.name} has more than {json_values.LARGEST_WHOLE >> 20} MB; that is no file of posts."
            )
        text = io.TextIOWrapper(stream, encoding_of(container.path), errors="replace").read().lstrip("\ufeff")
    lines = plain_text.lines_of(text)
    first = next(filter(None, lines), "")
    if _is_object(first):
        return _read_json_lines(container)
    if tables.has_header(first, fields.TEXT, (*fields.DATE, *fields.ID)):
        return _read_table(container)
    if plain_text.is_chat(lines):
        raise BadFile(f"{container.name} looks like a chat. Give a file of one person's posts.")
    posts, how = plain_text.posts_in(text)
    return _timeline(container, [Entry(text=post) for post in posts], [f"Took {how} of {container.name} for a post."])


def _took(kind: str, names: Iterable[str | None]) -> list[str]:
    """A sentence that says which columns or fields were taken for what."""
    parts = [f"“{name}” for the {what}" for what, name in zip(("text", "date", "id"), names, strict=True) if name]
    return [f"Took the {kind} {', '.join(parts)}."] if parts else []


def _timeline(container: Container, entries: list[Entry], remarks: list[str]) -> Timeline:
    """The entries as posts: mended, unescaped, dated. Raises `BadFile` where not one has a text."""
    posts = Collector()
    for entry in entries:
        if entry.reason or not isinstance(entry.text, str):
            posts.leave_out(entry.reason or "unreadable")
    entries = [entry for entry in entries if isinstance(entry.text, str) and not entry.reason]
    texts: Sequence[str | None] = [entry.text for entry in entries]
    if not all(entry.plain for entry in entries):
        texts = unescape_if_escaped(["\ufffd" if text is None else text for text in mend(texts)])
    dates, order = parse_dates([entry.date for entry in entries])
    unread = [str(entry.date) for entry, date in zip(entries, dates, strict=True) if entry.date and not date]
    if unread:
        how_many = f"{len(unread):,} of {len(dates):,} dates could not be read, like “{unread[0][:30]}”"
        remarks = [*remarks, f"{how_many}; their posts count as the oldest."]
    for number, (entry, date, text) in enumerate(zip(entries, dates, texts, strict=True), 1):
        posts.add(fields.short_id(entry.id) or number, date, text)
    if encoding_of(container.path) == "sloppy-windows-1252":
        remarks = [
            *remarks,
            f"{container.name} is not in UTF-8; it was read as Windows-1252. If letters are wrong, save it in UTF-8.",
        ]
    if order:
        remarks = [*remarks, f"Dates like 3/4/2020 were read {order}."]
    authors = Counter(entry.author for entry in entries if entry.author)
    if len(authors) > 1:
        remarks = [*remarks, f"{container.name} has posts of {len(authors):,} people; they are taken as one author."]
    handle = fields.handle(next(iter(authors))) if len(authors) == 1 else None
    return posts.finished(handle or container.stem, container.name, remarks)
