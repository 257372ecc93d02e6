import datetime as dt
import time

import pytest

from treadle.base.errors import UsageError
from treadle.jobs.cron import parse_cron


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text):
    return time.mktime((*dt.datetime.strptime(text, "%Y-%m-%d %H:%M").timetuple()[:8], -1))  # noqa: DTZ007


def shown(moment):
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("* * * * *", "2026-11-22 02:14", "2026-11-22 02:15"),
        ("0 3 * * *", "2026-11-22 03:00", "2026-11-23 03:00"),
        ("*/15 9-17 * * mon-fri", "2026-11-20 17:45", "2026-11-23 09:00"),
        ("0 0 29 2 *", "2026-11-22 00:00", "2028-02-29 00:00"),
        ("0 12 1 * fri", "2026-11-22 00:00", "2026-11-27 12:00"),
        ("30 6 * jan,jul 7", "2026-11-22 00:00", "2027-01-03 06:30"),
        ("5/20 * * * *", "2026-11-22 10:25", "2026-11-22 10:45"),
        ("@monthly", "2026-11-22 00:00", "2026-12-01 00:00"),
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 03:30"),
    ],
)
def test_the_next_moment_is_that_of_cron(text, after, expected):
    assert shown(parse_cron(text).next_after(at(after))) == expected


def test_a_local_time_that_occurs_twice_counts_once():
    cron, moment = parse_cron("30 2 * * *"), at("2026-10-24 12:00")
    first = cron.next_after(moment)
    assert shown(first) == "2026-10-25 02:30"
    assert shown(cron.next_after(first)) == "2026-10-26 02:30"


def test_of_missed_moments_the_last_one_is_found():
    cron = parse_cron("0 3 * * *")
    assert shown(cron.last_before(at("2026-11-22 12:00"), at("2026-11-01 12:00"))) == "2026-11-22 03:00"
    assert cron.last_before(at("2026-11-22 02:00"), at("2026-11-21 03:00")) is None
    yearly = parse_cron("@yearly")
    assert shown(yearly.last_before(at("2026-11-22 02:00"), at("2020-11-21 03:00"))) == "2026-01-01 00:00"
    every = parse_cron("* * * * *")
    assert shown(every.last_before(at("2026-11-22 02:00"), at("2020-11-21 03:00"))) == "2026-11-22 02:00"


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "x * * * *", "*/0 * * * *",
             "5-1 * * * *", "* * * * 8", "@sometimes", "1-x * * * *"],
)  # fmt: skip
def test_text_that_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"use numbers from|0 3 \* \* mon-fri"):
        parse_cron(text)


def test_a_day_that_does_not_exist_is_said_to_be_none():
    with pytest.raises(UsageError, match="no day that exists"):
        parse_cron("0 0 31 2 *").next_after(at("2026-11-22 00:00"))
