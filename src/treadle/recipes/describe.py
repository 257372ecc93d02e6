"""What is known of a model, read from what its runs wrote. Nothing here is guessed."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.config.constraints import limits
from treadle.jobs.inbox import inbox_of, inbox_state
from treadle.jobs.presence import worker_lives
from treadle.jobs.runs import RunFolder
from treadle.recipes.opened import network_of, open_model, unit_of, use_of
from treadle.recipes.runs import outcome_of
from treadle.recipes.settings import settings_of_model
from treadle.recipes.standing import accounts
from treadle.training.checkpoints import roles

if TYPE_CHECKING:
    from treadle.config.settings import Settings
    from treadle.data.prepared import Prepared
    from treadle.data.versions import Dataset
    from treadle.recipes.opened import OpenedModel
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint


def describe(workspace: WorkspaceFolder, card: ModelCard) -> dict[str, Any]:
    """Everything `treadle show` reports, by the fields of its report."""
    model = open_model(workspace, card.id)
    settings = settings_of_model(workspace, card)
    checkpoints = model.checkpoints.all()
    latest = checkpoints[-1] if checkpoints else None
    dataset = model.versions.latest()
    prepared, problem = _prepared(model, settings, dataset, latest)
    values = settings.values()
    documents = model.versions.ledger()
    tokens: dict[str, int] = {}
    waits: dict[str, Any] | None = None
    if dataset is not None and problem is None:
        tokens, waits = accounts(model, settings, dataset, None if prepared is None else prepared.loader, latest)
    return {
        "id": card.id,
        "name": card.name,
        "family": values["family"]["name"],
        "size": card.size,
        "created": card.created,
        "parameters": None if prepared is None else network_of(settings, prepared).parameter_count(),
        "vocabulary": None if prepared is None else prepared.vocabulary,
        "folder": str(model.folder),
        "epochs_trained": round(float(latest.document["data"]["epochs"]), 6) if latest else 0.0,
        "steps": latest.step if latest else 0,
        "documents": {"accepted": documents.accepted, "refused": documents.refused},
        "tokens": tokens,
        "waiting": waits,
        "inbox": _inbox(workspace, card),
        "checkpoints": _checkpoints(checkpoints),
        "runs": _runs(workspace, card),
        "settings": _settings(settings),
        "limits": [asdict(limit) for limit in limits(settings)],
        "unit": unit_of(settings),
        "problem": problem,
        "next_step": _next_step(card.name, documents.accepted, dataset, latest) or use_of(settings, card.name),
        "dataset": {} if dataset is None else {"id": dataset.id, "version": dataset.number},
    }


def _inbox(workspace: WorkspaceFolder, card: ModelCard) -> dict[str, Any] | None:
    state = inbox_state(inbox_of(workspace, card.id))
    return None if state is None else {**asdict(state), "watched": worker_lives(workspace)}


def _prepared(
    model: OpenedModel, settings: Settings, dataset: Dataset | None, latest: Checkpoint | None
) -> tuple[Prepared | None, str | None]:
    """The data as the model reads them, or why they cannot be read as they are."""
    if dataset is None:
        return None, None
    try:
        return model.prepared(dataset, settings, fix=latest is not None), None
    except TreadleError as error:
        return None, str(error)


def checkpoint_rows(workspace: WorkspaceFolder, name: str) -> list[dict[str, Any]]:
    """The kept checkpoints of a model as reports tell of them, oldest first."""
    return _checkpoints(open_model(workspace, name).checkpoints.all())


def _checkpoints(checkpoints: list[Checkpoint]) -> list[dict[str, Any]]:
    named = roles(checkpoints)
    return [
        {
            "step": checkpoint.step,
            "roles": [role for role, holder in named.items() if holder.path == checkpoint.path],
            "held_out": checkpoint.metrics.get("held_out_loss"),
            "bits_per_byte": checkpoint.metrics.get("bits_per_byte"),
            "accuracy": checkpoint.metrics.get("accuracy"),
            "created": checkpoint.document["created"],
            "run": checkpoint.document["lineage"]["run"],
            "weights_sha256": checkpoint.document["files"]["model.safetensors"]["sha256"],
            "path": str(checkpoint.path),
        }
        for checkpoint in checkpoints
    ]


def _runs(workspace: WorkspaceFolder, card: ModelCard) -> list[dict[str, Any]]:
    """Runs that concern the model, newest last; one without a result whose process is gone is `lost`."""
    found = []
    for path in sorted(workspace.runs.glob("r-*")):
        run = RunFolder(path)
        try:
            spec, result = run.spec(), run.result()
        except TreadleError:
            found.append({"id": run.id, "kind": "unknown", "outcome": "unknown"})
            continue
        if spec["payload"].get("model") != card.id:
            continue
        outcome = result["outcome"] if result else outcome_of(run)
        found.append({"id": run.id, "kind": spec["kind"], "outcome": outcome})
    return found


def _settings(settings: Settings) -> dict[str, dict[str, Any]]:
    found = {}
    for key, origin in sorted(settings.origins.items()):
        value: Any = settings.values()
        for part in key.split("."):
            value = value[part]
        found[key] = {"value": value, "origin": str(origin)}
    return found


def _next_step(name: str, accepted: int, dataset: Dataset | None, latest: Checkpoint | None) -> str | None:
    """What has to be done before the model can be used; None when it can."""
    quoted = shlex.quote(name)
    if accepted == 0 or dataset is None:
        return f"treadle feed {quoted} FILES"
    if latest is None or latest.document["data"]["dataset"] != dataset.id:
        return f"treadle train {quoted}"
    if not latest.finished:
        budget = latest.document["schedule"]["plan"]["budget"]
        return f"treadle train {quoted} --{budget['unit']} {budget['amount']:g}"
    return None
