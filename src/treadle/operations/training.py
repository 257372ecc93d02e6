"""Operations that train and measure: train, evaluate."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from treadle.base.errors import UsageError
from treadle.jobs.presence import announce
from treadle.jobs.request import JobRequest
from treadle.operations.heavy import model_job
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

_HEAD_WIDTH: Final = 32
_MOST_LAYERS: Final = 12
_MOST_WIDTH: Final = 512
"""A draft model is small, or it guesses no sooner than the model knows."""


@dataclass(frozen=True, slots=True)
class TrainPayload:
    """How long to train which model, with which settings; a snapshot that later edits do not change."""

    model: str
    """Id of the model."""
    unit: Literal["epochs", "steps", "minutes", "more", "default", "arrivals", "flush"]
    """`epochs`, `steps`, `minutes`, `more` (epochs beyond what is done when it starts), `default` for the budget of the
    model's size, or what has arrived: `arrivals`, `flush`."""
    amount: float
    """Target in that unit; epochs and steps count from the model's beginning. 0 for what has arrived."""
    settings: dict[str, Any]
    """All settings, resolved, with their origins."""
    draft: str | None = None
    """Shape of the draft model to train beside it, LAYERSxWIDTH or `auto`."""


@dataclass(frozen=True, slots=True)
class EvaluatePayload:
    """Which checkpoint to measure on the held-out part."""

    model: str
    """Id of the model."""
    checkpoint: str
    settings: dict[str, Any]
    plot: str | None = None
    """Absolute path of the picture to draw of a classifier's answers."""
    arrivals: bool = False
    """Whether to measure, beside all of it, what arrived with each feed by itself."""
    precision: str | None = None
    """In which arithmetic of the engine that samples; None = as the model is trained."""
    tasks: str | None = None
    """Absolute path of a file of questions to answer, instead of measuring on held-out data."""


@operation(
    "heavy",
    examples=(
        "treadle train bard",
        "treadle train bard --minutes 3",
        "treadle train bard --epochs 10 training.batch_size=16",
        "treadle train bard --more 5",
        "treadle train bard --steps 1000 --config my-run.yaml",
        "treadle train bard --minutes 60 --draft auto",
    ),
)
def train(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    overrides: Annotated[list[str], "settings as key=value, for this run"] = [],  # noqa: B006 - never changed
    *,
    epochs: Annotated[float | None, "train until the model has seen its data this many times in all"] = None,
    steps: Annotated[int | None, "train until the model has made this many steps in all"] = None,
    minutes: Annotated[float | None, "train for this long"] = None,
    more: Annotated[float | None, "train this many passes more than it has made when the training begins"] = None,
    config: Annotated[Path | None, "YAML file of settings for this run (see the guide, Configuration)"] = None,
    draft: Annotated[
        str | None, "also train a small model that guesses ahead and makes sampling faster: auto, or a shape as 2x128"
    ] = None,
) -> JobRequest:
    """Train a model on what it was fed. Without a length it trains for one budget that suits its size.

    The training is a job in the model's queue: Ctrl-C leaves it running, and `treadle jobs follow` comes back to it.
    An interrupted training goes on from its last checkpoint.
    """
    card = ModelCards(workspace).get(model)
    unit, amount = length(epochs, steps, minutes, more)
    announce(workspace, "train")
    settings = load("treadle.recipes.settings:settings_of_run")(workspace, card, overrides, config)
    payload = TrainPayload(card.id, unit, amount, settings, _draft_shape(draft))
    return model_job(workspace, "train", asdict(payload), lane="heavy", follows=("feed",))


@operation("heavy", examples=("treadle flush diary", "treadle flush diary --json"))
def flush(workspace: WorkspaceFolder, model: Annotated[str, "name of the model"]) -> JobRequest:
    """Train all that was fed and never trained, once, in order of arrival, down to the last token.

    A standing model trains whole batches by itself and leaves what is left for the next; this trains the rest too, as a
    batch whose empty places are masked.
    """
    card = ModelCards(workspace).get(model)
    announce(workspace, "train")
    settings = load("treadle.recipes.settings:settings_of_run")(workspace, card, [], None)
    payload = TrainPayload(card.id, "flush", 0.0, settings)
    return model_job(workspace, "train", asdict(payload), lane="heavy", follows=("feed",))


@operation(
    "heavy",
    examples=(
        "treadle evaluate bard",
        "treadle evaluate bard --checkpoint latest --json",
        "treadle evaluate diary --arrivals",
        "treadle evaluate digits --plot confusion.png",
        "treadle evaluate bard --precision int8",
        "treadle evaluate bard --tasks questions.jsonl --json",
    ),
)
def evaluate(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    overrides: Annotated[list[str], "settings as key=value, for this run"] = [],  # noqa: B006 - never changed
    *,
    checkpoint: Annotated[str | int, "checkpoint: best, latest, or a step number"] = "best",
    plot: Annotated[Path | None, "draw which classes were taken for which, to this file (classifiers only)"] = None,
    arrivals: Annotated[bool, "measure what arrived with each feed by itself, too (models of text)"] = False,
    precision: Annotated[
        Literal["fp32", "bf16", "int8", "int4"] | None, "measure as sampling computes in this precision (gpt only)"
    ] = None,
    tasks: Annotated[Path | None, "answer the multiple-choice questions of this file instead (JSON lines)"] = None,
) -> JobRequest:
    """Measure a model on all of its held-out data: loss in nats per token, perplexity, bits per byte.

    Of a classifier: loss in nats per picture, accuracy, and how each class fares. With --tasks: how often the right one
    of several given answers is the likeliest, plain and with scores divided by length.
    """
    if tasks is not None and (plot is not None or arrivals):
        raise UsageError("--tasks measures questions only; leave out --plot and --arrivals.")
    if precision is not None and (plot is not None or arrivals):
        raise UsageError("--precision measures the whole held-out text; leave out --plot and --arrivals.")
    card = ModelCards(workspace).get(model)
    announce(workspace, "evaluate")
    settings = load("treadle.recipes.settings:settings_of_run")(workspace, card, overrides, None)
    picture = None if plot is None else str(plot.expanduser().absolute())
    questions = None if tasks is None else str(tasks.expanduser().absolute())
    payload = EvaluatePayload(card.id, str(checkpoint), settings, picture, arrivals, precision, questions)
    return model_job(workspace, "evaluate", asdict(payload), lane="light")


def _draft_shape(wanted: str | None) -> str | None:
    """What was asked for as a draft model; raises `UsageError` for what is no shape."""
    if wanted is None or wanted == "auto":
        return wanted
    found = re.fullmatch(r"([1-9]\d?)x([1-9]\d{1,3})", wanted)
    if found is None or int(found[1]) > _MOST_LAYERS or int(found[2]) > _MOST_WIDTH or int(found[2]) % _HEAD_WIDTH:
        raise UsageError(
            f"--draft takes auto or a shape, layers x width, such as 2x128 (at most {_MOST_LAYERS} layers, a width of "
            f"whole heads of {_HEAD_WIDTH}, at most {_MOST_WIDTH}); not {wanted!r}."
        )
    return wanted


def length(
    epochs: float | None, steps: int | None, minutes: float | None, more: float | None = None
) -> tuple[Literal["epochs", "steps", "minutes", "more", "default"], float]:
    """The one length that was given as a unit and a number; `default` if none was."""
    lengths: list[tuple[Literal["epochs", "steps", "minutes", "more"], float | None]] = [
        ("epochs", epochs),
        ("steps", steps),
        ("minutes", minutes),
        ("more", more),
    ]
    given = [(unit, float(value)) for unit, value in lengths if value is not None]
    if len(given) > 1:
        raise UsageError(f"Give one length, not both --{given[0][0]} and --{given[1][0]}.")
    for unit, value in given:
        if not 0 < value < float("inf"):
            raise UsageError(f"--{unit} must be greater than 0, not {value:g}.")
    return given[0] if given else ("default", 0.0)
