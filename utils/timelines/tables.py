"""Rows of a table in text, whichever sign stands between its columns.

In: the bytes of a `.csv` or `.tsv` file. Out: rows, the first of which names the columns. Knows nothing
about what the columns hold.
"""

import csv
import io
from collections.abc import Iterator

DELIMITERS = (",", ";", "\t", "|")

LONGEST_FIELD = 1 << 26
"""Characters of one field; the csv module's own limit of 131,072 would refuse a table for one long post."""

SAMPLE = 1 << 16
"""Bytes in which the first row is looked for."""


def rows(stream: io.BufferedReader, encoding: str = "utf-8-sig") -> Iterator[list[str]]:
    """Every row that is not empty. Bytes that are invalid in the encoding become U+FFFD."""
    start = stream.peek(SAMPLE)[:SAMPLE].decode(encoding, "replace")
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
    first = start.partition("\n")[0].strip()
    if len(first) == 5 and first.lower().startswith("sep="):  # what Excel writes on top
        delimiter = first[-1]
        next(text)
    else:
        delimiter = max(DELIMITERS, key=lambda sign: len(_first_row(start, sign)))
    csv.field_size_limit(LONGEST_FIELD)
    for row in csv.reader(text, delimiter=delimiter):
        if len(row) > 1 or row and row[0].strip():
            yield row


def rows_as_dicts(stream: io.BufferedReader) -> Iterator[dict[str, str]]:
    """The rows below the first one, which gives the names."""
    table = rows(stream)
    header = next(table, [])
    for row in table:
        yield dict(zip(header, row, strict=False))


def _first_row(start: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []
