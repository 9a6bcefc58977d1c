"""Dates as networks and spreadsheets write them.

In: whatever a file holds where a date belongs. Out: a datetime in UTC, or None where there is none to
be read: a post whose date cannot be read is still a post. Knows nothing about posts.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_X_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_X_DATE = re.compile(r"\w{3} (\w{3}) (\d\d) (\d\d):(\d\d):(\d\d) \+0000 (\d{4})")
LONGEST = 64
"""Characters; what is longer is no date, and looking for one in it would take long."""

_NUMBER = re.compile(r"\d{9,17}(?:\.\d*)?")
# "2015-01-24 02:02:37 +0000" of X's oldest archives, and "… UTC" of spreadsheets, are nearly ISO 8601.
_ZONE_APART = re.compile(r"(?<=\d) (?:UTC|(?=[+-]\d\d:?\d\d$))")
_MAIL = re.compile(r"(?:[A-Za-z]{3}, )?\d{1,2} [A-Za-z]{3} \d{2,4} \d\d:\d\d.*")
_WITH_NAMES = re.compile(r"[A-Za-z]{3}.*\d{4}|\d{1,2} [A-Za-z]{3}")
_SLASHES = re.compile(
    r"(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})(?:,?[ T]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?(?: ?([AaPp])\.?[Mm]\.?)?)?"
)


def parse_date(value: object) -> datetime | None:
    """One date: ISO 8601, X's `Fri Mar 06 13:02:05 +0000 2026`, with the month in English, or seconds since 1970.

    Seconds may come as milli- or microseconds; which they are follows from their size.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _since_1970(value)
        if not isinstance(value, str):
            return None
        if value[4:5] == "-" and value[:4].isdecimal():  # the usual case
            with suppress(ValueError):
                date = datetime.fromisoformat(_ZONE_APART.sub("", value) if " " in value[11:] else value.strip())
                return _in_utc(date)
        if match := _X_DATE.fullmatch(value):
            month, *numbers, year = match.groups()
            return datetime(int(year), _X_MONTHS.index(month) + 1, *map(int, numbers), tzinfo=UTC)
        value = value.strip()
        if len(value) > LONGEST:
            return None
        if _NUMBER.fullmatch(value):
            return _since_1970(float(value))
        if not _WITH_NAMES.search(value):
            return _in_utc(datetime.fromisoformat(value))
        return _in_utc(parsedate_to_datetime(value) if _MAIL.fullmatch(value) else _in_words(value))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _in_words(text: str) -> datetime:
    """A date like "January 24, 2015 at 02:02PM". Of a zone that is letters, like PST, nothing is known: it is UTC."""
    from dateutil import parser

    def zone(_: str | None, seconds: int | None) -> timezone | None:
        return None if seconds is None else timezone(timedelta(seconds=seconds))

    return parser.parse(text.replace("·", " "), default=datetime(1, 1, 1), tzinfos=zone)


def _in_utc(date: datetime) -> datetime:
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


def _since_1970(number: float) -> datetime:
    for unit in (1, 1e3, 1e6):
        if abs(number) < 1e11 * unit:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / unit)
    raise ValueError("no date so far away")


def parse_dates(values: Sequence[object]) -> tuple[list[datetime | None], str | None]:
    """A column of dates, and, where 3/4/2020 had to be decided, the order that was taken, in words.

    The order of a column is one: a single 16/3 shows that days come first in all of it. A column that
    shows nothing is read month first if it has slashes, and day first if it has points, as is usual.
    """
    dates = [parse_date(value) for value in values]
    unread = {
        index: match
        for index, value in enumerate(values)
        if dates[index] is None
        and isinstance(value, str)
        and len(value) <= LONGEST
        and (match := _SLASHES.fullmatch(value.strip()))
    }
    if not unread:
        return dates, None
    short = [match for match in unread.values() if len(match[1]) < 3]
    points = sum(match[2] == "." for match in short) > len(short) / 2
    day_first = any(int(match[1]) > 12 for match in short) or points and all(int(m[3]) <= 12 for m in short)
    for index, match in unread.items():
        dates[index] = _from_parts(match, day_first)
    return dates, f"{'day' if day_first else 'month'} first" if short else None


def _from_parts(match: re.Match, day_first: bool) -> datetime | None:
    first, _, second, third, hour, minute, second_of_minute, half = match.groups()
    if len(first) > 2:
        year, month, day = first, second, third
    else:
        year, month, day = (third, second, first) if day_first else (third, first, second)
    if len(year) == 1:
        return None
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half in "Pp" else 0)
    try:
        full_year = int(year) + (2000 if len(year) == 2 else 0)
        clock = (hours, int(minute or 0), int(second_of_minute or 0))
        return datetime(full_year, int(month), int(day), *clock, tzinfo=UTC)
    except ValueError:
        return None


def latest_plausible() -> datetime:
    """Nothing can have been posted after this: a day of grace for clocks that are wrong."""
    return datetime.now(UTC) + timedelta(days=1)


def is_plausible(date: datetime, latest: datetime) -> bool:
    """Whether something can have been posted then: neither in the future nor in 1970, which is what a
    missing date looks like as a number, nor before."""
    return date.year > 1970 and date < latest
