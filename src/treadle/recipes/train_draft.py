"""A small model beside a large one, trained on the same text to guess what the large one writes; see record 67.

It belongs to the model and not to one of its checkpoints: what it learns is the text, so that it goes on guessing well
while the model learns further. What it guesses never changes a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from treadle.base import units
from treadle.base.errors import UsageError
from treadle.config.settings import build
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_refusal
from treadle.recipes.opened import network_of, record_of
from treadle.recipes.opened_engine import NATIVE_DEFAULTS, pack_checkpoint
from treadle.training.callbacks.checkpointing import Checkpointing
from treadle.training.callbacks.packing import Packing
from treadle.training.learners import open_learner
from treadle.training.loop import Training
from treadle.training.optimizers.config import MuonConfig
from treadle.training.schedules import Budget, Place, make_schedule
from treadle.training.start import Start, Subject, find_start

if TYPE_CHECKING:
    from treadle.config.settings import Settings
    from treadle.data.prepared import Prepared
    from treadle.jobs.context import RunContext
    from treadle.training.checkpoints import CheckpointFolder
    from treadle.training.config import TrainingSettings

_SHARE: Final = 0.1
"""Of the seconds that the model itself was trained for."""
_LEAST_SECONDS: Final = 2.0
_TOKENS_OF_A_STEP: Final = 2048
_HEAD_WIDTH: Final = 32
_USUAL: Final = (2, 128)
"""Layers and width."""


def require_use(settings: Settings) -> None:
    """Raise `UsageError` for a model that the native engine does not write with: nothing else takes guesses."""
    family = settings.family
    reason = native_refusal(family) if isinstance(family, GPTConfig) else "it is not of the family gpt"
    if reason is not None:
        raise UsageError(f"A draft model guesses for the native engine, which cannot run this one: {reason}.")


def settings_of_draft(settings: Settings, shape: str) -> Settings:
    """The settings of the draft model of a model: `shape` is LAYERSxWIDTH, or `auto`."""
    layers, width = _USUAL if shape == "auto" else map(int, shape.split("x"))
    family = GPTConfig(layers=layers, width=width, heads=max(1, width // _HEAD_WIDTH), head_width=_HEAD_WIDTH)
    training = settings.training.model_copy(
        update={
            "batch_size": max(1, _TOKENS_OF_A_STEP // settings.data.sequence_length),
            "accumulation": 1,
            "optimizer": MuonConfig(matrix_learning_rate=0.05, learning_rate=0.01, embedding_learning_rate=0.1),
            "cooldown": 0.8,
            "learner": "auto",
            "evaluate_every": 0,
            "checkpoint_every": 0,
            "keep_last": 1,
            "keep_best": False,
        }
    )
    sections = {"family": family, "data": settings.data, "training": training, "generation": settings.generation}
    return build(sections, {}, {})


def train_draft(
    context: RunContext,
    checkpoints: CheckpointFolder,
    prepared: Prepared,
    settings: Settings,
    shape: str,
    made: tuple[str, float],
) -> dict[str, Any]:
    """Train a model's draft model for a tenth of the time that the model itself took; returns what came of it.

    `made` is the dataset version that the model learned and the seconds that this took. A draft model of the same shape
    goes on from where it is, also after a kill; one of another shape is replaced.
    """
    own = settings_of_draft(settings, shape)
    network = network_of(own, prepared)
    subject = Subject(
        record=record_of(own, prepared),
        checkpoints=checkpoints,
        initial_weights=lambda: network.family.initial_weights(
            network.config, network.vocabulary, network.context, own.training.seed
        ),
        run=context.run.id,
        dataset=made[0],
    )
    seconds = max(_LEAST_SECONDS, _SHARE * made[1])
    start = _start(subject, Budget("minutes", round(seconds / 60, 4)), own.training, prepared)
    parameters = units.count(network.parameter_count())
    context.emit("note", message=f"A draft model of {parameters} parameters is trained beside it: {seconds:.0f} s.")
    latest = start.checkpoint
    learner = open_learner(network, own.training, None if latest is None else latest.document["plan"])
    try:
        callbacks = [
            Checkpointing(own.training),
            Packing(lambda checkpoint: pack_checkpoint(checkpoint, NATIVE_DEFAULTS)),
        ]
        loop = Training(
            learner,
            prepared.loader,
            own.training,
            subject,
            start,
            callbacks=callbacks,
            stop_requested=context.stop_requested,
        )
        outcome = loop.run()
    finally:
        learner.close()
    kept = outcome.checkpoint
    return {
        "shape": f"{own.values()['family']['layers']}x{own.values()['family']['width']}",
        "parameters": network.parameter_count(),
        "step": outcome.step,
        "seconds": round(outcome.seconds, 1),
        "held_out": None if kept is None else kept.metrics.get("held_out_loss"),
    }


def _start(subject: Subject, budget: Budget, training: TrainingSettings, prepared: Prepared) -> Start:
    """Go on with the newest draft model if it has this shape and these tokens, else begin one."""
    latest = subject.checkpoints.latest()
    mine = subject.record
    if latest is not None:
        there = latest.record
        if (there.config, there.vocabulary, there.context, there.tokenizer) == (
            *(dict(mine.config), mine.vocabulary),
            *(mine.context, mine.tokenizer),
        ):
            return find_start(subject, budget, training, prepared.loader)
    place = Place()
    schedule = make_schedule(
        budget, place, prepared.loader.examples_per_epoch, training.warmup_steps, training.cooldown
    )
    return Start("fresh", None, place, schedule, trunk=True)
