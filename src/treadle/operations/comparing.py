"""Operations that look at models beside each other: compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Two models side by side."""

    models: list[dict[str, Any]]
    """Each with `name`, `parameters`, `vocabulary`, `step`, `epochs`, and what its checkpoint was measured at."""
    differing: list[dict[str, Any]]
    """Settings that are not alike: `key` and the two `values`."""
    measured: list[dict[str, Any]]
    """Measured now by one rule: `model`, `data_of`, `loss`, `bits_per_byte`, `accuracy`, `targets`, or `problem`."""
    curves: dict[str, list[dict[str, Any]]]
    """By model: `step`, `loss`, `held_out_loss`."""
    plot: str | None
    tasks: dict[str, Any] | None = None
    """With --tasks: the figures of each in `models`, and in `beside` who was right where."""


@operation(
    "light",
    effect="reads",
    examples=(
        "treadle compare bard poet",
        "treadle compare bard poet --plot curves.png --json",
        "treadle compare bard poet --tasks questions.jsonl",
    ),
)
def compare(
    workspace: WorkspaceFolder,
    first: Annotated[str, "name of a model"],
    second: Annotated[str, "name of another"],
    *,
    checkpoint: Annotated[str | int, "checkpoint of each: best, latest, or a step number"] = "best",
    examples: Annotated[int, "windows of each held-out part to measure on; 0 = all"] = 256,
    plot: Annotated[Path | None, "draw both curves of loss by step to this file (.png, .svg, .pdf)"] = None,
    tasks: Annotated[Path | None, "have both answer the multiple-choice questions of this file (JSON lines)"] = None,
) -> ComparisonReport:
    """Compare two models: settings that differ, losses, and each one measured on what the other never saw.

    Bits per byte can be compared whatever the tokenizers; nats per token only between models with the same one. A text
    that was fed to both may be held out for one and trained on by the other; models with equal settings of data hold
    out the same parts.
    """
    answers = load("treadle.recipes.compare:answers")(workspace, (first, second), str(checkpoint), tasks)
    found = load("treadle.recipes.compare:compare")(workspace, (first, second), str(checkpoint), examples, plot)
    return ComparisonReport(**found, tasks=answers)
