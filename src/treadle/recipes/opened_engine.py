"""From a checkpoint to an engine, and from what it wrote to what is recorded: the same for all who sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.generation.engine import EngineModel, LazyWeights, PackedPlace, open_engine
from treadle.models.catalog import FAMILIES
from treadle.training.checkpoints import MODEL_FILE

if TYPE_CHECKING:
    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import Engine
    from treadle.generation.generate import Completion
    from treadle.training.checkpoints import Checkpoint


def open_checkpoint(checkpoint: Checkpoint, settings: GenerationSettings, slots: int = 1) -> Engine:
    """Make an engine from nothing but the checkpoint: its own family, shape and weights, loaded strictly."""
    record = checkpoint.record
    family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(record.config)
    shapes = family.weight_shapes(config, record.vocabulary, record.context)
    weights = LazyWeights(lambda: checkpoint.weights(shapes))
    packed = PackedPlace(checkpoint.path / MODEL_FILE, checkpoint.document["files"][MODEL_FILE]["sha256"])
    model = EngineModel(record.family, config, weights, record.vocabulary, record.context, packed)
    return open_engine(model, settings.engine, settings.precision, slots)


def result(done: Completion, prompt: str, checkpoint: Checkpoint, settings: GenerationSettings) -> dict[str, Any]:
    """What a sample records of itself: enough to make it again."""
    return {
        "prompt": prompt,
        "prompt_ids": list(done.prompt_ids),
        "ids": list(done.ids),
        "text": done.text,
        "reason": done.reason,
        "seed": done.seed,
        "temperature": settings.temperature,
        "checkpoint": checkpoint.step,
        "checkpoint_path": str(checkpoint.path),
        "engine": done.engine,
        "precision": done.precision,
        "unread": done.unread,
    }
