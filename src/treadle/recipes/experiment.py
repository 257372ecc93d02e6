"""An experiment: a grid of settings, each cell trained with every seed on the same data and budget, and one report.

Every cell with a seed is a model of its own and an ordinary `train` job in that model's queue, so stopping, priorities,
recovery after a crash and the log are those of any training. This job makes what is missing, waits, and writes the
report; killed or stopped, the next one goes on where it was, and what is done is not done again.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, TreadleError
from treadle.base.files import locked, write_json
from treadle.base.hashing import hash_json
from treadle.config.constraints import kept_with_model
from treadle.config.settings import Settings
from treadle.data.prepared import WAYS_OF_READING
from treadle.data.versions import DatasetVersions
from treadle.jobs.job import ACTIVE, WAITING
from treadle.jobs.ledger import Ledger
from treadle.jobs.request import JobRequest, model_queue
from treadle.recipes.catalog import TRAIN
from treadle.recipes.curves import history
from treadle.recipes.experiment_files import ExperimentFiles
from treadle.recipes.experiment_plan import Member, Plan, length, needs_of, settings_of
from treadle.recipes.experiment_report import write_report
from treadle.recipes.opened import parameters_of
from treadle.recipes.settings import settings_of_run
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from treadle.data.versions import Manifest
    from treadle.jobs.context import RunContext
    from treadle.jobs.job import Job
    from treadle.operations.experiments import ExperimentPayload
    from treadle.store.models import ModelCard

_LOOK_SECONDS = 0.5
_TELL_SECONDS = 2.0
_PATIENCE_SECONDS = 45.0
"""How long the trainings of a stopped experiment may take to keep what they have."""
_POINTS = 300
"""Points of a curve that a result keeps."""


def run(context: RunContext, payload: ExperimentPayload) -> dict[str, Any]:
    """Train what is missing, then report."""
    plan = Plan.from_json(payload.plan)
    files = ExperimentFiles.of(context.workspace, plan.name)
    try:
        with locked(files.lock, wait=False), Ledger.open(context.workspace) as ledger:
            files.write_plan(plan.to_json())
            manifest = _data(context, plan)
            waiting = _queue_missing(context, plan, files, manifest, ledger)
            finished = _wait(context, plan, files, ledger, waiting)
            if not finished:
                _let_go(context, plan, ledger, waiting)
            summary = write_report(context.workspace, plan, files)
    except BlockingIOError as error:
        raise NotReadyError(
            f"`{plan.name}` is being carried out by another job; `treadle jobs list` shows it. Wait for it, or stop it."
        ) from error
    return {
        **summary,
        "ok": not summary["failed"],
        "next_step": None if finished else f"treadle experiment {shlex.quote(plan.name)}",
    }


def _data(context: RunContext, plan: Plan) -> Manifest:
    """What all cells learn from, fixed by the first job of the experiment."""
    workspace = context.workspace
    versions = DatasetVersions(workspace.datasets / plan.id, ObjectStore(workspace.objects))
    found = versions.latest()
    if found is None and plan.on[0].startswith("model:"):
        identity = plan.on[0].removeprefix("model:")
        of_model = DatasetVersions(workspace.datasets / identity, versions.objects).latest()
        if of_model is None:
            name = ModelCards(workspace).get(identity).name
            raise NotReadyError(f"`{name}` has no data to learn from yet. Feed it: treadle feed {name} FILES")
        _write_manifest(versions.folder, of_model.manifest)
        found = versions.latest()
    elif found is None:
        needs = needs_of(settings_of(workspace, plan.members()[0], plan))
        found = versions.add(WAYS_OF_READING.get(needs)(Path(path) for path in plan.on))
    if found is None or found.manifest.documents == 0:
        reasons = "" if found is None else "; ".join(refusal.detail for refusal in found.refusals()[:3])
        raise NotReadyError(f"There is nothing to learn from in {', '.join(plan.on)}. {reasons}".rstrip())
    return found.manifest


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    """Give a dataset's content to another one, as its first version."""
    first: dict[str, Any] = {
        "version": 1,
        "parent": None,
        "accepted": manifest.documents,
        "refused": {},
        "refusals": None,
    }
    write_json(folder / "versions" / "000001.json", {**manifest.model_dump(mode="json"), **first})


def _queue_missing(
    context: RunContext, plan: Plan, files: ExperimentFiles, manifest: Manifest, ledger: Ledger
) -> dict[int, Member]:
    """Make the models that are missing, and queue a training for each that has no result; jobs by id."""
    done = {key for key, result in files.results().items() if result.get("error") is None}
    cards = {card.name: card for card in ModelCards(context.workspace).all() if card.experiment == plan.id}
    waiting: dict[int, Member] = {}
    objects = ObjectStore(context.workspace.objects)
    for member in plan.members():
        if member.key in done:
            continue
        name = f"{plan.name}.{member.key}"
        card = cards.get(name) or _make_model(context, plan, member, name)
        folder = context.workspace.datasets / card.id
        if not DatasetVersions(folder, objects).numbers():
            _write_manifest(folder, manifest)
        waiting[_job_of(context, plan, card, ledger, manifest)] = member
    total, left = len(plan.members()), len(waiting)
    known = f"{total - left} of {total} trainings are done already. " if total > left else ""
    context.emit("note", message=f"{known}{left} trainings of {plan.budget} each, one after the other.")
    return waiting


def _make_model(context: RunContext, plan: Plan, member: Member, name: str) -> ModelCard:
    settings = kept_with_model(settings_of(context.workspace, member, plan))
    return ModelCards(context.workspace).create(name, settings, experiment=plan.id)


def _job_of(context: RunContext, plan: Plan, card: ModelCard, ledger: Ledger, manifest: Manifest) -> int:
    """The training of a member: the newest one that waits, runs or is done, else a new one."""
    queue = model_queue(card.id)
    for job in sorted(ledger.jobs(queue), key=lambda job: -job.id):
        if job.kind == "train" and (job.state in {*WAITING, *ACTIVE} or (job.state == "done" and _finished(job))):
            return job.id
    settings = settings_of_run(context.workspace, card, (), None)
    composed = Settings.from_dict(settings, "the settings just composed")
    unit, amount = length(plan.budget, composed, manifest.bytes)
    payload = load(TRAIN.payload)(card.id, unit, amount, settings)
    request = JobRequest(context.workspace, queue, "train", asdict(payload), "heavy")
    with request.submit() as queued:
        return queued.id


def _finished(job: Job) -> bool:
    return job.result is not None and job.result.get("reason") in {"finished", "early_stopped"}


def _wait(context: RunContext, plan: Plan, files: ExperimentFiles, ledger: Ledger, waiting: dict[int, Member]) -> bool:
    """Take in each result as it comes; tell whether all came. What is taken in is removed from `waiting`."""
    told = 0.0
    while waiting and not context.stop_requested():
        for identity, member in list(waiting.items()):
            job = ledger.get(identity)
            if job.waiting or job.active:
                if job.active and time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    _tell(context, plan, waiting, member, job)
                continue
            del waiting[identity]
            _take_in(context, plan, files, member, job)
        if waiting:
            ledger.wait(_LOOK_SECONDS)
    return not waiting


def _take_in(context: RunContext, plan: Plan, files: ExperimentFiles, member: Member, job: Job) -> None:
    facts = {"label": member.cell.label, "seed": member.seed, "flags": list(member.cell.flags), "job": job.id}
    if job.state == "done" and _finished(job):
        result = {**facts, **_measured(context, job)}
        said = f"{result['held_out']:.4f} nats held out after {result['steps']:,} steps, {result['seconds']:.0f} s"
    else:
        error = str(job.error or f"Its job {job.id} was {job.state if job.state != 'done' else 'stopped'}.")
        result, said = {**facts, "error": error}, f"failed. {error}"
    files.write_result(member.key, result)
    context.kept()
    number = len(files.results().keys() & {one.key for one in plan.members()})
    context.emit(
        "note", message=f"  {number} of {len(plan.members())}  {member.cell.label}, seed {member.seed}: {said}"
    )


def _measured(context: RunContext, job: Job) -> dict[str, Any]:
    """What a training came to: its figures, the size of its network, and a thinned curve."""
    cards = ModelCards(context.workspace)
    card, result = cards.get(job.payload["model"]), job.result or {}
    checkpoint = CheckpointFolder(cards.folder(card) / "checkpoints").latest()
    if checkpoint is None or result.get("held_out") is None:
        raise NotReadyError(
            f"`{card.name}` was trained, but nothing was held out to measure it on. Give more text, or a larger "
            "data.held_out."
        )
    record = checkpoint.record
    settings = Settings.from_dict(record.settings or {}, str(checkpoint.path))
    rows = history(cards.folder(card))
    window = record.context if result["unit"] == "tokens" else 1
    per_step = settings.training.examples_per_step * window
    seconds = float(result["seconds"])
    return {
        "model": card.name,
        "run": job.run,
        "unit": result["unit"],
        "held_out": result["held_out"],
        "bits_per_byte": result["bits_per_byte"],
        "accuracy": result["accuracy"],
        "steps": result["step"],
        "epochs": result["epochs"],
        "seconds": seconds,
        "processor_seconds": result["processor_seconds"],
        "tokens": result["step"] * per_step,
        "per_second": result["step"] * per_step / seconds if seconds else None,
        "memory_bytes": result["memory_bytes"],
        "parameters": parameters_of(record),
        "tokenizer": None if record.tokenizer is None else hash_json(record.tokenizer)[:12],
        "plan": dict(checkpoint.document["plan"]),
        "curve": _thinned([[row["step"] * per_step, row["seconds"], row["loss"]] for row in rows]),
    }


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """The mean loss of each of `_POINTS` stretches of a curve, at its last step."""
    size = max(1, math.ceil(len(points) / _POINTS))
    stretches = [points[place : place + size] for place in range(0, len(points), size)]
    return [[*stretch[-1][:2], sum(point[2] for point in stretch) / len(stretch)] for stretch in stretches]


def _tell(context: RunContext, plan: Plan, waiting: dict[int, Member], member: Member, job: Job) -> None:
    """Pass on how far the training that runs now is."""
    total = len(plan.members())
    progress = _last_progress(context.workspace.runs / str(job.run) / "events.jsonl")
    context.emit(
        "cell", number=total - len(waiting) + 1, total=total, label=member.cell.label, seed=member.seed, **progress
    )


def _last_progress(events: Path) -> dict[str, Any]:
    """Step and loss of the last progress that a run has written, if any."""
    try:
        with events.open("rb") as file:
            file.seek(max(0, events.stat().st_size - 8192))
            lines = file.read().split(b"\n")[1:-1]
    except OSError:
        return {}
    for line in reversed(lines):
        if b'"type": "progress"' in line:
            found = json.loads(line)
            return {key: found.get(key) for key in ("step", "total_steps", "loss", "eta_seconds")}
    return {}


def _let_go(context: RunContext, plan: Plan, ledger: Ledger, waiting: dict[int, Member]) -> None:
    """Stop the trainings if this experiment was stopped; leave them alone if only its worker ends."""
    own = [job for job in ledger.jobs(f"experiment:{plan.name}", ACTIVE) if job.run == context.run.id]
    if not own or own[0].cancel not in {"stop", "discard"}:
        return
    for identity in waiting:
        try:
            ledger.stop(identity)
        except TreadleError:
            continue  # it has just ended
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(ledger.get(identity).active for identity in waiting) and time.monotonic() < deadline:
        ledger.wait(_LOOK_SECONDS)
