"""Training, from a model's name to its newest checkpoint: the whole story of one run."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.base.errors import UsageError
from treadle.config.constraints import changes_refused
from treadle.config.settings import Settings
from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.native.build import existing_library
from treadle.native.instruction_sets import choose
from treadle.recipes.opened import network_of, open_model, record_of, unit_of, use_of, writes_text
from treadle.recipes.standing import ARRIVALS, FLUSH, accounts, arrivals, coverage_of
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.telemetry.hardware import peak_memory, usable_cores
from treadle.training.arrivals import arrivals_start
from treadle.training.callbacks.accounting import Accounting
from treadle.training.callbacks.checkpointing import Checkpointing
from treadle.training.callbacks.curves import Curves
from treadle.training.callbacks.early_stopping import EarlyStopping
from treadle.training.callbacks.evaluating import Evaluating
from treadle.training.callbacks.history import History
from treadle.training.callbacks.packing import Packing
from treadle.training.callbacks.progress import Progress
from treadle.training.callbacks.sampling import Sampling
from treadle.training.callbacks.tensorboard import TensorBoard
from treadle.training.checkpoints import DRAFT_FOLDER, CheckpointFolder
from treadle.training.learners import open_learner
from treadle.training.loop import Training
from treadle.training.schedules import Budget
from treadle.training.start import Subject, find_start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from treadle.data.loader import Loader
    from treadle.data.prepared import Prepared
    from treadle.data.versions import Dataset
    from treadle.jobs.context import RunContext
    from treadle.operations.training import TrainPayload
    from treadle.recipes.opened import OpenedModel
    from treadle.training.callbacks.callback import Callback
    from treadle.training.checkpoints import Checkpoint, Snapshot
    from treadle.training.loop import Outcome

_SAMPLE_SEED = 1  # the same for all samples of a training, so that what changes between them is the model

_PATIENCE_SECONDS = 30.0  # a process that has lost its worker keeps its work before it lets go of the model


class FencedCheckpoints(CheckpointFolder):
    """The checkpoints of a model, written only while the run still belongs to this process."""

    def __init__(self, path: Path, context: RunContext) -> None:
        """Ask `context` before each write whether the run still belongs to it, and tell it afterwards."""
        super().__init__(path)
        self._context = context

    def write(self, snapshot: Snapshot) -> Checkpoint:
        """Write one checkpoint, if it is still this process's to write."""
        self._context.require_claim()
        written = super().write(snapshot)
        self._context.kept()
        return written


def run(context: RunContext, payload: TrainPayload) -> dict[str, Any]:
    """Train the model to the budget that was asked for; goes on from its newest checkpoint."""
    settings = Settings.from_dict(payload.settings, "the request")
    _check_threads(settings.training.threads)
    _check_draft(settings, payload.draft)
    model = open_model(context.workspace, payload.model)
    with ModelCards(context.workspace).writing(model.card, _PATIENCE_SECONDS):
        dataset = model.dataset()
        latest = model.checkpoints.latest()
        _check_still_fits(latest, settings)
        prepared = model.prepared(dataset, settings, fix=True)
        if prepared is None:
            raise UsageError(f"`{model.card.name}` cannot learn from what it was fed.")
        network = network_of(settings, prepared)
        subject = Subject(
            record=record_of(settings, prepared),
            checkpoints=FencedCheckpoints(model.checkpoints.path, context),
            initial_weights=lambda: network.family.initial_weights(
                network.config, network.vocabulary, network.context, settings.training.seed
            ),
            run=context.run.id,
            dataset=dataset.id,
        )
        loader: Loader = prepared.loader
        if payload.unit in {ARRIVALS, FLUSH}:
            ready = arrivals(loader, coverage_of(latest), settings, flush=payload.unit == FLUSH)
            if not ready.steps:
                return _nothing_waits(context, model, settings, latest, loader)
            loader, start = ready, arrivals_start(latest, ready.steps, settings.training)
        else:
            start = find_start(subject, _budget(context, payload, settings, latest), settings.training, loader)
        context.run.write_spec({**context.run.spec(), "settings": payload.settings, "dataset": dataset.id})
        context.emit("model", **_facts(model, settings, prepared, dataset))
        if settings.training.learner != "torch" and existing_library(choose()) is None:
            context.emit("note", message="The native core is compiled, once: this takes some seconds.")
        learner = open_learner(network, settings.training, None if latest is None else latest.document["plan"])
        try:
            seen: list[dict[str, Any]] = []
            account = Accounting(model.card.name)
            callbacks = [account, *_callbacks(context, model, settings, prepared, dataset, seen)]
            training = Training(
                learner,
                loader,
                settings.training,
                subject,
                start,
                callbacks=callbacks,
                stop_requested=context.stop_requested,
            )
            outcome = training.run()
        finally:
            learner.close()
        made = (dataset.id, outcome.seconds)
        draft = None if outcome.reason == "stopped" else _draft(context, model, settings, prepared, payload.draft, made)
    tokens = account.ledger(training).to_json()
    more = {"already": start.kind == "finished", "samples": seen, "draft": draft}
    return _result(context, model, settings, outcome, tokens) | more


def _check_draft(settings: Settings, shape: str | None) -> None:
    if shape is not None:
        load("treadle.recipes.train_draft:require_use")(settings)


def _draft(
    context: RunContext,
    model: OpenedModel,
    settings: Settings,
    prepared: Prepared,
    shape: str | None,
    made: tuple[str, float],
) -> dict[str, Any] | None:
    """Train the draft model, if one was asked for; `made` is the dataset version and what the model itself took."""
    if shape is None:
        return None
    checkpoints = FencedCheckpoints(model.folder / DRAFT_FOLDER, context)
    found: dict[str, Any] = load("treadle.recipes.train_draft:train_draft")(
        context, checkpoints, prepared, settings, shape, made
    )
    return found


def _result(
    context: RunContext, model: OpenedModel, settings: Settings, outcome: Outcome, tokens: dict[str, Any]
) -> dict[str, Any]:
    """What a training came to."""
    measured = _metrics(outcome)
    return {
        "model": model.card.name,
        "reason": outcome.reason,
        "step": outcome.step,
        "epochs": outcome.epochs,
        "seconds": outcome.seconds,
        "processor_seconds": time.process_time(),
        "memory_bytes": peak_memory(),
        "checkpoint": None if outcome.checkpoint is None else str(outcome.checkpoint.path),
        "held_out": measured.get("held_out_loss"),
        "bits_per_byte": measured.get("bits_per_byte"),
        "accuracy": measured.get("accuracy"),
        "unit": unit_of(settings),
        "tokens": tokens,
        "folder": str(context.workspace.root),
        "next_step": use_of(settings, model.card.name),
    }


def _nothing_waits(
    context: RunContext, model: OpenedModel, settings: Settings, latest: Checkpoint | None, loader: Loader
) -> dict[str, Any]:
    """What a training of arrivals returns that found no whole batch; an earlier one took what there was."""
    tokens, _ = accounts(model, settings, model.dataset(), loader, latest)
    return {
        "model": model.card.name,
        "reason": "finished",
        "already": True,
        "step": 0 if latest is None else latest.step,
        "epochs": 0.0 if latest is None else float(latest.document["data"]["epochs"]),
        "seconds": 0.0,
        "checkpoint": None if latest is None else str(latest.path),
        "held_out": None if latest is None else latest.metrics.get("held_out_loss"),
        "bits_per_byte": None if latest is None else latest.metrics.get("bits_per_byte"),
        "unit": unit_of(settings),
        "tokens": tokens,
        "samples": [],
        "folder": str(context.workspace.root),
        "next_step": use_of(settings, model.card.name) if latest else f"treadle flush {model.card.name}",
    }


def _check_still_fits(latest: Checkpoint | None, settings: Settings) -> None:
    """Raise `UsageError` if the model was changed in a way that a request which waited does not know of."""
    if latest is None:
        return
    refused = changes_refused(Settings.from_dict(latest.record.settings or {}, str(latest.path)), settings)
    if refused:
        raise UsageError("\n".join([*refused, "The model was changed while this job waited: queue it again."]))


def _check_threads(wanted: int) -> None:
    cores = usable_cores()
    if wanted > cores:
        raise UsageError(
            f"training.threads={wanted} is more than the {cores} cores that this process may use: each further thread "
            "would take memory and make the others wait. Use 0 for all cores."
        )


def _metrics(outcome: Outcome) -> Mapping[str, float]:
    """The last measurement of this run, else what its checkpoint was measured at."""
    if outcome.evaluation is not None:
        return outcome.evaluation.metrics()
    return {} if outcome.checkpoint is None else outcome.checkpoint.metrics


def _budget(context: RunContext, payload: TrainPayload, settings: Settings, latest: Checkpoint | None) -> Budget:
    if payload.unit in {"epochs", "steps", "minutes"}:
        return Budget(payload.unit, payload.amount)
    if payload.unit != "more":
        return Budget("minutes", settings.training.default_minutes)
    spec = context.run.spec()
    if "target" not in spec:  # decided once: an attempt that goes on after a kill has the target of the first
        spec |= {"target": _epochs_done(latest) + payload.amount}
        context.run.write_spec(spec)
    return Budget("epochs", float(spec["target"]))


def _epochs_done(latest: Checkpoint | None) -> float:
    """Passes behind the newest checkpoint; the whole number where it was trained for one."""
    if latest is None:
        return 0.0
    budget = latest.document["schedule"]["plan"]["budget"]
    if latest.finished and budget["unit"] == "epochs":
        return float(budget["amount"])
    return round(float(latest.document["data"]["epochs"]), 6)


def _callbacks(
    context: RunContext,
    model: OpenedModel,
    settings: Settings,
    prepared: Prepared,
    dataset: Dataset,
    seen: list[dict[str, Any]],
) -> list[Callback]:
    chosen = settings.training
    callbacks: list[Callback] = [
        Evaluating(chosen.evaluate_every),
        EarlyStopping(chosen.early_stopping),
        Checkpointing(chosen),
        History(model.folder / "history"),
        Curves(context.run.curves),
        Progress(context.emit),
        Packing(_packer(settings)),
    ]
    if writes_text(settings):
        sample = _sampler(settings, prepared, dataset, seen)
        callbacks.append(Sampling(chosen.sample_every, sample, context.emit, minutes=chosen.sample_minutes))
    if chosen.tensorboard:
        callbacks.append(TensorBoard(model.folder / "history" / "tensorboard"))
    return callbacks


def _packer(settings: Settings) -> Callable[[Checkpoint], None]:
    def pack(checkpoint: Checkpoint) -> None:
        # Imported with the first checkpoint: the first step need not wait for what generates.
        from treadle.recipes.opened_engine import pack_checkpoint

        pack_checkpoint(checkpoint, settings.generation)

    return pack


def _sampler(
    settings: Settings, prepared: Prepared, dataset: Dataset, seen: list[dict[str, Any]]
) -> Callable[[Checkpoint], dict[str, Any]]:
    """Make the function that samples while training: from the checkpoint just written, by the one generate path.

    What is worth remembering of each sample is added to `seen`.
    """
    drawing = settings.generation
    if drawing.seed is None:
        drawing = drawing.model_copy(update={"seed": _SAMPLE_SEED})
    tokenizer = tokenizer_from_description(prepared.tokenizer)

    @cache  # reading all text takes a moment, which the first step need not wait for
    def known_words() -> frozenset[str]:
        from treadle.data.words import words_of

        return words_of(dataset.texts())

    def sample(checkpoint: Checkpoint) -> dict[str, Any]:
        # Imported by the first sample: the first step need not wait for what generates.
        from treadle.data.words import real_word_share
        from treadle.generation.generate import GenerationRequest, complete
        from treadle.recipes.opened_engine import engine_model, open_checkpoint, record

        if drawing.precision == "int4":
            gate = load("treadle.recipes.int4_gate:require_int4")
            gate(engine_model(checkpoint), checkpoint.path, drawing.int4_margin, lambda: prepared.loader.evaluation(1))
        engine = open_checkpoint(checkpoint, drawing)
        try:
            (done,) = complete(engine, tokenizer, [GenerationRequest("", drawing)])
        finally:
            engine.close()
        facts = record(done, checkpoint, drawing)
        share = real_word_share(done.text, known_words())
        seen.append({"step": checkpoint.step, "real_words": share})
        return {**facts, "real_words": share}

    return sample


def _facts(model: OpenedModel, settings: Settings, prepared: Prepared, dataset: Dataset) -> dict[str, Any]:
    """What is about to be trained, for the first line that people see."""
    network = network_of(settings, prepared)
    parameters = network.parameter_count()
    return {
        "name": model.card.name,
        "size": model.card.size,
        "family": network.family.name,
        "parameters": parameters,
        "shown_parameters": units.count(parameters),
        "documents": dataset.manifest.documents,
        "unit": unit_of(settings),
        "targets": prepared.loader.targets_per_epoch,
        "held_out_targets": prepared.loader.held_out_targets,
        "examples_per_step": settings.training.examples_per_step,
    }
