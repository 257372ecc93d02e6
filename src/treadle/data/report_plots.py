"""Plots of a report as inline SVG: bars and histograms whose colours follow the page, light or dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from treadle.base import units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDTH = 460
_HEIGHT = 130
_FLOOR = 104
_LEFT = 6


def histogram(bins: Sequence[Sequence[float]], label: Callable[[float], str], what: str) -> str:
    """Columns for `bins` of lower end, upper end and number; the ends and the middle of the axis are labelled."""
    if not bins:
        return ""
    most = max(count for _, _, count in bins)
    step = (_WIDTH - 2 * _LEFT) / len(bins)
    columns = []
    for place, (low, high, count) in enumerate(bins):
        height = 0 if not count else max(1.5, (_FLOOR - 12) * count / most)
        said = f"{label(low)} to {label(high)}: {count:,.0f} documents"
        columns.append(
            f'<rect class="column" x="{_LEFT + place * step:.1f}" y="{_FLOOR - height:.1f}" '
            f'width="{max(step - 1.5, 1):.1f}" height="{height:.1f}" rx="1.5"><title>{escape(said)}</title></rect>'
        )
    middle = bins[len(bins) // 2][0]
    marks = [(_LEFT, "start", bins[0][0]), (_WIDTH / 2, "middle", middle), (_WIDTH - _LEFT, "end", bins[-1][1])]
    if len(bins) < 3:
        marks = [marks[0], marks[2]]
    labels = "".join(
        f'<text x="{x:.0f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{escape(label(value))}</text>'
        for x, anchor, value in marks
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(what)}">{"".join(columns)}'
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_FLOOR + 0.5}" y2="{_FLOOR + 0.5}"/>{labels}</svg>'
    )


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars of name, value and what to say of it; the longest has the full width."""
    most = max((value for _, value, _ in rows), default=0) or 1
    return "".join(
        f'<div class="bar"><span class="name" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="track"><span class="fill" style="width:{max(100 * value / most, 0.4):.1f}%"></span></span>'
        f'<span class="value">{escape(said)}</span></div>'
        for name, value, said in rows
    )


def parts(rows: Sequence[tuple[str, float]]) -> str:
    """One bar that is divided among `rows` of name and value, with its legend."""
    total = sum(value for _, value in rows) or 1
    pieces = "".join(
        f'<span class="part part{place}" style="width:{100 * value / total:.2f}%" title="{escape(name)}"></span>'
        for place, (name, value) in enumerate(rows)
        if value
    )
    legend = "".join(
        f'<span><i class="part{place}"></i>{escape(name)} · {units.size(value)} ({value / total:.1%})</span>'
        for place, (name, value) in enumerate(rows)
    )
    return f'<div class="parts">{pieces}</div><div class="legend">{legend}</div>'
