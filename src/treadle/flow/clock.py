"""What time it is: UTC in files, local on screen; tests and replays set it by `TREADLE_NOW`."""

from __future__ import annotations

import datetime as dt
import os
import re

from treadle.base.errors import UsageError

VARIABLE = "TREADLE_NOW"
_STAMP = re.compile(r"\b(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}Z)")


def now() -> dt.datetime:
    """The present moment in UTC: `TREADLE_NOW` (ISO 8601; UTC unless it says otherwise), else the machine's clock."""
    given = os.environ.get(VARIABLE)
    if not given:
        return dt.datetime.now(dt.UTC)
    try:
        moment = dt.datetime.fromisoformat(given)
    except ValueError as error:
        raise UsageError(f"{VARIABLE}={given} is no time; write it as 2026-11-22T09:30.") from error
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def today() -> dt.date:
    """The date in UTC, as it is written into files."""
    return now().date()


def stamp() -> str:
    """This minute as it is written into files: `2026-11-22T09:30Z`."""
    return now().strftime("%Y-%m-%dT%H:%MZ")


def as_date(text: str | None) -> dt.date | None:
    """A date written `2026-11-22`, or None if there is none or it does not exist."""
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        return None


def localised(text: str) -> str:
    """A text with its stamps in the time zone of the screen: `2026-11-22 10:30`."""
    return _STAMP.sub(lambda found: _local(found[1]), text)


def _local(written: str) -> str:
    moment = dt.datetime.strptime(written, "%Y-%m-%dT%H:%MZ").replace(tzinfo=dt.UTC)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
