"""Operations on models as things: new, list, show, delete."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from treadle.base.errors import UsageError
from treadle.jobs.inbox import inbox_of
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCard, ModelCards
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One line of the list of models."""

    id: str
    name: str
    family: str
    size: str
    created: str
    steps: int
    """Optimizer steps behind the newest checkpoint."""
    held_out: float | None
    """Held-out loss of the best checkpoint: nats per token or picture, squared error per clip."""
    best_step: int | None
    """Step of that checkpoint."""
    epochs: float = 0.0
    """Passes over the data behind the newest checkpoint."""
    unit: str = "tokens"
    """What its examples are counted in; empty if its family is not there any more."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """All models of the workspace."""

    workspace: str
    models: list[ModelSummary]
    damaged: list[str]
    """What is wrong with models whose cards cannot be read, each with its file and the remedy."""
    of_experiments: int = 0
    """Models that are cells of experiments; they are not listed."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """All that is known of one model. Every number was written by something that ran."""

    id: str
    name: str
    family: str
    size: str
    created: str
    parameters: int | None
    """Number of trained values; None until the vocabulary is known."""
    vocabulary: int | None
    folder: str
    epochs_trained: float
    """Passes over the training part of the data, by the newest checkpoint."""
    steps: int
    documents: dict[str, Any]
    """`accepted` and `refused` (reason -> number)."""
    tokens: dict[str, int]
    """`in = trained_once + buffered + held_out`; beside it `trained_by_epoch`, which counts each pass anew."""
    checkpoints: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    settings: dict[str, dict[str, Any]]
    """Dotted key -> `value` and `origin`."""
    next_step: str
    """A command that makes sense now."""
    problem: str | None = None
    """Why its data cannot be read as they are, if so."""
    dataset: dict[str, Any] = field(default_factory=dict)
    limits: list[dict[str, Any]] = field(default_factory=list)
    """Settings that may not change freely once there are weights: `key`, `value`, `possible`, `because`."""
    unit: str = "tokens"
    """What its examples are counted in."""
    plot: str | None = None
    """The picture that was written."""
    inbox: dict[str, Any] | None = None
    """Its `folder`, what lies there (`waiting`, `taken`, `refused`), and whether a worker looks there (`watched`)."""
    waiting: dict[str, Any] | None = None
    """What was fed and not trained, and what it waits for: `tokens`, `batch`, `batches`, `due`, `reason`."""


@dataclass(frozen=True, slots=True)
class LineageReport:
    """Where something came from; what is None is not known, and `missing` says why."""

    kind: str
    """`sample`, `run` or `model`."""
    what: str
    sample: dict[str, Any] | None
    model: dict[str, Any] | None
    checkpoint: dict[str, Any] | None
    """`step`, `path`, `weights_sha256`, `tokenizer_hash`, `plan`, and those it went on from in `before`."""
    run: dict[str, Any] | None
    settings: list[dict[str, Any]]
    """As they were: `key`, `value`, and the `layer`, `file`, `line` that set it."""
    dataset: dict[str, Any] | None
    documents: list[dict[str, Any]]
    """All of that version: `id` (hash of the text), `source`, `bytes`, and the `file` as it is now."""
    missing: list[str]


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """Where a deleted model lies."""

    name: str
    trash: str
    cancelled: list[int] = field(default_factory=list)
    """Jobs that waited for it."""
    schedules: list[str] = field(default_factory=list)
    """Schedules that queued jobs for it, and were removed."""


@operation(
    "light",
    examples=(
        "treadle new bard",
        "treadle new bard --size small --tokenizer char",
        "treadle new novelist --tokenizer bpe:8192",
        "treadle new diary --standing",
        "treadle new lab training.batch_size=8 data.sequence_length=128",
    ),
)
def new(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the model: letters, digits, '-', '_', '.'"],
    overrides: Annotated[list[str], "settings as key=value, kept with the model"] = [],  # noqa: B006 - never changed
    *,
    size: Annotated[
        str | None,
        "size: nano (0.7 M parameters), tiny (1 M), small (9 M), medium (25 M) or base (90 M); small unless set",
    ] = None,
    family: Annotated[str | None, "preset of the kind of network, such as gpt or gpt2; gpt unless set"] = None,
    tokenizer: Annotated[
        str | None,
        "auto, bytes, char, bpe:SIZE, unigram:SIZE or the file of a tokenizer; auto, by the amount of text, unless set",
    ] = None,
    standing: Annotated[bool, "train by itself whatever is fed, as soon as there is a whole batch of it"] = False,
) -> ModelReport:
    """Make a named model, which then learns from what it is fed."""
    overrides = ["training.auto_train=on", *overrides] if standing else overrides
    settings = load("treadle.recipes.settings:settings_of_new_model")(workspace, size, family, tokenizer, overrides)
    card = ModelCards(workspace).create(name, settings)
    inbox_of(workspace, card.id).mkdir(exist_ok=True)
    return _described(workspace, card, None)


@operation("light", effect="reads", verb="list", examples=("treadle list", "treadle list --json"))
def list_(workspace: WorkspaceFolder) -> ModelList:
    """List the models of this workspace."""
    cards = ModelCards(workspace)
    models = []
    known = cards.all()
    for card in known:
        if card.experiment is not None:
            continue
        facts = load("treadle.recipes.listing:newest_facts")(cards.folder(card))
        unit = load("treadle.recipes.listing:unit_of_family")(card.network)
        models.append(ModelSummary(card.id, card.name, card.family, card.size, card.created, **facts, unit=unit))
    damaged = [str(error) for error in cards.damaged()]
    return ModelList(str(workspace.root), models, damaged, len(known) - len(models))


@operation(
    "light",
    effect="reads",
    examples=(
        "treadle show bard",
        "treadle show bard --origins",
        "treadle show bard --limits",
        "treadle show bard --plot curve.png",
        "treadle show r-01m813tpf0j5r2qn --lineage",
        "treadle show bard --json",
    ),
)
def show(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model; with --lineage also the id of a run, or the file of a sample"],
    *,
    lineage: Annotated[bool, "show where it came from: checkpoint, run, settings, dataset, documents, files"] = False,
    origins: Annotated[bool, "list every setting with the file or flag that set it"] = False,  # noqa: ARG001 - doors read it
    limits: Annotated[bool, "list what may not change freely once the model has weights, and why"] = False,  # noqa: ARG001 - doors read it
    plot: Annotated[Path | None, "draw the loss by step, trained and held out, to this file (.png, .svg, .pdf)"] = None,
) -> ModelReport | LineageReport:
    """Show a model: what it has learned, from what, with which settings.

    `--lineage` walks from a sample (the file that `treadle sample --json` wrote), a run or a model to the checkpoint,
    the settings, the dataset version, the documents and their files.
    """
    if lineage:
        return LineageReport(**load("treadle.recipes.lineage:lineage")(workspace, model))
    if model.startswith("r-") and (workspace.runs / model).is_dir():
        raise UsageError(f"`{model}` is a run. Where it came from, and what it made: treadle show {model} --lineage")
    card = ModelCards(workspace).get(model)
    if plot is not None:
        load("treadle.recipes.curves:plot_history")(workspace, card, plot)
    return _described(workspace, card, plot)


def _described(workspace: WorkspaceFolder, card: ModelCard, plot: Path | None) -> ModelReport:
    picture = None if plot is None else str(plot)
    return ModelReport(**load("treadle.recipes.describe:describe")(workspace, card), plot=picture)


@operation("light", effect="removes", examples=("treadle delete bard",))
def delete(workspace: WorkspaceFolder, model: Annotated[str, "name of the model"]) -> DeleteReport:
    """Move a model to the workspace's trash; nothing is erased. Refused while the model is training.

    Jobs that wait for it are cancelled, and schedules that queue them are removed.
    """
    cards = ModelCards(workspace)
    card = cards.get(model)
    trash = cards.delete(card)
    with load("treadle.jobs.ledger:Ledger").open(workspace) as ledger:
        cancelled, schedules = ledger.forget_queue(f"model:{card.id}", f"`{card.name}` was deleted.")
    return DeleteReport(card.name, str(trash), cancelled, schedules)
