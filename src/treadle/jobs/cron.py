"""Times told in cron's five fields: which moments they mean, in the local time of the machine."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Final

from treadle.base.errors import UsageError

_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_FURTHEST_DAYS: Final = 366 * 9  # 29 February may be eight years away
_LOOK_BACK: Final = (3_600.0, 86_400.0, 40 * 86_400.0, _FURTHEST_DAYS * 86_400.0)


@dataclass(frozen=True, slots=True)
class Cron:
    """A repeating time, read from text such as `0 3 * * mon-fri`."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Both kinds of day are limited, so one of them is enough: cron's own rule."""

    def next_after(self, moment: float) -> float:
        """The first moment after `moment`, both in seconds since 1970.

        A local time that a change of the clocks leaves out is taken an hour later; one that occurs twice counts once.
        Raises `UsageError` when there is none.
        """
        local = dt.datetime.fromtimestamp(moment)  # noqa: DTZ006 - cron means the local time
        for ahead in range(_FURTHEST_DAYS):
            day = local.date() + dt.timedelta(days=ahead)
            if not self._is_day(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = time.mktime((day.year, day.month, day.day, hour, minute, 0, 0, 0, -1))
                    if found > moment:
                        return found
        raise UsageError(f"`{self.text}` names no day that exists.")

    def last_before(self, moment: float, after: float) -> float | None:
        """The latest moment that is not later than `moment` and later than `after`, if there is one."""
        for span in _LOOK_BACK:  # the shortest first: where there are many fires, the last one is near
            start = max(after, moment - span)
            found, fire = None, self.next_after(start)
            while fire <= moment:
                found, fire = fire, self.next_after(fire)
            if found is not None or start == after:
                return found
        return None

    def _is_day(self, day: dt.date) -> bool:
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either_day else by_date and by_weekday


def parse_cron(text: str) -> Cron:
    """Read cron text; raises `UsageError` that names the field which is wrong and shows a right one."""
    words = _NICKNAMES.get(text.strip().lower(), text).split()
    if len(words) != len(_FIELDS):
        raise UsageError(
            f"`{text}` is not a time for a schedule: give five fields (minute, hour, day, month, weekday) such as "
            "`0 3 * * mon-fri`, or one of " + ", ".join(_NICKNAMES) + "."
        )
    minutes, hours, days, months, weekdays = (_field(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    return Cron(
        text.strip(),
        minutes,
        hours,
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        either_day=not words[2].startswith("*") and not words[4].startswith("*"),
    )


def _field(word: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in word.lower().split(","):
        span, slash, step = part.partition("/")
        if slash and (not step.isdecimal() or int(step) == 0):
            raise _wrong(word, name, low, high)
        if span == "*":
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, word, name, low, high)
            last = _number(end, word, name, low, high) if dash else (high if slash else first)
        if first > last:
            raise _wrong(word, name, low, high)
        found |= set(range(first, last + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, word: str, name: str, low: int, high: int) -> int:
    names = {"month": _MONTHS, "weekday": _DAYS}.get(name, ())
    if text in names:
        return names.index(text) + low
    if not text.isdecimal() or not low <= int(text) <= high:
        raise _wrong(word, name, low, high)
    return int(text)


def _wrong(word: str, name: str, low: int, high: int) -> UsageError:
    return UsageError(f"`{word}` is not a {name}: use numbers from {low} to {high}, `*`, `a-b`, `a,b` or `*/n`.")
