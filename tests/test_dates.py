"""Dates as networks and spreadsheets write them."""

from datetime import UTC, datetime

import pytest

from utils.timelines.dates import parse_date, parse_dates

MARCH = datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-06T13:02:05Z", MARCH),
        ("2026-03-06T15:02:05+02:00", MARCH),
        ("2026-03-06 13:02:05 +0000", MARCH),
        ("2026-03-06 13:02:05 UTC", MARCH),
        ("2026-03-06 13:02:05", MARCH),
        (" 2026-03-06T13:02:05.000Z ", MARCH),
        ("Fri Mar 06 13:02:05 +0000 2026", MARCH),
        ("Fri, 06 Mar 2026 13:02:05 GMT", MARCH),
        ("6 Mar 2026 15:02:05 +0200", MARCH),
        ("March 6, 2026 at 01:02PM", datetime(2026, 3, 6, 13, 2, tzinfo=UTC)),
        ("Mar 6, 2026, 1:02:05 PM", MARCH),
        ("6 March 2026", datetime(2026, 3, 6, tzinfo=UTC)),
        ("2026-03-06 13:02:05 PST", MARCH),
        ("Fri, 6 Mar 2026 08:02:05 EST", MARCH),
        ("Fri Mar 06 14:02:05 +0100 2026", MARCH),
        (1772802125, MARCH),
        (-86400, datetime(1969, 12, 31, tzinfo=UTC)),
        ("1772802125", MARCH),
        ("1772802125000", MARCH),
        (1772802125.0, MARCH),
        ("2026-03-06", datetime(2026, 3, 6, tzinfo=UTC)),
        ("Fri Foo 06 13:02:05 +0000 2026", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("yesterday", None),
        ("", None),
        (5e30, None),
        (float("nan"), None),
        (True, None),
        ([], None),
        (None, None),
    ],
)
def test_dates_are_read_as_networks_write_them(written: object, read: datetime | None) -> None:
    assert parse_date(written) == read


@pytest.mark.parametrize(
    ("column", "days", "order"),
    [
        (["10/16/17 22:59", "3/4/17 1:05"], [(2017, 10, 16), (2017, 3, 4)], "month first"),
        (["3/4/2017", "16/10/2017"], [(2017, 4, 3), (2017, 10, 16)], "day first"),
        (["3/4/2017"], [(2017, 3, 4)], "month first"),
        (["03.04.2017 12:00"], [(2017, 4, 3)], "day first"),
        (["2017/04/03 11:30 PM"], [(2017, 4, 3)], None),
        (["2020/1/15 10:00", "2020/1/5 9:00", "2020-2-7"], [(2020, 1, 15), (2020, 1, 5), (2020, 2, 7)], None),
        (["3/4/2017", "3/4/7"], [(2017, 3, 4), None], "month first"),
        (["2017-04-03", "nonsense"], [(2017, 4, 3), None], None),
    ],
)
def test_the_order_of_day_and_month_is_that_of_the_whole_column(column: list, days: list, order: str | None) -> None:
    dates, found = parse_dates(column)
    assert ([date and (date.year, date.month, date.day) for date in dates], found) == (days, order)


def test_hours_of_the_afternoon_are_told_apart() -> None:
    dates, _ = parse_dates(["3/4/2017 11:30 PM", "3/4/2017 12:15 am", "3/4/2017 12:15 p.m."])
    assert [date.hour for date in dates] == [23, 0, 12]
