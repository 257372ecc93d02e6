"""Pictures of what was measured of videos, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.recipes.pictures import BLUE, GREY, ORANGE, new_figure, write_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.video.measures import Coherence


def coherence(found: Coherence, fps: float, path: Path) -> None:
    """Difference and residual from frame to frame, mean colours; cuts as grey lines, seams as orange ones."""
    figure, (steps, even, colours) = new_figure(11.0, 3.4, 3)
    times = [(place + 1) / fps for place in range(len(found.difference))]
    steps.plot(times, found.difference, color=BLUE, linewidth=1.0)
    even.plot(times, found.residual, color=BLUE, linewidth=1.0)
    for channel, colour in enumerate(("#c44e52", "#55a868", "#4c72b0")):
        levels = [one[channel] for one in found.colours]
        colours.plot([place / fps for place in range(len(levels))], levels, color=colour, linewidth=1.0)
    for axes in (steps, even):
        for cut in found.cuts:
            axes.axvline(cut / fps, color=GREY, linewidth=0.8, linestyle=":")
        for seam, _ in found.seams():
            axes.axvline(seam / fps, color=ORANGE, linewidth=1.0)
    _finish(steps, "jump to the next frame", "grey levels")
    _finish(even, "step of brightness, movement taken out", "grey levels")
    _finish(colours, "mean red, green, blue", "grey levels")
    write_figure(figure, path)


def comparison(rows: Sequence[tuple[float, float]], fps: float, path: Path) -> None:
    """PSNR and SSIM of each frame."""
    figure, axes = new_figure(9.0, 3.4, 2)
    times = [place / fps for place in range(len(rows))]
    for place, (title, unit) in enumerate((("PSNR", "dB"), ("SSIM", "1 = equal"))):
        axes[place].plot(times, [row[place] for row in rows], color=BLUE, linewidth=1.0)
        _finish(axes[place], title, unit)
    write_figure(figure, path)


def _finish(axes: Any, title: str, unit: str) -> None:  # noqa: ANN401 - matplotlib's own
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("seconds")
    axes.set_ylabel(unit)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
