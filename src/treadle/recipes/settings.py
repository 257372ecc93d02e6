"""Settings for the operations: of a new model, of a run, as rows to show, as findings to mend."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.config import show
from treadle.config.compose import Sources, compose
from treadle.config.constraints import changes_refused, kept_with_model
from treadle.config.schema import SECTIONS
from treadle.config.settings import Settings
from treadle.config.tree import Finding
from treadle.data.tokenizers.choice import parse_choice
from treadle.registry.catalogue import load
from treadle.store.models import CARD_FILE, ModelCards
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder


def settings_of_new_model(
    workspace: WorkspaceFolder, size: str | None, family: str | None, tokenizer: str | None, overrides: Sequence[str]
) -> dict[str, Any]:
    """Check the settings of a model to be made; return what its card keeps of them."""
    named = {"size": size, "family": family, "data.tokenizer": None if tokenizer is None else _quoted(tokenizer)}
    flags = [*(f"{key}={value}" for key, value in named.items() if value is not None), *overrides]
    kept = kept_with_model(compose(Sources(workspace_file=workspace.settings_file, flags=flags)))
    chosen = parse_choice(kept["data"]["tokenizer"])
    if chosen.path:
        path = Path(chosen.path).expanduser().absolute()
        load("treadle.data.tokenizers.exchange:read_tokenizer")(path)  # refuses now what could not be used later
        kept["data"]["tokenizer"] = str(path)
    return kept


def _quoted(text: str) -> str:
    """Write a text so that the grammar of `key=value` reads it back as it is."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def settings_of_run(
    workspace: WorkspaceFolder, card: ModelCard, overrides: Sequence[str], run_file: Path | None
) -> dict[str, Any]:
    """All settings of one run, resolved: a snapshot that later edits do not change.

    Raises `UsageError` for changes that the model's weights cannot follow.
    """
    settings = compose(_sources(workspace, card, overrides, run_file))
    latest = CheckpointFolder(ModelCards(workspace).folder(card) / "checkpoints").latest()
    if latest is not None:
        trained_with = Settings.from_dict(latest.record.settings or {}, str(latest.path))
        refused = changes_refused(trained_with, settings)
        if refused:
            raise UsageError("\n".join(refused))
    return settings.to_dict()


def edited_settings(
    workspace: WorkspaceFolder, card: ModelCard, stored: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """The settings of a job that waits, with some of them changed; the others stay as they were asked for."""
    sections = {name: stored[name] for name in SECTIONS}
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder) / "snapshot.yaml"
        snapshot.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
        changed = settings_of_run(workspace, card, overrides, snapshot)
    kept = {key: origin for key, origin in stored["origins"].items() if _leaf(changed, key) == _leaf(stored, key)}
    return {**changed, "origins": {**changed["origins"], **kept}, "choices": stored["choices"]}


def _leaf(settings: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - any setting
    found: Any = settings
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def settings_of_model(workspace: WorkspaceFolder, card: ModelCard, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a model as they are now."""
    return compose(_sources(workspace, card, overrides, None))


def rows(
    workspace: WorkspaceFolder,
    card: ModelCard | None,
    overrides: Sequence[str],
    run_file: Path | None,
    only: str | None,
) -> list[dict[str, Any]]:
    """Every setting with `key`, `value`, `origin`, `description`, `takes`; with `only`, that one or its section."""
    settings = compose(_sources(workspace, card, overrides, run_file))
    return [
        {
            "key": row.key,
            "value": row.value,
            "origin": str(row.origin),
            "description": row.description,
            "takes": asdict(row.takes),
        }
        for row in show.rows(settings, only)
    ]


def check(workspace: WorkspaceFolder) -> list[dict[str, Any]]:
    """What is wrong in `treadle.yaml` and in the cards of the models."""
    findings = show.check(Sources(workspace_file=workspace.settings_file))
    for card in ModelCards(workspace).all():
        findings += show.check(_sources(workspace, card, (), None))
    damaged = [Finding(str(error), str(workspace.models)) for error in ModelCards(workspace).damaged()]
    return [
        {"path": finding.file, "line": finding.line, "message": finding.message}
        for finding in dict.fromkeys([*findings, *damaged])
    ]


def _sources(
    workspace: WorkspaceFolder, card: ModelCard | None, overrides: Sequence[str], run_file: Path | None
) -> Sources:
    return Sources(
        workspace_file=workspace.settings_file,
        model_file=None if card is None else ModelCards(workspace).folder(card) / CARD_FILE,
        run_file=run_file,
        flags=list(overrides),
    )
