"""Operations that look at what a model makes of something: predict, inspect."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class PredictionReport:
    """What a classifier says of some pictures."""

    ok: bool
    """Whether every file could be read."""
    model: str
    step: int
    checkpoint: str
    predictions: list[dict[str, Any]]
    """Each with `file`, `class`, `probability` and the `probabilities` of all classes, the likeliest first."""
    refused: list[dict[str, str]]
    """Files that could not be read: `file`, `reason`, `detail`."""


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """How a model reads a text."""

    model: str
    step: int
    checkpoint: str
    engine: str
    precision: str
    loss: float
    """Mean over the tokens, in nats."""
    bits_per_byte: float
    tokens: list[dict[str, Any]]
    """Each with `id`, `text`, `loss` (nats), `rank` (1 = it was the likeliest), `likeliest` and its `probability`."""
    pictures: list[str]
    """Files that were written."""
    layers: int | None = None
    """Number of layers with attention, if `maps` was given."""
    maps: list[Any] = field(default_factory=list)
    """For each head of the layer that `maps` named, for each token, the shares that it gives to the ones up to it; the
    boundary that a document begins with stands first."""


@operation("light", effect="reads", examples=("treadle predict digits seven.png", "treadle predict pets *.jpg --json"))
def predict(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of an image classifier"],
    files: Annotated[list[Path], "picture files (PNG, JPEG and others)"],
    *,
    checkpoint: Annotated[str | int, "checkpoint: best, latest, or a step number"] = "best",
) -> PredictionReport:
    """Say what pictures show, with the probability of each class. Exit code 1 if a file cannot be read.

    A picture is scaled and converted as the pictures that the model learned from were: digits of MNIST, for one, are
    white on black.
    """
    found = load("treadle.recipes.predict:predict")(workspace, model, files, str(checkpoint))
    return PredictionReport(**found)


@operation(
    "light",
    effect="reads",
    examples=(
        'treadle inspect bard --text "To be, or not to be"',
        'treadle inspect bard --text "To be, or not to be" --plot losses.png --attention attention.png',
        'treadle inspect bard --text "To be" --maps 1 --json',
    ),
)
def inspect(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of a model that writes text"],
    *,
    text: Annotated[str, "text to read, as the beginning of a document"],
    checkpoint: Annotated[str | int, "checkpoint: best, latest, or a step number"] = "best",
    plot: Annotated[Path | None, "write a picture of the text, shaded by loss, to this file (.png, .svg, .pdf)"] = None,
    attention: Annotated[Path | None, "write a picture of what each head attends to (gpt only; needs torch)"] = None,
    maps: Annotated[int | None, "also tell as numbers what each head of this layer attends to; 1 = the first"] = None,
) -> InspectionReport:
    """Show how well a model expects each token of a text: its loss, its rank, and what was likelier."""
    pictures = {"plot": plot, "attention": attention}
    found = load("treadle.recipes.inspect:inspect")(workspace, model, text, str(checkpoint), **pictures, layer=maps)
    return InspectionReport(**found)
