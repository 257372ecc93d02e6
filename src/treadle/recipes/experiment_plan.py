"""What an experiment is to do: its cells, their budget, what they learn from; checked before it begins."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.hashing import hash_json
from treadle.base.ids import new_id
from treadle.base.names import check_name
from treadle.config.compose import Sources, compose
from treadle.config.studies import read_study
from treadle.config.sweeps import Cell, cells, read_axis
from treadle.data.bundled.texts import BUNDLED, bundled_files
from treadle.models.catalog import FAMILIES
from treadle.recipes.experiment_files import ExperimentFiles
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.config.settings import Settings
    from treadle.store.workspace import WorkspaceFolder

OWN_SETTINGS = (
    *("training.evaluate_every=0", "training.evaluation_examples=0", "training.sample_every=0"),
    *("training.sample_minutes=0", "training.checkpoint_every=0", "training.keep_last=1", "training.keep_best=false"),
)
"""What cells do unless told otherwise: nothing beside training takes time, and all held-out data are measured."""
_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|m|h|steps|tokens|epochs|bytes)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MANY = 500
_LONGEST_NAME = 30
"""A model is called `NAME.KEY`, and what stands behind the point has up to 33 characters."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for; what is None or empty is to be taken from the study, or from what there is."""

    name: str | None
    overrides: Sequence[str]
    grid: Sequence[str]
    on: Sequence[str]
    budget: str | None
    seeds: int | None
    study: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment, complete."""

    id: str
    name: str
    question: str
    settings: tuple[str, ...]
    """Settings of all cells."""
    cells: tuple[Cell, ...]
    budget: str
    seeds: int
    on: tuple[str, ...]
    """`model:ID`, or absolute paths."""

    def members(self) -> list[Member]:
        """Every cell with every seed; all cells with the first seed come first."""
        return [Member(cell, seed) for seed in range(1, self.seeds + 1) for cell in self.cells]

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Plan:
        """Read back what `to_json` wrote."""
        found = tuple(Cell(cell["label"], tuple(cell["flags"])) for cell in stored["cells"])
        return cls(**{**stored, "cells": found, "settings": tuple(stored["settings"]), "on": tuple(stored["on"])})


@dataclass(frozen=True, slots=True)
class Member:
    """One cell with one seed: a model of its own."""

    cell: Cell
    seed: int

    @property
    def key(self) -> str:
        """Its name inside the experiment: the same for as long as the cell has the same settings."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.cell.label).strip("-")[:24].strip("-")
        return f"{words}.{hash_json(list(self.cell.flags))[:4]}-{self.seed}"

    def flags(self, plan: Plan) -> list[str]:
        """All settings of its model, the later ones above the earlier."""
        return [*OWN_SETTINGS, *plan.settings, *self.cell.flags, f"training.seed={self.seed}"]


def plan_experiment(workspace: WorkspaceFolder, asked: Asked) -> Plan:
    """Complete and check what was asked; every cell is composed, so that nothing is wrong with the last one only."""
    asked = _with_name(asked)
    if len(check_name("experiment", str(asked.name))) > _LONGEST_NAME:
        raise UsageError(
            f"`{asked.name}` is too long: an experiment's models bear its name. Take one of at most {_LONGEST_NAME} "
            "characters."
        )
    files = ExperimentFiles.of(workspace, str(asked.name))
    before = Plan.from_json(files.plan()) if files.exists() else None
    if before is not None and not (workspace.datasets / before.id).is_dir():
        before = None  # it never came as far as its data
    plan = _first_plan(workspace, asked) if before is None else _changed_plan(workspace, asked, before)
    if plan.seeds < 1:
        raise UsageError(f"An experiment needs at least one seed, not {plan.seeds}.")
    if len(plan.members()) > _MANY:
        raise UsageError(f"That makes {len(plan.members()):,} trainings; an experiment has at most {_MANY}.")
    _check_cells(workspace, plan)
    return plan


def _with_name(asked: Asked) -> Asked:
    """A first word such as `size=tiny` is a setting, not a name; without a name the study gives it."""
    fields = {field: getattr(asked, field) for field in Asked.__slots__}
    if asked.name is not None and "=" in asked.name:
        fields |= {"name": None, "overrides": [asked.name, *asked.overrides]}
    fields["name"] = fields["name"] or asked.study
    if fields["name"] is None:
        raise UsageError("Give the experiment a name, such as: treadle experiment depth --grid family.layers=2,4 ...")
    return Asked(**fields)


def _first_plan(workspace: WorkspaceFolder, asked: Asked) -> Plan:
    study = None if asked.study is None else read_study(asked.study)
    if study is None and not asked.grid:
        _nothing_to_vary(workspace, asked)
    axes = [read_axis(text) for text in [*(study.grid if study else ()), *asked.grid]]
    budget = asked.budget or (study.budget if study else None)
    sources = asked.on or (study.learns_from if study else ())
    if budget is None:
        raise UsageError(
            "Say what each cell may use: --budget 60s, 5m, 200steps, 100000tokens, 2epochs or 1000000bytes."
        )
    if not sources:
        raise UsageError("Say what the cells learn from: --on a model with data, files, or bundled:shakespeare.")
    return Plan(
        id=new_id("x"),
        name=str(asked.name),
        question=study.question if study else f"Which of {' x '.join(axis.key for axis in axes)}?",
        settings=(*(study.settings if study else ()), *asked.overrides),
        cells=tuple(cells(axes, study.cells if study else None)),
        budget=_spelled(budget),
        seeds=asked.seeds or (study.seeds if study else 3),
        on=_sources(workspace, sources),
    )


def _nothing_to_vary(workspace: WorkspaceFolder, asked: Asked) -> None:
    known = [files.name for files in ExperimentFiles.all(workspace)]
    there = f" Experiments that can go on: {', '.join(known)}." if known else ""
    example = f"treadle experiment {asked.name} --grid family.layers=2,4 --budget 60s --on bundled:shakespeare"
    raise UsageError(f"No experiment `{asked.name}` yet, and nothing to vary.{there} Begin one: {example}")


def _changed_plan(workspace: WorkspaceFolder, asked: Asked, before: Plan) -> Plan:
    """The experiment that exists, perhaps with another grid or more seeds; what all cells share stays."""
    study = None if asked.study is None else read_study(asked.study)
    shared: dict[str, tuple[Any, Any]] = {
        "--budget": (_spelled(asked.budget or (study.budget if study else "")), before.budget),
        "--on": (_sources(workspace, asked.on) if asked.on else None, before.on),
        "settings": (
            tuple(asked.overrides) and (*(study.settings if study else ()), *asked.overrides),
            before.settings,
        ),
    }
    for name, (wanted, is_) in shared.items():
        if wanted and wanted != is_:
            shown = " ".join(is_) if isinstance(is_, tuple) else is_
            raise UsageError(
                f"`{before.name}` exists with other {name} ({shown or 'none'}), and its cells would not be comparable. "
                f"Take another name, or remove it: treadle experiment delete {before.name}"
            )
    found = before.cells
    if asked.grid or study:
        axes = [read_axis(text) for text in [*(study.grid if study else ()), *asked.grid]]
        found = tuple(cells(axes, study.cells if study else None))
    return Plan(**{**_fields(before), "cells": found, "seeds": before.seeds if asked.seeds is None else asked.seeds})


def _fields(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in Plan.__slots__}


def _sources(workspace: WorkspaceFolder, given: Sequence[str]) -> tuple[str, ...]:
    """Models by id, everything else as absolute paths that exist."""
    if len(given) == 1 and not Path(given[0]).exists() and not given[0].startswith(BUNDLED):
        try:
            return (f"model:{ModelCards(workspace).get(given[0]).id}",)
        except NotFoundError as error:
            raise UsageError(f"`{given[0]}` is neither a file nor a model. {error}") from error
    found = []
    for text in given:
        if text.startswith(BUNDLED):
            bundled_files(text)
        elif not Path(text).expanduser().exists():
            raise UsageError(f"There is no file {text}; several sources must all be files or folders.")
        found.append(str(Path(text).expanduser().absolute()))
    return tuple(found)


def settings_of(workspace: WorkspaceFolder, member: Member, plan: Plan) -> Settings:
    """All settings of one member, composed."""
    return compose(Sources(workspace_file=workspace.settings_file, flags=member.flags(plan)))


def _check_cells(workspace: WorkspaceFolder, plan: Plan) -> None:
    """Raise for a wrong setting in any cell, for a budget that fits none, and for cells that need unlike data."""
    needs = set()
    for cell in plan.cells:
        settings = settings_of(workspace, Member(cell, 1), plan)
        needs.add(needs_of(settings))
        length(plan.budget, settings, 1)
    if len(needs) > 1:
        raise UsageError(
            f"The cells learn from different kinds of data ({', '.join(sorted(needs))}); they cannot be compared."
        )
    labels = [cell.label for cell in plan.cells]
    if len(set(labels)) != len(labels):
        raise UsageError(f"Two cells are called alike: {', '.join(labels)}.")


def needs_of(settings: Settings) -> str:
    """The kind of data that these settings make a model for."""
    needs: str = FAMILIES.get(settings.values()["family"]["name"]).needs
    return needs


def _spelled(budget: str) -> str:
    """A budget as everybody writes it; what is none stays as it is, for `length` to refuse."""
    match = _BUDGET.fullmatch(budget)
    return budget if match is None else f"{float(match[1]):.12g} {match[2]}"


def length(budget: str, settings: Settings, dataset_bytes: int) -> tuple[str, float]:
    """What a budget means for a training with these settings: its unit and amount, as `train` takes them.

    Tokens become steps, rounded up; bytes become passes over the training part of a text of `dataset_bytes`.
    """
    match = _BUDGET.fullmatch(budget)
    if match is None or not float(match[1]):
        raise UsageError(
            f"`{budget}` is no budget. Write 60s, 5m or 1h of wall time, 200steps, 100000tokens, 2epochs, 1000000bytes."
        )
    amount, unit = float(match[1]), match[2]
    if unit in _SECONDS:
        return "minutes", amount * _SECONDS[unit] / 60
    if unit in {"steps", "epochs"}:
        return unit, math.ceil(amount) if unit == "steps" else amount
    if needs_of(settings) != "tokens":
        raise UsageError(f"A budget of {unit} is for text; give pictures steps, epochs or time.")
    if unit == "bytes":
        return "epochs", amount / (dataset_bytes * (1 - settings.data.held_out))
    return "steps", math.ceil(amount / (settings.training.examples_per_step * settings.data.sequence_length))
