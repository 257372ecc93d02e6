"""Operations on runs, which are what in fact happened: runs list, show, samples, compare, metrics, lineage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

_RUNS = "id of a run, or name of a model for its newest training; may be repeated"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in a list. What was not measured is None."""

    id: str
    kind: str
    model: str | None
    """Name of its model, if that is still here."""
    model_id: str | None
    job: int | None
    outcome: str
    """`done`, `stopped`, `failed`; `running`, `waiting`, `lost` of one without a result; `unknown` if damaged."""
    created: float
    ended: float | None
    target: str
    """What was asked for, such as `10 epochs`."""
    step: int | None
    epoch: float | None
    seconds: float | None
    """Time spent on the budget."""
    loss: float | None
    """Mean over the last 20 steps: nats per token or picture, squared error per clip."""
    best: float | None
    """Lowest held-out loss."""
    best_step: int | None
    last: float | None
    """Newest held-out loss."""
    at: float | None
    """Loss at the step that was asked for, over the 20 steps up to it."""
    bits_per_byte: float | None
    accuracy: float | None
    targets_per_second: float | None
    processor_seconds: float | None
    memory_bytes: int | None
    error: str | None
    unit: str = ""
    """What the examples of its model are counted in; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs, newest first."""

    runs: list[RunSummary]
    total: int
    """How many there are of these, shown or not."""
    at: int | None


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that is known of one run."""

    run: RunSummary
    request: dict[str, Any]
    """What was asked for, without the settings."""
    settings: list[dict[str, Any]]
    """As they were: `key`, `value`, `origin`."""
    result: dict[str, Any] | None
    samples: list[dict[str, Any]]
    """What the model wrote while it was trained: `step`, `epoch`, `text`, `seed`, ..."""
    checkpoints: list[dict[str, Any]]
    """Those of this run that are kept: `step`, `roles`, `held_out`, `path`."""
    notes: list[dict[str, Any]]
    """What it said about itself: `time`, `type`, `message`."""
    columns: list[str]
    """What was measured at its steps; see `runs metrics`."""
    first: int | None
    """Step of its first row."""
    dataset: str | None
    folder: str


@dataclass(frozen=True, slots=True)
class SampleList:
    """What models wrote while they were trained, by step."""

    samples: list[dict[str, Any]]
    """Each with `run`, `step`, `epoch`, `text`, `seed`, ..."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs side by side."""

    runs: list[RunSummary]
    differing: list[dict[str, Any]]
    """Settings that are not alike: `key`, `values` in the order of the runs."""
    alike: int
    """How many settings are."""


@dataclass(frozen=True, slots=True)
class MetricReport:
    """Stretches of curves, gathered into as many buckets as can be seen."""

    by: str
    metric: list[str]
    curves: list[dict[str, Any]]
    """Each with `run`, `model`, `metric`, `width` (steps of a bucket), `x`, `mean`; `min` and `max`, which are empty
    where each bucket is one step; and `steps`, which is empty where `x` are steps."""


@dataclass(frozen=True, slots=True)
class RunGraph:
    """What came of what: datasets, runs, checkpoints, models."""

    nodes: list[dict[str, Any]]
    """Each with `id`, `kind` (dataset, run, checkpoint, model), `label`, `model`, `facts`."""
    edges: list[dict[str, str]]
    """Each with `source`, `target`, `says`."""


@operation(
    "light",
    effect="reads",
    noun="runs",
    verb="list",
    examples=(
        "treadle runs list",
        "treadle runs list bard --kind train --at 500",
        "treadle runs list --outcome failed",
        "treadle runs list --where training.batch_size=16 --where family.layers=4 --json",
    ),
)
def list_(
    workspace: WorkspaceFolder,
    model: Annotated[str | None, "only runs of this model"] = None,
    *,
    kind: Annotated[str | None, "only runs of this kind, such as train, evaluate or feed"] = None,
    outcome: Annotated[
        Literal["all", "done", "stopped", "failed", "running", "waiting", "lost", "unknown"], "only those that ended so"
    ] = "all",
    where: Annotated[list[str], "only runs with this setting, as key=value; may be repeated"] = [],  # noqa: B006
    at: Annotated[int | None, "also tell the loss at this step"] = None,
    count: Annotated[int, "at most so many, the newest"] = 100,
) -> RunList:
    """List runs, newest first: what was asked, how it ended, last and best losses, what it took."""
    if count < 1:
        raise UsageError(f"--count is {count}; it must be at least 1.")
    chosen = load("treadle.recipes.runs:Chosen")(model, kind, None if outcome == "all" else outcome, tuple(where))
    found, total = load("treadle.recipes.runs:summaries")(workspace, chosen, at, count)
    return RunList([RunSummary(**row) for row in found], total, at)


@operation(
    "light",
    effect="reads",
    noun="runs",
    examples=("treadle runs show r-01m813tpf0j5r2qn", "treadle runs show bard --json"),
)
def show(workspace: WorkspaceFolder, run: Annotated[str, _RUNS.partition(";")[0]]) -> RunReport:
    """Show a run: what was asked, with which settings, what it wrote on the way, what came of it."""
    facts = load("treadle.recipes.runs:described")(workspace, run)
    return RunReport(**{**facts, "run": RunSummary(**facts["run"])})


@operation(
    "light", effect="reads", noun="runs", examples=("treadle runs samples bard", "treadle runs samples bard --json")
)
def samples(workspace: WorkspaceFolder, runs: Annotated[list[str], _RUNS]) -> SampleList:
    """Show what a model wrote while it was trained: samples by step, each with its seed."""
    return SampleList(load("treadle.recipes.runs:samples_of")(workspace, runs))


@operation(
    "light",
    effect="reads",
    noun="runs",
    examples=("treadle runs compare bard poet", "treadle runs compare r-01m813tpf0j5r2qn r-01m82ab3k0z9q7ws --json"),
)
def compare(workspace: WorkspaceFolder, runs: Annotated[list[str], _RUNS]) -> RunComparison:
    """Compare runs: what each came to, and the settings that are not the same in all of them."""
    facts = load("treadle.recipes.runs:compared")(workspace, runs)
    return RunComparison(**{**facts, "runs": [RunSummary(**row) for row in facts["runs"]]})


@operation(
    "light",
    effect="reads",
    noun="runs",
    examples=(
        "treadle runs metrics bard",
        "treadle runs metrics bard poet --metric held_out_loss --by seconds",
        "treadle runs metrics bard --first 1000 --last 2000 --points 50 --json",
    ),
)
def metrics(
    workspace: WorkspaceFolder,
    runs: Annotated[list[str], _RUNS],
    *,
    metric: Annotated[
        list[str], "what to read: loss (unless given), held_out_loss, learning_rate, ...; may be repeated"
    ] = [],  # noqa: B006 - never changed
    by: Annotated[Literal["step", "seconds", "epoch"], "what stands below the curve"] = "step",
    points: Annotated[int, "at most about so many points for each curve"] = 400,
    first: Annotated[int | None, "from this step on"] = None,
    last: Annotated[int | None, "up to this step"] = None,
) -> MetricReport:
    """Read curves of runs. Of a long one, each point stands for many steps: their mean, smallest and largest value.

    What it costs hangs on the number of points, not on that of the steps.
    """
    if not 2 <= points <= 10_000:
        raise UsageError(f"--points is {points}; it must lie between 2 and 10000.")
    stretch = load("treadle.recipes.run_curves:Stretch")(by, points, first, last)
    wanted = list(metric) or ["loss"]
    return MetricReport(by, wanted, load("treadle.recipes.run_curves:curves")(workspace, runs, wanted, stretch))


@operation("light", effect="reads", noun="runs", examples=("treadle runs lineage", "treadle runs lineage bard --json"))
def lineage(
    workspace: WorkspaceFolder, model: Annotated[str | None, "only this model and those that it was copied from"] = None
) -> RunGraph:
    """Show what came of what: versions of data, trainings, checkpoints, copies of models."""
    return RunGraph(**load("treadle.recipes.run_graph:graph")(workspace, model))
