"""How answers are laid out in a terminal: fact rows, folded text, bars."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 80
_BARS = "▁▂▃▄▅▆▇█"


def fact(label: str, text: object) -> str:
    """A line of an answer: what it is about, and what is said of it."""
    return f"  {label:<11} {text}"


def wrapped(text: str, indent: int = 4) -> list[str]:
    """A text folded at the width of a terminal; paths and addresses stay whole."""
    first = " " * indent
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def bars(values: Sequence[float], low: float, high: float) -> str:
    """One sign for each value, from the lowest at `low` to the highest at `high`."""
    span = (high - low) or 1
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)
