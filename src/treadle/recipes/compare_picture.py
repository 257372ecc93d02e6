"""The curves of two trainings in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.recipes.pictures import check_target, new_figure, write_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLOURS = ("#4477aa", "#cc6677")


def draw_comparison(curves: Mapping[str, Sequence[Mapping[str, Any]]], measure: str, path: Path) -> None:
    """Loss by step of each model: what was trained on faintly, what was held out with its points."""
    check_target(path)
    figure, axes = new_figure(8.0, 4.5)
    for (name, rows), colour in zip(curves.items(), _COLOURS, strict=True):
        axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], color=colour, alpha=0.3, linewidth=0.9)
        points = [(row["step"], row["held_out_loss"]) for row in rows if row["held_out_loss"] is not None]
        axes.plot(
            [step for step, _ in points],
            [loss for _, loss in points],
            color=colour,
            linewidth=1.6,
            marker="o",
            markersize=4,
            label=f"{name}, held out",
        )
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss ({measure})")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False, loc="upper right")
    axes.set_title(" and ".join(curves), loc="left", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    write_figure(figure, path)
