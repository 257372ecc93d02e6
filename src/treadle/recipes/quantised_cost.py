"""What a format of fewer bits costs a model on text that it never learned from; more than a bound is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import NotReadyError, UsageError
from treadle.config.settings import Settings
from treadle.data.batch import MASKED
from treadle.models.exchange.blocks import rounded
from treadle.recipes.int4_gate import enough_of, mean_loss
from treadle.recipes.opened_engine import engine_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.models.exchange.gguf_writer import Tensor
    from treadle.recipes.opened import OpenedModel
    from treadle.training.checkpoints import Checkpoint

FORCED: Final = 100.0
"""A margin that asks nothing."""


def require_cheap(
    model: OpenedModel, checkpoint: Checkpoint, tensors: Sequence[Tensor], margin: float
) -> dict[str, Any] | None:
    """What the tensors, as they will be kept, lose on held-out text; raises `UsageError` if it is more than `margin`.

    The margin is in nats per token; None is returned for one that asks nothing. Raises `NotReadyError` where nothing is
    held out to measure on.
    """
    if margin >= FORCED:
        return None
    from treadle.models.gpt.convert_gguf import from_gguf, shape_of

    original = engine_model(checkpoint)
    batches = list(enough_of(_held_out(model, checkpoint)))
    if not batches:
        raise NotReadyError(_NOTHING_HELD_OUT)
    facts = _facts(checkpoint)
    kept = {tensor.name: rounded(tensor.values, tensor.kind) for tensor in tensors}
    shapes = {name: array.shape for name, array in kept.items()}
    foreign = shape_of(facts, shapes)
    lowered = from_gguf(foreign, str(facts["general.architecture"]), kept)
    exact = mean_loss(replace(original, packed=None), "fp32", batches)
    lossy = mean_loss(replace(original, config=foreign.config, weights=lowered, packed=None), "fp32", batches)
    targets = sum(int((batch.targets != MASKED).sum()) for batch in batches)
    if not lossy - exact <= margin:
        raise UsageError(
            f"This format costs the model {lossy - exact:.3f} nats per token on held-out text ({lossy:.3f} instead "
            f"of {exact:.3f}, over {targets:,} tokens); at most {margin:g} is allowed. Take a wider --precision, "
            "or allow more with --margin (100 allows anything)."
        )
    return {"exact": exact, "kept": lossy, "nats_per_token": lossy - exact, "targets": targets, "margin": margin}


_NOTHING_HELD_OUT: Final = (
    "A format of few bits is measured on held-out text before it is written, and nothing is held out here. "
    "Export with --precision f16, feed some text first, or ask for no measurement with --margin 100."
)


def _held_out(model: OpenedModel, checkpoint: Checkpoint) -> Any:  # noqa: ANN401 - batches
    dataset = model.versions.latest()
    if dataset is None or not dataset.manifest.documents:
        raise NotReadyError(_NOTHING_HELD_OUT)
    settings = Settings.from_dict(checkpoint.record.settings or {}, str(checkpoint.path))
    prepared = model.prepared(dataset, settings, fix=False)
    return () if prepared is None else prepared.loader.evaluation(1)


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    from treadle.models.gpt.config import GPTConfig
    from treadle.models.gpt.convert_gguf import facts_of

    record = checkpoint.record
    return facts_of(GPTConfig.model_validate(dict(record.config)), record.vocabulary, record.context)
