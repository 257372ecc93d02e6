"""What a model that leaves the workspace says of itself: its data, what it was measured at and where, its licence.

Folders of this machine are not told: of a file that was fed only the name leaves.
"""

from __future__ import annotations

import datetime as dt
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from treadle import __version__
from treadle.base import units
from treadle.recipes.opened import parameters_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.data.versions import Dataset
    from treadle.recipes.opened import OpenedModel
    from treadle.training.checkpoints import Checkpoint

_SOURCES: Final = 200
"""Documents that are named one by one."""
NO_LICENCE: Final = "not stated"


def facts_of(model: OpenedModel, checkpoint: Checkpoint, licence: str | None) -> dict[str, Any]:
    """Plain JSON for a package and a card; every figure was written by something that ran."""
    record, document = checkpoint.record, checkpoint.document
    imported = document["lineage"].get("imported") or _first_import(model)
    return {
        "name": model.card.name,
        "family": record.family,
        "parameters": parameters_of(record),
        "vocabulary": record.vocabulary,
        "context": record.context,
        "step": checkpoint.step,
        "epochs": float(document["data"]["epochs"]),
        "tokenizer": {"kind": (record.tokenizer or {}).get("kind"), "sha256": checkpoint.tokenizer_hash},
        "weights_sha256": document["files"]["model.safetensors"]["sha256"],
        "metrics": dict(checkpoint.metrics),
        "evidence": {
            "run": document["lineage"].get("run"),
            "dataset": document["lineage"].get("dataset"),
            "measured": document["created"],
            "plan": dict(document["plan"]),
        },
        "data": _data(model, document["data"]["dataset"]),
        "imported": imported,
        "licence": licence or (imported or {}).get("licence") or NO_LICENCE,
        "treadle": __version__,
        "written": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _first_import(model: OpenedModel) -> dict[str, Any] | None:
    found = model.card.imported_from
    return None if found is None else dict(found)


def _data(model: OpenedModel, identity: str | None) -> dict[str, Any] | None:
    dataset = None if identity is None else _version(model, identity)
    if dataset is None:
        return None if identity is None else {"dataset": identity, "here": False}
    entries = list(dataset.entries())
    return {
        "dataset": identity,
        "here": True,
        "version": dataset.manifest.version,
        "documents": dataset.manifest.documents,
        "bytes": dataset.manifest.bytes,
        "sources": [
            {"sha256": entry.id, "name": _name(entry.source), "bytes": entry.size} for entry in entries[:_SOURCES]
        ],
        "further_sources": max(0, len(entries) - _SOURCES),
    }


def _version(model: OpenedModel, identity: str) -> Dataset | None:
    for number in reversed(model.versions.numbers()):
        dataset = model.versions.get(number)
        if dataset.id == identity:
            return dataset
    return None


def _name(source: str) -> str:
    """An address as it is, of a path its last part."""
    return source if "://" in source else PurePath(source).name


def card_text(facts: Mapping[str, Any], use: str) -> str:
    """The card as Markdown with the head that Hugging Face's hub reads; `use` says how to run what lies beside it."""
    licence = facts["licence"]
    head = ["---", f"license: {'other' if licence == NO_LICENCE else licence}", "library_name: treadle", "---"]
    rows = [
        ("family", facts["family"]),
        ("parameters", f"{facts['parameters']:,}"),
        ("token ids", f"{facts['vocabulary']:,} ({facts['tokenizer']['kind']})"),
        ("context", f"{facts['context']:,} positions"),
        ("trained", f"{facts['step']:,} steps, {facts['epochs']:.2f} passes over its data"),
        ("weights, SHA-256", f"`{facts['weights_sha256']}`"),
        ("licence", licence),
    ]
    lines = [*head, "", f"# {facts['name']}", "", "| | |", "|---|---|"]
    lines += [f"| {label} | {value} |" for label, value in rows]
    lines += ["", "It continues text; it was not tuned to follow instructions.", "", "## Use", "", use.strip()]
    lines += ["", "## Measured", "", *_measured(facts), "", "## Data", "", *_data_lines(facts)]
    lines += ["", f"Written by Treadle {facts['treadle']}, {facts['written']}."]
    return "\n".join(lines) + "\n"


def _measured(facts: Mapping[str, Any]) -> list[str]:
    if not facts["metrics"]:
        return ["Nothing was measured with these weights."]
    evidence = facts["evidence"]
    run = evidence["run"] or "unknown"
    where = f"Run `{run}`, {evidence['measured']}, on the held-out part of dataset `{evidence['dataset']}`."
    return [where, "", *(f"- {key}: {value:.6g}" for key, value in sorted(facts["metrics"].items()))]


def _data_lines(facts: Mapping[str, Any]) -> list[str]:
    data, imported = facts["data"], facts["imported"]
    lines = []
    if imported is not None:
        lines += [f"The first weights were imported from `{imported['name']}` ({imported['format']}).", ""]
    if data is None:
        return [*lines, "It was not trained on data of this workspace."]
    if not data["here"]:
        return [*lines, f"Dataset `{data['dataset']}`, which is not in its workspace any more."]
    lines.append(
        f"Dataset `{data['dataset']}`: {units.counted(data['documents'], 'document')}, {data['bytes']:,} bytes."
    )
    lines += ["", *(f"- {row['name']} ({row['bytes']:,} bytes, `{row['sha256'][:16]}`)" for row in data["sources"])]
    more = data["further_sources"]
    return [*lines, f"- and {more:,} more"] if more else lines
