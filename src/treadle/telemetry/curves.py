"""Reading curves: as many buckets as there are pixels, whatever the number of steps behind them."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from treadle.base.errors import DataError
from treadle.base.files import read_json
from treadle.telemetry.curve_file import (
    FANOUT,
    FORMAT,
    HEADER,
    LEVELS,
    PARTS,
    entries_in,
    entry_bytes,
    gathered,
    level_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

_Parts = tuple[float, float, float, float]
"""Smallest, largest, sum, number."""
_Choice: TypeAlias = "Callable[[int, int, int, int], int | None]"
"""Picks one of (level, first entry, number of them, column)."""
_DIGITS: Final = 6
"""A float32 is right to about seven digits; more would be noise on the wire."""


@dataclass(frozen=True, slots=True)
class Bucketed:
    """A stretch of a curve in buckets of equal width; None where nothing was measured."""

    steps: list[int]
    """Last step of each bucket."""
    width: int
    """Steps of one bucket; the last one may have fewer."""
    values: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    """By column: `mean`, `min`, `max` of each bucket."""


class Curve:
    """The curve in a folder, as it is now. A writer may be at work; what it has begun but not finished is not seen."""

    def __init__(self, folder: Path) -> None:
        """Read the header; raises `DataError` for one that is no curve of ours. See `open_curve`."""
        found = read_json(folder / HEADER)
        if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("fanout") != FANOUT:
            raise DataError(f"{folder / HEADER} is no curve that this version reads. Move its folder away.")
        self._folder = folder
        self.columns: tuple[str, ...] = tuple(found["columns"])
        """Names of what was measured."""
        self.first = int(found["first"])
        """Step of the first row."""
        self._sizes = [entries_in(folder, len(self.columns), level) for level in range(LEVELS + 1)]
        self.rows = self._sizes[0]  # buckets behind them are not asked for
        """Number of steps."""
        self.entries_read = 0
        """Rows and buckets that were read so far: what a question has cost."""

    @property
    def last(self) -> int:
        """Step of the last row; one before the first if there is none."""
        return self.first + self.rows - 1

    def buckets(
        self, columns: Sequence[str], points: int, first: int | None = None, last: int | None = None
    ) -> Bucketed:
        """The steps from `first` to `last` in at most `points` + 2 buckets; reads a bounded number of entries for each.

        Buckets begin at multiples of their width, so that they stay the same ones while the curve grows.
        """
        low = 0 if first is None else max(0, first - self.first)
        high = self.rows if last is None else min(self.rows, last - self.first + 1)  # exclusive
        if low >= high:
            return Bucketed([], 1, {column: _shown([]) for column in columns})
        level = 0
        while high - low > points * FANOUT ** (level + 1):
            level += 1
        grain = FANOUT**level
        width = grain * math.ceil((high - low) / (points * grain))
        low -= low % width
        begin, end = low // grain, min(high // grain, self._sizes[level])
        entries = self._entries(level, begin, max(0, end - begin))
        places = [self.columns.index(column) for column in columns]
        found = [self._gathered(entries, level, place, width // grain) for place in places]
        pieces = self._pieces(max(low, end * grain), high, level)
        self._add_rest(found, places, pieces, (low, width))
        steps = [self.first + min(edge, high) - 1 for edge in range(low + width, high + width, width)]
        return Bucketed(steps, width, {name: _shown(parts) for name, parts in zip(columns, found, strict=True)})

    def _gathered(self, entries: array[float], level: int, place: int, size: int) -> list[_Parts]:
        """What `size` entries at a time hold of one column."""
        if level == 0:
            row = entries[place :: len(self.columns)]
            return [gathered(row[at : at + size]) for at in range(0, len(row), size)]
        width = len(self.columns) * PARTS
        low, high, total, count = (entries[place * PARTS + part :: width] for part in range(PARTS))
        spans = [slice(at, at + size) for at in range(0, len(low), size)]
        return [(min(low[one]), max(high[one]), math.fsum(total[one]), math.fsum(count[one])) for one in spans]

    def _add_rest(
        self,
        found: list[list[_Parts]],
        places: Sequence[int],
        pieces: Iterable[tuple[int, int, int]],
        buckets: tuple[int, int],
    ) -> None:
        """Add what stands behind the last whole entry; `buckets` are the first row of all, and the rows of one."""
        low, width = buckets
        for level, first, count in pieces:
            entries = self._entries(level, first, count)
            for parts, place in zip(found, places, strict=True):
                for number, more in enumerate(self._gathered(entries, level, place, 1)):
                    bucket = ((first + number) * FANOUT**level - low) // width
                    if bucket == len(parts):
                        parts.append(more)
                    else:
                        parts[bucket] = _both(parts[bucket], more)

    def row(self, step: int) -> dict[str, float | None]:
        """What was measured at one step; None for what was not, and for a step that is not there."""
        place = step - self.first
        if not 0 <= place < self.rows:
            return dict.fromkeys(self.columns)
        return {name: _rounded(value) for name, value in zip(self.columns, self._entries(0, place, 1), strict=True)}

    def mean(self, column: str, step: int, over: int) -> float | None:
        """Mean over the last `over` steps up to `step`: what a single noisy step is read by."""
        begin, end = max(0, step - over + 1 - self.first), min(self.rows, step - self.first + 1)
        if begin >= end:
            return None
        rows = self._entries(0, begin, end - begin)[self.columns.index(column) :: len(self.columns)]
        _, _, total, count = gathered(rows)
        return _rounded(total / count) if count else None

    def lowest(self, column: str) -> tuple[int, float] | None:
        """Step and value of the smallest value of a column, found from the top of the pyramid downwards."""
        index = self.columns.index(column)
        tops = [
            (*least, level)
            for level, first, count in self._pieces(0, self.rows)
            if (least := self._least(level, first, count, index)) is not None
        ]
        if not tops:
            return None
        _, top, level = min(tops)
        return self._descended(level, top, index, self._place_of_least)

    def newest(self, column: str) -> tuple[int, float] | None:
        """Step and value of the last time that a column was measured."""
        index = self.columns.index(column)
        for level, first, count in reversed(list(self._pieces(0, self.rows))):
            place = self._last_measured(level, first, count, index)
            if place is not None:
                return self._descended(level, place, index, self._last_measured)
        return None

    def _descended(self, level: int, place: int, index: int, choose: _Choice) -> tuple[int, float]:
        """Step and value that an entry stands for, when `choose` picks one of those below it again and again."""
        while level:
            level -= 1
            found = choose(level, place * FANOUT, FANOUT, index)
            if found is None:
                raise DataError(f"The curve in {self._folder} is damaged: its levels contradict each other. Remove it.")
            place = found
        return self.first + place, _rounded(self._entries(0, place, 1)[index]) or 0.0

    def _last_measured(self, level: int, first: int, count: int, index: int) -> int | None:
        found = self._gathered(self._entries(level, first, count), level, index, 1)
        return next((first + place for place in reversed(range(count)) if found[place][3]), None)

    def _place_of_least(self, level: int, first: int, count: int, index: int) -> int | None:
        found = self._least(level, first, count, index)
        return None if found is None else found[1]

    def _least(self, level: int, first: int, count: int, index: int) -> tuple[float, int] | None:
        """The smallest value of a stretch of entries, and its entry; None if nothing was measured there."""
        found = self._gathered(self._entries(level, first, count), level, index, 1)
        return min(((parts[0], first + place) for place, parts in enumerate(found) if parts[3]), default=None)

    def _pieces(self, low: int, high: int, top: int = LEVELS) -> Iterator[tuple[int, int, int]]:
        """Cut a stretch of rows into the widest entries that fit, as (level, first entry, number), in order.

        None is of a level above `top`. `low` stands where an entry of that level begins.
        """
        for level in range(top, -1, -1):
            grain = FANOUT**level
            if low % grain:
                continue
            count = min(high // grain, self._sizes[level]) - low // grain
            if count > 0:
                yield level, low // grain, count
                low += count * grain

    def _entries(self, level: int, first: int, count: int) -> array[float]:
        size = entry_bytes(len(self.columns), level)
        self.entries_read += count
        with level_path(self._folder, level).open("rb", buffering=0) as file:
            file.seek(first * size)
            data = file.read(count * size)
        if len(data) != count * size:  # cut back by a run that went back, at this moment
            raise DataError(f"The curve in {self._folder} is just being cut back. Read it again.")
        found = array("f")
        found.frombytes(data)
        return found


def open_curve(folder: Path) -> Curve | None:
    """The curve in `folder`; None if there is none."""
    return Curve(folder) if (folder / HEADER).is_file() else None


def _both(first: _Parts, second: _Parts) -> _Parts:
    return min(first[0], second[0]), max(first[1], second[1]), first[2] + second[2], first[3] + second[3]


def _shown(parts: Sequence[_Parts]) -> dict[str, list[float | None]]:
    return {
        "mean": [_rounded(total / count) if count else None for _, _, total, count in parts],
        "min": [_rounded(low) if count else None for low, _, _, count in parts],
        "max": [_rounded(high) if count else None for _, high, _, count in parts],
    }


def _rounded(value: float) -> float | None:
    """To the digits that a float32 has; None for what is no number."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
