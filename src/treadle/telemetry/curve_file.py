"""How a curve lies on the disk: a header, one row per step, and above the rows levels of ever wider buckets.

`curve.json` names the columns and the step of the first row. `level-0` holds the rows: for each column one float32,
NaN where nothing was measured. A bucket of `level-K` stands for `FANOUT` to the power of K rows: for each column the
smallest value, the largest, their sum and their number, as float32. Steps follow each other without a gap, so the place
of a step is plain arithmetic. All that lies above the rows can be made again from them.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMAT: Final = 1
FANOUT: Final = 8
"""Rows of a bucket of the first level, and buckets of one of each further level."""
HEADER: Final = "curve.json"
PARTS: Final = 4
"""Numbers of one column in a bucket: smallest, largest, sum, how many."""
LEVELS: Final = 12
"""The highest level that is looked for: buckets of 69 thousand million rows."""
EMPTY: Final = (math.inf, -math.inf, 0.0, 0.0)
FLOAT_BYTES: Final = 4


def level_path(folder: Path, level: int) -> Path:
    """File of a level; 0 is the rows."""
    return folder / f"level-{level}"


def entry_bytes(columns: int, level: int) -> int:
    """Size of one row, or of one bucket."""
    return columns * FLOAT_BYTES * (1 if level == 0 else PARTS)


def entries_in(folder: Path, columns: int, level: int) -> int:
    """Whole rows or buckets that a level's file holds; one that a kill has cut is not counted."""
    try:
        size = level_path(folder, level).stat().st_size
    except FileNotFoundError:
        return 0
    return size // entry_bytes(columns, level)


def bucket_of(values: array[float], columns: int, level: int) -> array[float]:
    """Gather rows (`level` 0) or buckets into one bucket."""
    made = array("f")
    if level == 0:
        for column in range(columns):
            made.extend(gathered(values[column::columns]))
        return made
    width = columns * PARTS
    for column in range(columns):
        parts = [values[column * PARTS + part :: width] for part in range(PARTS)]
        made.extend((min(parts[0]), max(parts[1]), math.fsum(parts[2]), math.fsum(parts[3])))
    return made


def gathered(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Smallest, largest, sum and number of what was measured among the values of one column."""
    known = [value for value in values if value == value]
    return (min(known), max(known), math.fsum(known), float(len(known))) if known else EMPTY
