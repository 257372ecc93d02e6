"""Numbers with units, as people read them."""

from __future__ import annotations


def count(value: float) -> str:
    """Format a count: `812`, `41k`, `2.7 M`, `1.3 G`."""
    for limit, unit, digits in ((1e9, " G", 1), (1e6, " M", 1), (1e4, "k", 0)):
        if abs(value) >= limit:
            scale = 1e3 if unit == "k" else limit
            return f"{value / scale:.{digits}f}{unit}"
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Format how many there are in a second, without the unit: as `count`, but `0.4` and `7.2` below ten."""
    return f"{value:.1f}" if abs(value) < 9.95 else count(value)


def size(value: float) -> str:
    """Format a number of bytes: `812 B`, `1.1 MB`, `2.0 GB` (powers of 1000)."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """Format a span: `0.4 s`, `31 s`, `4:02`, `2:10:00`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def counted(value: int, noun: str) -> str:
    """Format a number of things: `1 page`, `1,200 pages`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def loss_of(examples: str) -> str:
    """What a loss is measured in, by what the examples are counted in: `nats/token`, `squared error/clip`.

    Where that is not known (empty): `nats`.
    """
    one = examples.removesuffix("s")
    return f"{loss_measure(examples)}/{one}" if one else loss_measure(examples)


def loss_measure(examples: str) -> str:
    """The same without what it is a mean over: `nats` where a loss is a likelihood."""
    return "squared error" if examples == "clips" else "nats"
