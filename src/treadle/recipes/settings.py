"""Settings for the operations: of a new model, of a run, as rows to show, as findings to mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean
from treadle.config.compose import Sources, compose, examine
from treadle.config.constraints import kept_with_model
from treadle.config.schema import known_keys, section_classes
from treadle.store.models import CARD_FILE, ModelCards

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.config.settings import Settings
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder


def settings_of_new_model(
    workspace: WorkspaceFolder, size: str, family: str, tokenizer: str | None, overrides: Sequence[str]
) -> dict[str, Any]:
    """Check the settings of a model to be made; return what its card keeps: choices, and what was typed."""
    flags = [f"size={size}", f"family={family}", *overrides]
    if tokenizer is not None:
        flags.append(f"data.tokenizer={tokenizer}")
    return kept_with_model(compose(Sources(workspace_file=workspace.settings_file, flags=flags)))


def settings_of_run(
    workspace: WorkspaceFolder, card: ModelCard, overrides: Sequence[str], run_file: Path | None
) -> dict[str, Any]:
    """All settings of one run, resolved, as a snapshot that later edits do not change."""
    return compose(_sources(workspace, card, overrides, run_file)).to_dict()


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
    """Every setting with `key`, `value`, `origin`, `description`; with `only`, that one or the section of that name."""
    settings = compose(_sources(workspace, card, overrides, run_file))
    known = known_keys(section_classes(settings.values()["family"]["name"]))
    values = settings.values()
    found = [
        {
            "key": key,
            "value": _at(values, key.split(".")),
            "origin": str(origin),
            "description": known[key].description if key in known else "",
        }
        for key, origin in sorted(settings.origins.items())
    ]
    if only is None:
        return found
    chosen = [row for row in found if row["key"] == only or str(row["key"]).startswith(f"{only}.")]
    if not chosen:
        raise UsageError(f"Unknown setting `{only}`.{did_you_mean(only, known)} `treadle config show` lists them all.")
    return chosen


def check(workspace: WorkspaceFolder) -> list[dict[str, Any]]:
    """What is wrong in `treadle.yaml` and in the cards of the models."""
    cards = ModelCards(workspace).all()
    findings = list(examine(Sources(workspace_file=workspace.settings_file)).findings)
    for card in cards:
        findings += examine(_sources(workspace, card, (), None)).findings
    return [
        {"path": finding.file, "line": finding.line, "message": finding.message} for finding in dict.fromkeys(findings)
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


def _at(tree: Any, path: Sequence[str]) -> Any:  # noqa: ANN401 - any tree of plain values
    for key in path:
        tree = tree[key]
    return tree
