"""What is known of a model, read from what its runs wrote. Nothing here is guessed."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.config.constraints import limits
from treadle.data.loader import token_ledger
from treadle.jobs.runs import RunFolder
from treadle.recipes.opened import network_of, open_model, unit_of, use_of
from treadle.recipes.settings import settings_of_model
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
    return {
        "id": card.id,
        "name": card.name,
        "family": values["family"]["name"],
        "size": card.size,
        "created": card.created,
        "parameters": None if prepared is None else network_of(settings, prepared).parameter_count(),
        "vocabulary": None if prepared is None else prepared.vocabulary,
        "folder": str(model.folder),
        "epochs_trained": float(latest.document["data"]["epochs"]) if latest else 0.0,
        "steps": latest.step if latest else 0,
        "documents": {"accepted": documents.accepted, "refused": documents.refused},
        "tokens": {} if prepared is None else _tokens(model, settings, prepared, latest),
        "checkpoints": _checkpoints(checkpoints),
        "runs": _runs(workspace, card),
        "settings": _settings(settings),
        "limits": [asdict(limit) for limit in limits(settings)],
        "unit": unit_of(settings),
        "problem": problem,
        "next_step": _next_step(card.name, documents.accepted, dataset, latest) or use_of(settings, card.name),
        "dataset": {} if dataset is None else {"id": dataset.id, "version": dataset.number},
    }


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


def _tokens(model: OpenedModel, settings: Settings, prepared: Prepared, latest: Checkpoint | None) -> dict[str, int]:
    """The token ledger: all targets of the newest data, and how many were trained when last a checkpoint was made."""
    ledger = token_ledger(prepared.loader, 0)
    trained = 0 if latest is None else _trained_once(model, settings, latest)
    return {
        "in": ledger.total,
        "trained_once": trained,
        "buffered": ledger.total - trained - ledger.held_out,
        "held_out": ledger.held_out,
    }


def _trained_once(model: OpenedModel, settings: Settings, latest: Checkpoint) -> int:
    """Targets visited at least once, on the dataset version that the checkpoint was trained on."""
    data = latest.document["data"]
    for number in reversed(model.versions.numbers()):
        dataset = model.versions.get(number)
        if dataset.id == data["dataset"]:
            prepared = model.prepared(dataset, settings, fix=True)
            if prepared is None:
                return 0
            whole = prepared.loader.examples_per_epoch if data["epochs_before"] >= 1 else 0
            return token_ledger(prepared.loader, int(data["position"]) + whole).trained_once
    return 0


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
        outcome = result["outcome"] if result else _unfinished(run)
        found.append({"id": run.id, "kind": spec["kind"], "outcome": outcome})
    return found


def _unfinished(run: RunFolder) -> str:
    """What a run without a result is; `lost` until its job is taken up again."""
    if run.process_lives():
        return "running"
    return "lost" if run.fence() else "waiting"


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
