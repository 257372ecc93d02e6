"""Operations on settings: config show, config check."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting with its origin."""

    key: str
    value: Any
    origin: str
    """The file and line, or the flag, that set it."""
    description: str
    takes: dict[str, Any] = field(default_factory=dict)
    """What may be given for it: `kind`, `choices`, `minimum`, `maximum`, `optional`."""


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """Settings in force."""

    settings: list[Setting]


@dataclass(frozen=True, slots=True)
class SettingsCheck:
    """What is wrong in the files of settings."""

    ok: bool
    findings: list[dict[str, Any]]
    """Each with `path`, `line`, `message`."""


@operation(
    "light",
    effect="reads",
    noun="config",
    examples=(
        "treadle config show",
        "treadle config show --model bard --origin training.batch_size",
        "treadle config show size=tiny training.clip=0.5",
    ),
)
def show(
    workspace: WorkspaceFolder,
    overrides: Annotated[list[str], "settings as key=value, as for train"] = [],  # noqa: B006 - never changed
    *,
    model: Annotated[str | None, "settings of this model; none = of a new one"] = None,
    origin: Annotated[str | None, "only this setting"] = None,
    config: Annotated[Path | None, "YAML file of settings for a run (see the guide, Configuration)"] = None,
) -> SettingsReport:
    """Show the settings in force and where each comes from."""
    card = None if model is None else ModelCards(workspace).get(model)
    rows = load("treadle.recipes.settings:rows")(workspace, card, overrides, config, origin)
    return SettingsReport([Setting(**row) for row in rows])


@operation("light", effect="reads", noun="config", examples=("treadle config check",))
def check(workspace: WorkspaceFolder) -> SettingsCheck:
    """Check all files of settings of this workspace: unknown keys, wrong values, duplicates. Exit code 1 if any."""
    findings = load("treadle.recipes.settings:check")(workspace)
    return SettingsCheck(not findings, findings)
