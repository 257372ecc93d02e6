"""Where something came from: sample, checkpoint, settings, dataset version, documents, files. Nothing here is guessed.

Each link says whether it is still here. What was pruned, deleted or never written down is told as missing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, NotFoundError, TreadleError
from treadle.base.files import read_json
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import RunFolder, find_run
from treadle.recipes.opened import OpenedModel, open_model
from treadle.store.models import ModelCards
from treadle.training.checkpoints import read_checkpoint

if TYPE_CHECKING:
    from treadle.data.versions import Dataset
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

_HEAD = 60
"""Characters of a sample that are shown of it."""


def lineage(workspace: WorkspaceFolder, what: str) -> dict[str, Any]:
    """The fields of the operation's report, for the name of a model, the id of a run, or the file of a sample."""
    if what.startswith("r-") and what not in {card.name for card in ModelCards(workspace).all()}:
        return _of_run(workspace, find_run(workspace, what))
    if what.endswith(".json") or "/" in what:
        return _of_sample(workspace, Path(what))
    model = open_model(workspace, what)
    checkpoint = model.checkpoints.latest()
    return _report(workspace, "model", what, model, checkpoint)


def _of_sample(workspace: WorkspaceFolder, path: Path) -> dict[str, Any]:
    """What `treadle sample --json` wrote."""
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist. A sample's file is what `treadle sample MODEL --json` prints.")
    facts = read_json(path)
    if not isinstance(facts, dict) or not isinstance(facts.get("checkpoint_path"), str):
        raise DataError(f"{path} is no sample: it names no checkpoint. Write one: treadle sample MODEL --json > {path}")
    sample = {key: facts.get(key) for key in ("prompt", "seed", "temperature", "engine", "precision")}
    sample |= {"file": str(path), "text": str(facts.get("text", ""))[:_HEAD]}
    folder = Path(facts["checkpoint_path"])
    model = _model_of(workspace, folder.parent.parent.name)
    checkpoint = _readable(folder)
    report = _report(workspace, "sample", str(path), model, checkpoint) | {"sample": sample}
    if checkpoint is None:
        report["missing"].append(f"checkpoint {folder} is not here any more, so nothing can be told beyond it")
    return report


def _of_run(workspace: WorkspaceFolder, run: RunFolder) -> dict[str, Any]:
    spec = run.spec()
    model = _model_of(workspace, str(spec["payload"].get("model", "")))
    made = [] if model is None else [one for one in model.checkpoints.all() if _run_of(one) == run.id]
    checkpoint = made[-1] if made else None
    result = run.result() or {}
    named = (result.get("value") or {}).get("checkpoint") if result.get("outcome") == "done" else None
    if checkpoint is None and isinstance(named, str):  # an evaluation has looked at one and made none
        checkpoint = _readable(Path(named))
    report = _report(workspace, "run", run.id, model, checkpoint, run, spec.get("dataset"))
    if model is None:
        report["missing"].append("its model is not here any more; `treadle list` shows those that are")
    elif checkpoint is None and spec["kind"] != "feed":
        report["missing"].append("no checkpoint of this run is kept")
    return report


def _report(
    workspace: WorkspaceFolder,
    kind: str,
    what: str,
    model: OpenedModel | None,
    checkpoint: Checkpoint | None,
    run: RunFolder | None = None,
    dataset_id: str | None = None,
) -> dict[str, Any]:
    missing: list[str] = []
    identity = None if checkpoint is None else _run_of(checkpoint)
    wanted = checkpoint.document["data"]["dataset"] if checkpoint is not None else dataset_id
    dataset = None if model is None else _version(model, wanted)
    if wanted is not None and dataset is None:
        missing.append(f"dataset {wanted[:12]} is not here any more")
    settings = {} if checkpoint is None else dict(checkpoint.record.settings or {}).get("origins", {})
    values = {} if checkpoint is None else dict(checkpoint.record.settings or {})
    return {
        "kind": kind,
        "what": what,
        "sample": None,
        "model": None if model is None else _model_facts(model),
        "checkpoint": None if checkpoint is None else _checkpoint_facts(checkpoint),
        "run": _run_facts(workspace, run.id if run is not None else identity, missing),
        "settings": [{"key": key, "value": _value(values, key), **origin} for key, origin in sorted(settings.items())],
        "dataset": None if dataset is None else _dataset_facts(dataset),
        "documents": [] if dataset is None else _documents(dataset),
        "missing": missing,
    }


def _model_of(workspace: WorkspaceFolder, identity: str) -> OpenedModel | None:
    try:
        return open_model(workspace, identity)
    except NotFoundError:
        return None


def _readable(folder: Path) -> Checkpoint | None:
    try:
        return read_checkpoint(folder)
    except TreadleError:
        return None


def _run_of(checkpoint: Checkpoint) -> str | None:
    run = checkpoint.document["lineage"].get("run")
    return run if isinstance(run, str) else None


def _model_facts(model: OpenedModel) -> dict[str, Any]:
    card = model.card
    return {"id": card.id, "name": card.name, "copied_from": card.copied_from, "imported_from": card.imported_from}


def _checkpoint_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    document = checkpoint.document
    return {
        "step": checkpoint.step,
        "path": str(checkpoint.path),
        "created": document["created"],
        "weights_sha256": document["files"]["model.safetensors"]["sha256"],
        "tokenizer_hash": checkpoint.tokenizer_hash,
        "epochs": float(document["data"]["epochs"]),
        "plan": document["plan"],
        "before": _before(checkpoint),
    }


def _before(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The checkpoints that it went on from, newest first, with the run that wrote each, as far as they are kept."""
    found: list[dict[str, Any]] = []
    now: Checkpoint | None = checkpoint
    while now is not None and (parent := now.document["lineage"].get("parent")) is not None:
        now = _readable(now.path.parent / parent)
        found.append({"name": parent, "run": None if now is None else _run_of(now), "kept": now is not None})
    return found


def _run_facts(workspace: WorkspaceFolder, identity: str | None, missing: list[str]) -> dict[str, Any] | None:
    if identity is None:
        return None
    run = RunFolder(workspace.runs / identity)
    try:
        spec, result = run.spec(), run.result() or {}
    except TreadleError:
        missing.append(f"run {identity} is not here any more")
        return {"id": identity, "kind": None, "outcome": None, "job": None, "folder": None}
    with Ledger.open(workspace) as ledger:
        job = ledger.job_of_run(identity)
    return {
        "id": identity,
        "kind": spec["kind"],
        "outcome": result.get("outcome"),
        "job": None if job is None else job.id,
        "folder": str(run.path),
    }


def _version(model: OpenedModel, identity: str | None) -> Dataset | None:
    """The newest version with this content; ids are hashes, so another one of that id holds the same documents."""
    for number in reversed(model.versions.numbers()):
        dataset = model.versions.get(number)
        if identity is not None and dataset.id == identity:
            return dataset
    return None


def _dataset_facts(dataset: Dataset) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "id": dataset.id,
        "version": manifest.version,
        "parent": manifest.parent,
        "created": manifest.created,
        "documents": manifest.documents,
        "bytes": manifest.bytes,
    }


def _documents(dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {"id": entry.id, "source": entry.source, "bytes": entry.size, "file": _file(entry.source)}
        for entry in dataset.entries()
    ]


def _file(source: str) -> dict[str, Any] | None:
    """The file that a document was read from, as it is now; None for what is no path of this machine."""
    path = Path(source)
    if not path.is_absolute():
        return None
    if not path.is_file():
        return {"path": source, "there": False, "sha256": None}
    with path.open("rb") as file:
        return {"path": source, "there": True, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _value(tree: Any, key: str) -> Any:  # noqa: ANN401 - any plain setting
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
