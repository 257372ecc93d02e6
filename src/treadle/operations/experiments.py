"""Operations on experiments: experiment run, list, show, delete."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from treadle.jobs.presence import announce
from treadle.jobs.request import JobRequest
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class ExperimentPayload:
    """Which trainings an experiment is made of; a snapshot that later edits do not change."""

    plan: dict[str, Any]
    """`id`, `name`, `question`, `settings`, `cells` (label, flags), `budget`, `seeds`, `on`."""


@dataclass(frozen=True, slots=True)
class ExperimentList:
    """All experiments of the workspace."""

    experiments: list[dict[str, Any]]
    """Each with `name`, `question`, `cells`, `seeds`, `budget`, `done`, `wanted`, `verdict`."""
    studies: list[str]
    """Shipped studies, for `--study`."""


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """What an experiment has found so far."""

    name: str
    question: str
    budget: str
    seeds: int
    settings: list[str]
    """Settings of all cells."""
    measure: str
    """What cells are compared by: `held_out` or `bits_per_byte`."""
    unit: str
    rows: list[dict[str, Any]]
    """Each cell: `label`, `mean`, `deviation`, `losses`, and means of what it took."""
    done: int
    wanted: int
    failed: dict[str, str]
    """Reasons by the key of the training."""
    verdict: dict[str, Any]
    """`kind` (best, no_difference, undecided), `sentence`, the `best` cells, the standard `error` of the difference."""
    rule: str
    command: str
    """What goes on with it."""
    folder: str
    report: str | None
    pictures: list[str]


@dataclass(frozen=True, slots=True)
class ExperimentRemoval:
    """Where a deleted experiment lies."""

    name: str
    models: int
    trash: str


@operation(
    "heavy",
    noun="experiment",
    examples=(
        "treadle experiment run depth --grid family.layers=2,4 --budget 60s --on bundled:shakespeare size=nano",
        "treadle experiment run rates --grid training.optimizer=adamw,muon --budget 200steps --seeds 5 --on bard",
        "treadle experiment run --study optimizers",
        "treadle experiment run depth --seeds 5",
    ),
)
def run(
    workspace: WorkspaceFolder,
    name: Annotated[str | None, "name of the experiment; with --study, that of the study unless given"] = None,
    overrides: Annotated[list[str], "settings of all cells as key=value"] = [],  # noqa: B006 - never changed
    *,
    grid: Annotated[list[str], "setting to vary: key=a,b or key=range(1,5); several multiply"] = [],  # noqa: B006
    on: Annotated[list[str], "what the cells learn from: a model with data, files, bundled:NAME; may be repeated"] = [],  # noqa: B006
    budget: Annotated[
        str | None, "what each training may use: 60s, 5m, 200steps, 100000tokens, 2epochs, 1000000bytes of text"
    ] = None,
    seeds: Annotated[int | None, "trainings of each cell, each from other first weights; 3 unless given"] = None,
    study: Annotated[str | None, "a shipped study: see treadle experiment list"] = None,
) -> JobRequest:
    """Train every cell of a grid with equal budgets and several seeds, and compare them in one report.

    `run` may be left out. Each training is a job and a model of its own, one after the other. Ctrl-C leaves the
    experiment running; the same command goes on with it, or adds cells and seeds, and what is done is not done again.
    """
    asked = load("treadle.recipes.experiment_plan:Asked")(name, overrides, grid, on, budget, seeds, study)
    announce(workspace, "experiment")
    plan = load("treadle.recipes.experiment_plan:plan_experiment")(workspace, asked)
    payload = ExperimentPayload(plan.to_json())
    return JobRequest(workspace, f"experiment:{plan.name}", "experiment", asdict(payload), "light")


@operation("light", effect="reads", noun="experiment", verb="list", examples=("treadle experiment list",))
def list_(workspace: WorkspaceFolder) -> ExperimentList:
    """List the experiments of this workspace, and the studies that can be run."""
    found = load("treadle.recipes.experiment_report:listed")(workspace)
    return ExperimentList(found, load("treadle.config.studies:study_names")())


@operation(
    "light",
    effect="reads",
    noun="experiment",
    examples=("treadle experiment show depth", "treadle experiment show depth --json"),
)
def show(workspace: WorkspaceFolder, name: Annotated[str, "name of the experiment"]) -> ExperimentReport:
    """Show what an experiment has found so far, and its verdict."""
    return ExperimentReport(**load("treadle.recipes.experiment_report:shown")(workspace, name))


@operation("light", effect="removes", noun="experiment", examples=("treadle experiment delete depth",))
def delete(workspace: WorkspaceFolder, name: Annotated[str, "name of the experiment"]) -> ExperimentRemoval:
    """Move an experiment and its models to the workspace's trash. Refused while one of them is training."""
    return ExperimentRemoval(**load("treadle.recipes.experiment_removal:remove")(workspace, name))
