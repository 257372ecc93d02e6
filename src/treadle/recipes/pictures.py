"""Pictures of what is known: curves of a training, a confusion matrix, a text's losses, attention. All by matplotlib.

One look for all: white ground, thin grey grid, blue for what was trained on, orange for what was held out; titles say
which model and step they are of. Files appear whole or not at all.
"""

from __future__ import annotations

import io
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, UsageError
from treadle.base.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLUE, ORANGE, GREY = "#4c78a8", "#e4711b", "#666666"
_DOTS = 144
_COLUMNS = 76
"""Letters in a line of a text's picture."""
_FORMATS = {".png", ".svg", ".pdf"}


def check_target(path: Path) -> None:
    """Raise before any work is done if no picture could be written to `path`."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError(
            "Pictures need the package `matplotlib`, which is not installed: pip install 'treadle[plots]'"
        )
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path.name} is no name for a picture; it must end in {', '.join(sorted(_FORMATS))}.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write {path.name} to.")


def draw_curves(rows: Sequence[dict[str, Any]], title: str, unit: str, path: Path) -> None:
    """Loss by step: what was trained on (each step, and smoothed) and what was held out, with its lowest point."""
    figure, axes = new_figure(8.0, 4.5)
    steps = [row["step"] for row in rows]
    losses = [row["loss"] for row in rows]
    axes.plot(steps, losses, color=BLUE, alpha=0.25, linewidth=0.8)
    axes.plot(steps, _smoothed(losses), color=BLUE, linewidth=1.6, label="trained on (smoothed)")
    measured = [row for row in rows if row.get("held_out_loss") is not None]
    if measured:
        points = [(row["step"], row["held_out_loss"]) for row in measured]
        axes.plot(*zip(*points, strict=True), color=ORANGE, linewidth=1.6, marker="o", markersize=4, label="held out")
        best = min(measured, key=lambda row: float(row["held_out_loss"]))
        said = f"lowest held out: {best['held_out_loss']:.3f} at step {best['step']:,}"
        axes.plot([], [], " ", label=said)
    _limit_to_what_matters(axes, losses, [row["held_out_loss"] for row in measured])
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss ({unit})")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False, loc="upper right")
    _save(figure, axes, title, path)


def draw_confusion(table: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path) -> None:
    """Rows are what pictures show, columns what they were taken for; mistakes are shaded by their share of the row."""
    from matplotlib.colors import LinearSegmentedColormap

    count = len(classes)
    side = min(14.0, max(4.8, 0.5 * count + 1.8))
    figure, axes = new_figure(side, side)
    shares = [[value / max(1, sum(row)) for value in row] for row in table]
    right = LinearSegmentedColormap.from_list("right", ["#ffffff", "#b8d4ec"])
    wrong = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#fbc9a2", ORANGE])
    axes.imshow([[share if i == j else math.nan for j, share in enumerate(row)] for i, row in enumerate(shares)],
                cmap=right, vmin=0, vmax=1)  # fmt: skip
    axes.imshow([[math.nan if i == j else share for j, share in enumerate(row)] for i, row in enumerate(shares)],
                cmap=wrong, vmin=0, vmax=0.2)  # fmt: skip
    size = max(5.0, 10.0 - count / 8)
    if count <= 40:
        for i, row in enumerate(table):
            for j, value in enumerate(row):
                if value:
                    axes.text(j, i, f"{value:,}", ha="center", va="center", fontsize=size)
    axes.set_xticks(range(count), classes, rotation=0 if max(map(len, classes)) <= 3 else 60, fontsize=size + 1)
    axes.set_yticks(range(count), classes, fontsize=size + 1)
    axes.set_xticks([place - 0.5 for place in range(1, count)], minor=True)
    axes.set_yticks([place - 0.5 for place in range(1, count)], minor=True)
    axes.grid(which="minor", color="#e5e5e5", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("taken for")
    axes.set_ylabel("shows")
    _save(figure, axes, title, path)


def draw_text(tokens: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """A text, each token on a ground the darker the more it surprised the model (nats); its rank stands below it."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shade = LinearSegmentedColormap.from_list("surprise", ["#ffffff", "#fbc9a2", ORANGE])
    lines = _lines(tokens, _COLUMNS)
    columns = max(40, *(sum(len(shown) for shown, _ in line) for line in lines))
    figure, axes = new_figure(1.2 + 0.13 * columns, 1.2 + 0.42 * len(lines))
    norm = Normalize(0, 6)
    axes.set_xlim(0, columns)
    axes.set_ylim(len(lines), 0)
    for number, line in enumerate(lines):
        place = 0
        for shown, token in line:
            loss = token["loss"]
            colour = "#ffffff" if loss is None else shade(norm(loss))
            axes.add_patch(_rectangle(place, number + 0.08, len(shown), 0.56, colour))
            axes.text(place + len(shown) / 2, number + 0.38, shown, family="monospace", fontsize=10, ha="center",
                      va="center", parse_math=False)  # fmt: skip
            if token["rank"] is not None and token["rank"] > 1 and len(str(token["rank"])) <= len(shown) + 1:
                axes.text(place + len(shown) / 2, number + 0.80, str(token["rank"]), fontsize=5.5, ha="center",
                          va="center", color=GREY)  # fmt: skip
            place += len(shown)
    axes.set_axis_off()
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(norm, shade), ax=axes, fraction=0.02, pad=0.01, extend="max")
    bar.set_label("nats", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    _save(figure, axes, title, path)


def draw_attention(maps: Any, tokens: Sequence[str], title: str, path: Path) -> None:  # noqa: ANN401 - an array (L, H, T, T)
    """How much each token (row) looks at each earlier one (column): one square for each layer and head."""
    layers, heads, count = maps.shape[:3]
    tokens = [token if token.strip() else "␣" * len(token) for token in tokens]
    each = 2.2 if count <= 40 else 2.8
    figure, grid = _grid(layers, heads, each)
    for layer in range(layers):
        for head in range(heads):
            axes = grid[layer][head]
            axes.imshow(maps[layer, head] ** 0.5, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            axes.tick_params(length=0)
            if count <= 24:
                size = max(3.5, 7.5 - count / 8)
                axes.set_xticks(range(count), tokens if layer == layers - 1 else [""] * count, fontsize=size)
                axes.set_yticks(range(count), tokens if head == 0 else [""] * count, fontsize=size)
            else:
                axes.set_xticks([])
                axes.set_yticks([])
            for text in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
                text.set_family("monospace")
                text.set_parse_math(False)
            if layer == 0:
                axes.set_title(f"head {head}", fontsize=8, color=GREY)
            if head == heads - 1:
                axes.yaxis.set_label_position("right")
                axes.set_ylabel(f"layer {layer}", fontsize=8, color=GREY)
            for spine in axes.spines.values():
                spine.set_color("#cccccc")
    figure.suptitle(title, fontsize=11, x=0.02, ha="left")
    write_figure(figure, path)


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """An empty picture of that many inches, and its axes: one, or a row of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _grid(rows: int, columns: int, each: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(30.0, each * columns + 0.8), min(40.0, each * rows + 0.8)), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _rectangle(x: float, y: float, width: float, height: float, colour: Any) -> Any:  # noqa: ANN401 - matplotlib's own
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=colour, edgecolor="#f0f0f0", linewidth=0.4)


def _save(figure: Any, axes: Any, title: str, path: Path) -> None:  # noqa: ANN401 - matplotlib's own
    axes.set_title(title, loc="left", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    write_figure(figure, path)


def write_figure(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib's own
    """Write a picture, wholly or not at all, in the format that the name of `path` ends in."""
    data = io.BytesIO()
    figure.savefig(data, format=path.suffix[1:].lower(), dpi=_DOTS)
    write_bytes(path, data.getvalue())


def _smoothed(values: Sequence[float]) -> list[float]:
    """The mean of what lies around each value, a thirtieth of all; it lags behind in neither direction."""
    reach = len(values) // 60
    found = []
    for place in range(len(values)):
        near = min(reach, place, len(values) - 1 - place)
        around = values[place - near : place + near + 1]
        found.append(sum(around) / len(around))
    return found


def _limit_to_what_matters(axes: Any, losses: Sequence[float], held_out: Sequence[float]) -> None:  # noqa: ANN401
    """A few wild steps may leave the picture, so that the rest can be seen."""
    ordered = sorted(losses)
    low = min(ordered[0], *held_out) if held_out else ordered[0]
    high = max(ordered[int(0.995 * (len(ordered) - 1))], *held_out) if held_out else ordered[-1]
    margin = 0.06 * (high - low) or 0.1
    axes.set_ylim(low - margin, high + margin)


def _lines(tokens: Sequence[dict[str, Any]], width: int) -> list[list[tuple[str, dict[str, Any]]]]:
    lines: list[list[tuple[str, dict[str, Any]]]] = [[]]
    used = 0
    for token in tokens:
        shown = visible(token["text"])[:width]
        if used + len(shown) > width:
            lines.append(_cut_word(lines[-1]))
            used = sum(len(other) for other, _ in lines[-1])
        lines[-1].append((shown, token))
        used += len(shown)
        if token["text"].endswith("\n"):
            lines.append([])
            used = 0
    return [line for line in lines if line]


def _cut_word(line: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Take the word that a full line ends with, so that it can begin the next one; nothing if the line is one word."""
    for place in range(len(line), 0, -1):
        if line[place - 1][1]["text"][-1:].isspace() or line[place - 1][1]["text"][:1].isspace():
            start = place if line[place - 1][1]["text"][-1:].isspace() else place - 1
            if start and sum(len(shown) for shown, _ in line[start:]) <= _COLUMNS // 4:
                word = line[start:]
                del line[start:]
                return word
            return []
    return []


def visible(text: str) -> str:
    """A token's text with its white space and control characters to be seen."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥")
    return "".join(letter if letter.isprintable() else "·" for letter in shown) or "∅"
