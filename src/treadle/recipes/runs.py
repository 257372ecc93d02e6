"""Runs as people look for them: one line each, one of them in full, several side by side. Read from their folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import NotFoundError, NotReadyError, TreadleError, UsageError
from treadle.base.ids import made_at
from treadle.config.tree import Origin
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import RunFolder, find_run
from treadle.recipes.listing import unit_of_family
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.telemetry.curves import open_curve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from treadle.store.workspace import WorkspaceFolder

OVER: Final = 20
"""Steps that the loss of a moment is the mean of; a single step is noise."""
_TOLD: Final = ("training_started", "recovery", "sample_failed", "note", "training_stopped")
_ABSENT: Final = object()
_BY_ERROR: Final = {"HostLost": "lost", "EndUnknown": "unknown"}
"""Outcomes of runs whose job has failed without anybody knowing how the work ended."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs are wanted."""

    model: str | None = None
    kind: str | None = None
    outcome: str | None = None
    where: tuple[str, ...] = ()
    """Settings as key=value."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `spec.yaml` says, as far as lists need it."""

    kind: str
    model: str
    target: str
    values: Mapping[str, Any]
    """Settings by dotted key."""
    origins: Mapping[str, str]
    request: Mapping[str, Any]
    dataset: str | None


def summaries(
    workspace: WorkspaceFolder, chosen: Chosen, at: int | None, count: int
) -> tuple[list[dict[str, Any]], int]:
    """The newest `count` of the runs that are wanted, newest first, and how many of them there are."""
    cards = ModelCards(workspace)
    names = {card.id: card.name for card in cards.all()}
    wanted = None if chosen.model is None else cards.get(chosen.model).id
    tests = [_condition(text) for text in chosen.where]
    found: list[dict[str, Any]] = []
    total = 0
    with Ledger.open(workspace) as ledger:
        for run in newest_first(workspace):
            asked = asked_of(run)
            if wanted is not None and (asked is None or asked.model != wanted):
                continue
            if chosen.kind is not None and (asked is None or asked.kind != chosen.kind):
                continue
            if any(asked is None or not _same(asked.values.get(key, _ABSENT), value) for key, value in tests):
                continue
            if chosen.outcome is not None and outcome_of(run) != chosen.outcome:
                continue
            total += 1
            if len(found) < count:
                found.append(_summary(run, asked, names, ledger, at))
    return found, total


def described(workspace: WorkspaceFolder, word: str) -> dict[str, Any]:
    """The fields of the report on one run."""
    run = resolved(workspace, word)
    asked = asked_of(run)
    if asked is None:
        run.spec()  # says what is wrong with it
        raise NotReadyError(f"The request of run {run.id} is just being written. Ask again.")
    names = {card.id: card.name for card in ModelCards(workspace).all()}
    with Ledger.open(workspace) as ledger:
        summary = _summary(run, asked, names, ledger, None)
    curve = open_curve(run.curves)
    samples, notes = _told(run)
    return {
        "run": summary,
        "request": dict(asked.request),
        "settings": [
            {"key": key, "value": value, "origin": asked.origins.get(key, "")} for key, value in asked.values.items()
        ],
        "result": run.result(),
        "samples": samples,
        "checkpoints": _checkpoints(workspace, run, asked.model) if asked.model in names else [],
        "notes": notes,
        "columns": [] if curve is None else [name for name in curve.columns if curve.newest(name) is not None],
        "first": None if curve is None or not curve.rows else curve.first,
        "dataset": asked.dataset,
        "folder": str(run.path),
    }


def samples_of(workspace: WorkspaceFolder, words: Sequence[str]) -> list[dict[str, Any]]:
    """The samples of several runs, by step."""
    runs = {run.id: run for run in (resolved(workspace, word) for word in words)}
    found = [{"run": identity, **sample} for identity, run in runs.items() for sample in _told(run)[0]]
    return sorted(found, key=lambda sample: (sample["step"], sample["time"]))


def compared(workspace: WorkspaceFolder, words: Sequence[str]) -> dict[str, Any]:
    """The fields of the report on several runs."""
    runs = [resolved(workspace, word) for word in dict.fromkeys(words)]
    if len({run.id for run in runs}) < 2:
        raise UsageError("Name at least two runs, or two models. `treadle runs list` shows the runs.")
    asked = {run.id: asked_of(run) for run in runs}
    values = [{} if (one := asked[run.id]) is None else one.values for run in runs]
    keys = sorted({key for one in values for key in one})
    differing = [
        {"key": key, "values": [one.get(key) for one in values]}
        for key in keys
        if any(not _same(one.get(key, _ABSENT), values[0].get(key, _ABSENT)) for one in values[1:])
    ]
    names = {card.id: card.name for card in ModelCards(workspace).all()}
    with Ledger.open(workspace) as ledger:
        rows = [_summary(run, asked[run.id], names, ledger, None) for run in runs]
    return {"runs": rows, "differing": differing, "alike": len(keys) - len(differing)}


def resolved(workspace: WorkspaceFolder, word: str) -> RunFolder:
    """The run with this id, or the newest training of the model with this name."""
    if word.startswith("r-") and (workspace.runs / word).is_dir():
        return find_run(workspace, word)
    try:
        card = ModelCards(workspace).get(word)
    except NotFoundError as error:
        hint = "`treadle runs list` shows the runs." if word.startswith("r-") else str(error)
        raise NotFoundError(f"No run `{word}` in this workspace. {hint}") from error
    for run in newest_first(workspace):
        asked = asked_of(run)
        if asked is not None and asked.kind == "train" and asked.model == card.id:
            return run
    raise NotReadyError(f"`{card.name}` was never trained, so it has no run yet: treadle train {card.name}")


def newest_first(workspace: WorkspaceFolder) -> Iterator[RunFolder]:
    """All runs; their ids sort by the time they were made."""
    for path in sorted(workspace.runs.glob("r-*"), reverse=True):
        yield RunFolder(path)


def outcome_of(run: RunFolder) -> str:
    """How a run ended; of one without a result: `running`, `waiting`, or `lost` until its job is taken up again."""
    try:
        result = run.result()
        if result is not None:
            return _BY_ERROR.get(str(result.get("kind")), str(result["outcome"]))
        if run.process_lives():
            return "running"
        return "lost" if run.fence() else "waiting"
    except (TreadleError, KeyError, TypeError):
        return "unknown"


def asked_of(run: RunFolder) -> Asked | None:
    """What was asked of a run; None if that cannot be read. A request that has not changed is read once."""
    path = run.path / "spec.yaml"
    try:
        return _asked(str(path), path.stat().st_mtime_ns)
    except (OSError, TreadleError):
        return None


@lru_cache(maxsize=4096)
def _asked(path: str, stamp: int) -> Asked:  # noqa: ARG001 - the stamp is part of the key
    spec = RunFolder(Path(path).parent).spec()
    payload = dict(spec.get("payload") or {})
    settings = spec.get("settings") or payload.pop("settings", None) or {}
    payload.pop("settings", None)
    origins = settings.get("origins", {})
    values = {key: _leaf(settings, key) for key in sorted(origins)}
    return Asked(
        kind=spec["kind"],
        model=str(payload.get("model", "")),
        target=_target(payload),
        values=values,
        origins={key: str(Origin(**origin)) for key, origin in origins.items()},
        request=payload,
        dataset=spec.get("dataset"),
    )


def _leaf(tree: Any, key: str) -> Any:  # noqa: ANN401 - any plain setting
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _target(payload: Mapping[str, Any]) -> str:
    unit, amount = payload.get("unit"), payload.get("amount")
    words = {"default": "the default length", "arrivals": "what has arrived", "flush": "all that waits"}
    if unit in words:
        return words[str(unit)]
    if unit is None or amount is None:
        return ""
    noun = "epochs" if unit == "more" else str(unit)
    said = f"{amount:g} {noun.removesuffix('s') if amount == 1 else noun}"
    return f"{said} more" if unit == "more" else said


def _summary(
    run: RunFolder, asked: Asked | None, names: Mapping[str, str], ledger: Ledger, at: int | None
) -> dict[str, Any]:
    try:
        result = run.result() or {}
    except TreadleError:
        result = {}
    told = result.get("value")
    value: dict[str, Any] = told if isinstance(told, dict) else {}
    job = ledger.job_of_run(run.id)
    model = "" if asked is None else asked.model
    measured = _measured(run, at)
    return {
        "id": run.id,
        "kind": "unknown" if asked is None else asked.kind,
        "model": names.get(model),
        "model_id": model or None,
        "job": None if job is None else job.id,
        "outcome": outcome_of(run),
        "created": made_at(run.id),
        "ended": (run.path / "result.json").stat().st_mtime if result else None,
        "target": "" if asked is None else asked.target,
        **{key: value.get(name) for key, name in _OF_RESULTS.items()},
        **{key: fact for key, fact in measured.items() if fact is not None or key not in _OF_RESULTS},
        "error": result.get("error") or value.get("error"),
        "unit": "" if asked is None else unit_of_family(str(asked.values.get("family.name"))),
    }


_OF_RESULTS: Final = {
    "step": "step",
    "epoch": "epochs",
    "seconds": "seconds",
    "loss": "loss",
    "last": "held_out",
    "bits_per_byte": "bits_per_byte",
    "accuracy": "accuracy",
    "processor_seconds": "processor_seconds",
    "memory_bytes": "memory_bytes",
}
"""Columns of the list, by what results call them; what a curve says goes before."""


def _measured(run: RunFolder, at: int | None) -> dict[str, Any]:
    try:
        stamp = (run.curves / "level-0").stat()
    except OSError:
        return dict.fromkeys(("best", "best_step", "at", "targets_per_second"))
    return _curve_facts(str(run.curves), (stamp.st_size, stamp.st_mtime_ns), at)


@lru_cache(maxsize=4096)
def _curve_facts(folder: str, stamp: tuple[int, int], at: int | None) -> dict[str, Any]:  # noqa: ARG001 - part of the key
    curve = open_curve(Path(folder))
    if curve is None or not curve.rows:
        return dict.fromkeys(("best", "best_step", "at", "targets_per_second"))
    best = curve.lowest("held_out_loss")
    newest = {
        name: found[1] if (found := curve.newest(name)) is not None else None
        for name in ("held_out_loss", "bits_per_byte", "accuracy", "seconds", "epoch")
    }
    return {
        "step": curve.last,
        "epoch": newest["epoch"],
        "seconds": newest["seconds"],
        "loss": curve.mean("loss", curve.last, OVER),
        "best": None if best is None else best[1],
        "best_step": None if best is None else best[0],
        "last": newest["held_out_loss"],
        "bits_per_byte": newest["bits_per_byte"],
        "accuracy": newest["accuracy"],
        "targets_per_second": curve.mean("targets_per_second", curve.last, OVER),
        "at": None if at is None or not curve.first <= at <= curve.last else curve.mean("loss", at, OVER),
    }


def _told(run: RunFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples, and what the run said in words. Only these lines of the log are parsed: most tell of progress."""
    samples: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    starts = tuple(f'{{"type": "{type_}",'.encode() for type_ in ("sample", *_TOLD))
    if not run.events.is_file():
        return samples, notes
    with run.events.open("rb") as lines:
        for line in lines:
            if not line.startswith(starts) or not line.endswith(b"\n"):
                continue
            event = json.loads(line)
            if event["type"] == "sample":
                samples.append(event)
            else:
                said = event.get("message") or event.get("reason") or ""
                notes.append({"time": event["time"], "type": event["type"], "step": event.get("step"), "message": said})
    return samples, notes


def _checkpoints(workspace: WorkspaceFolder, run: RunFolder, model: str) -> list[dict[str, Any]]:
    rows = load("treadle.recipes.describe:checkpoint_rows")(workspace, model)
    return [row for row in rows if row["run"] == run.id]


def _condition(text: str) -> tuple[str, Any]:
    """`key=value` as a setting and what it must be; the value is read as JSON where it is some."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"`{text}` is no condition. Write key=value, such as training.batch_size=16.")
    try:
        return key.strip(), json.loads(value)
    except (ValueError, RecursionError):
        return key.strip(), None if value == "none" else value


def _same(first: Any, second: Any) -> bool:  # noqa: ANN401 - any plain settings
    """Equal, where true is not 1: settings are compared as they are written."""
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)
