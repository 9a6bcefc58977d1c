"""Rows of a table in text, whichever sign stands between its columns.

In: the bytes of a `.csv` or `.tsv` file. Out: rows, the first of which names the columns. Knows nothing
about what the columns hold.
"""

import csv
import io
import re
from collections.abc import Iterator

from utils.errors import BadFile
from utils.timelines.fields import find

DELIMITERS = (",", ";", "\t", "|")

LONGEST_FIELD = 1 << 26
"""Characters of one field; the csv module's own limit of 131,072 would refuse a table for one long post."""

SAMPLE = 1 << 16
"""Bytes in which the first row is looked for."""


def rows(stream: io.BufferedReader, encoding: str = "utf-8-sig", quoted: bool = True) -> Iterator[list[str]]:
    """Every row that is not empty, none longer than the first: what is too many belongs to the longest cell.

    Bytes that are invalid in the encoding become U+FFFD. quoted: whether quotation marks hold a cell
    together, as they should; in a file where one never ends they are letters like others.
    """
    start = stream.peek(SAMPLE)[:SAMPLE].decode(encoding, "replace")
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
    first = re.split(r"[\r\n]", start, maxsplit=1)[0].strip()
    if len(first) == 5 and first.lower().startswith("sep="):  # what Excel writes on top
        delimiter = first[-1]
        next(text)
    else:
        delimiter, _ = _first_row(start)
    csv.field_size_limit(LONGEST_FIELD)
    width = 0
    for row in csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE):
        if len(row) > 1 or row and row[0].strip():
            width = width or len(row)
            yield row if len(row) <= width else _joined(row, width, delimiter)


def _joined(row: list[str], width: int, delimiter: str) -> list[str]:
    """A row that was cut at signs that belong to its text, put together again around its longest piece.

    Of the ways to join so many neighbours, the one whose joined cell is longest.
    """
    surplus = len(row) - width
    start = max(range(width), key=lambda at: sum(map(len, row[at : at + surplus + 1])))
    return [*row[:start], delimiter.join(row[start : start + surplus + 1]), *row[start + surplus + 1 :]]


def rows_as_dicts(stream: io.BufferedReader, name: str) -> Iterator[dict[str, str]]:
    """The rows below the first one, which gives the names. Raises `BadFile`."""
    table = rows(stream)
    try:
        header = next(table, [])
        for row in table:
            yield dict(zip(header, row, strict=False))
    except csv.Error as error:
        raise BadFile(f"{name} is damaged: {error}. Save or download it again.") from None


def has_header(line: str, *wanted: tuple[str, ...]) -> bool:
    """Whether a line is the first row of a table that has a column of each of these kinds; see `fields.find`."""
    _, header = _first_row(line)
    return len(header) > 1 and all(find(header, names) for names in wanted)


def _first_row(start: str) -> tuple[str, list[str]]:
    """The delimiter that gives the first row the most columns, and that row."""
    return max(((sign, _cut(start, sign)) for sign in DELIMITERS), key=lambda found: len(found[1]))


def _cut(start: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []
