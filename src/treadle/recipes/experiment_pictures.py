"""The pictures of an experiment: how each cell learned, and what its loss cost."""

from __future__ import annotations

import statistics
import textwrap
from typing import TYPE_CHECKING, Any

from treadle.recipes.pictures import new_figure, write_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLOURS = (
    "#4c78a8",
    "#e4711b",
    "#2f9e6e",
    "#b5489b",
    "#8a6d3b",
    "#3aa6c2",
    "#d1495b",
    "#6c6f7d",
    "#a3a500",
    "#7a5ccc",
)
_GREY = "#666666"
_FEW = 10
"""More cells than this are told apart by shades, not by colours."""


def draw(summary: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Write `curves.png` and `costs.png`."""
    rows = sorted((row for row in summary["rows"] if row["done"]), key=lambda row: float(row["mean"]))
    colours = {row["label"]: colour for row, colour in zip(rows, _palette(len(rows)), strict=True)}
    _draw_curves(summary, results, colours, folder / "curves.png")
    _draw_costs(summary, rows, results, colours, folder / "costs.png")


def _palette(count: int) -> list[Any]:
    if count <= _FEW:
        return list(_COLOURS[:count])
    from matplotlib import colormaps

    shades = colormaps["viridis"]
    return [shades(0.92 * place / (count - 1)) for place in range(count)]


def _draw_curves(
    summary: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], colours: Mapping[str, Any], path: Path
) -> None:
    """Loss on what is trained on, by amount and by wall time; the dot at the end is the held-out loss."""
    figure, (by_amount, by_time) = new_figure(11.0, 4.6, columns=2)
    ends, lows, tops = [], [], []
    for label, colour in colours.items():
        for result in results.values():
            if result["label"] != label or not result["curve"]:
                continue
            scale = result[summary["measure"]] / result["held_out"]
            losses = [point[2] * scale for point in result["curve"]]
            smooth = _smoothed(losses)
            end = result[summary["measure"]]
            ends.append(end)
            lows.append(min(smooth))
            tops.append(smooth[min(len(smooth) - 1, len(smooth) // 12)])
            for axes, place in ((by_amount, 0), (by_time, 1)):
                xs = [point[place] for point in result["curve"]]
                axes.plot(xs, smooth, color=colour, linewidth=1.2, alpha=0.75)
                axes.plot(xs[-1:], [end], color=colour, marker="o", markersize=5, markeredgecolor="white")
        by_time.plot([], [], color=colour, linewidth=2.4, label=label)
    low, high = min([*lows, *ends]), max([*tops, *ends])
    unit = "pictures" if "picture" in summary["unit"] else "tokens"
    for axes, said in ((by_amount, f"{unit} read"), (by_time, "seconds of training")):
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.set_xlabel(said)
        axes.set_xlim(left=0)
        _plain(axes)
        axes.xaxis.set_major_formatter(lambda value, _: _amount(value))
    by_amount.set_ylabel(f"loss ({summary['unit']}); dots: held out")
    by_time.legend(frameon=False, loc="upper right", fontsize=8.5, ncols=1 if len(colours) <= 12 else 2)
    figure.suptitle(f"{summary['name']}: loss while training, {summary['budget']} each", x=0.01, ha="left", fontsize=11)
    write_figure(figure, path)


def _draw_costs(
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    results: Mapping[str, Mapping[str, Any]],
    colours: Mapping[str, Any],
    path: Path,
) -> None:
    """Held-out loss of every seed and the mean of each cell; then the means against time and memory.

    Where time was the budget, speed stands in its place.
    """
    longest = max(len(row["label"]) for row in rows)
    figure, (ranking, time, memory) = new_figure(10.0 + 0.07 * longest, 1.8 + max(2.6, 0.36 * len(rows)), columns=3)
    for place, row in enumerate(rows):
        colour = colours[row["label"]]
        ranking.plot(row["losses"], [place] * len(row["losses"]), "o", color=colour, alpha=0.55, markersize=6)
        ranking.plot([row["mean"]] * 2, [place - 0.28, place + 0.28], color=colour, linewidth=2.6)
    ranking.set_yticks(range(len(rows)), [row["label"] for row in rows])
    ranking.set_ylim(len(rows) - 0.5, -0.5)
    ranking.set_xlabel(f"held out ({summary['unit']})")
    ranking.margins(x=0.12)
    equal_time = max(row["seconds"] for row in rows) < 1.05 * min(row["seconds"] for row in rows)
    speed = ("per_second", 1.0, "pictures a second" if "picture" in summary["unit"] else "tokens a second")
    for axes, (key, divisor, said) in (
        (time, speed if equal_time else ("seconds", 1.0, "seconds of training")),
        (memory, ("memory_bytes", 1e6, "largest memory (MB)")),
    ):
        for row in rows:
            own = [result for result in results.values() if result["label"] == row["label"]]
            across = [result[key] / divisor for result in own]
            x, y = statistics.fmean(across), row["mean"]
            spread = row["deviation"] or 0.0
            axes.errorbar([x], [y], yerr=[spread], xerr=[[x - min(across)], [max(across) - x]], fmt="o", markersize=6,
                          color=colours[row["label"]], ecolor=colours[row["label"]], elinewidth=0.9)  # fmt: skip
        axes.set_xlabel(said)
        axes.margins(x=0.15, y=0.15)
        axes.xaxis.set_major_formatter(lambda value, _: _amount(value))
    time.set_ylabel(f"held out ({summary['unit']})")
    for axes in (ranking, time, memory):
        _plain(axes)
    said = "\n".join(textwrap.wrap(f"{summary['name']}: {summary['verdict']['sentence']}", 130))
    figure.suptitle(said, x=0.01, ha="left", fontsize=9.5)
    write_figure(figure, path)


def _plain(axes: Any) -> None:  # noqa: ANN401 - matplotlib's own
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, color=_GREY)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _amount(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{value:,g}"


def _smoothed(values: Sequence[float]) -> list[float]:
    """An average that remembers about a twelfth of the curve, without a bias at its beginning."""
    keep = 1 - 12 / max(24, len(values))
    found, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        found.append(total / weight)
    return found
