"""From a checkpoint to an engine, and from what it wrote to what is recorded: the same for all who sample."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from treadle.base.errors import ResourceError, WeightsError
from treadle.base.hashing import hash_json
from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import EngineModel, LazyWeights, PackedPlace, open_engine
from treadle.models.catalog import FAMILIES
from treadle.models.gpt.config import GPTConfig
from treadle.recipes.settings import settings_of_model
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.training.checkpoints import DRAFT_FOLDER, MODEL_FILE, CheckpointFolder

NATIVE_DEFAULTS: Final = GenerationSettings(engine="native")
"""A draft model is opened with these, whatever the model itself is asked for."""

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.engine import Engine
    from treadle.generation.generate import Completion, GenerationRequest
    from treadle.generation.native_engine import NativeEngine
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True)
class OpenedSampling:
    """A model ready to write: all that belongs to one of its checkpoints."""

    card: ModelCard
    settings: GenerationSettings
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    engine: Engine


@dataclass(frozen=True, slots=True)
class FoundSampling:
    """A model, one of its checkpoints, and the settings as they are now; no weights were read yet."""

    card: ModelCard
    settings: GenerationSettings
    checkpoint: Checkpoint

    def opened(self, engine: Engine) -> OpenedSampling:
        """With an engine that holds this checkpoint."""
        tokenizer = tokenizer_from_description(self.checkpoint.record.tokenizer)
        return OpenedSampling(self.card, self.settings, self.checkpoint, tokenizer, engine)


def find_sampling(workspace: WorkspaceFolder, model: str, checkpoint: str, overrides: Sequence[str]) -> FoundSampling:
    """Find a model's checkpoint, by name or id of the model."""
    cards = ModelCards(workspace)
    card = cards.get(model)
    settings = settings_of_model(workspace, card, overrides)
    found = CheckpointFolder(cards.folder(card) / "checkpoints").find(checkpoint)
    if settings.generation.precision == "int4":
        load("treadle.recipes.int4_gate:check_before_sampling")(workspace, card, settings, found)
    return FoundSampling(card, settings.generation, found)


def open_sampling(
    workspace: WorkspaceFolder, model: str, checkpoint: str, overrides: Sequence[str], slots: int = 1
) -> OpenedSampling:
    """Open a model's checkpoint for writing, by name or id, with its settings as they are now."""
    found = find_sampling(workspace, model, checkpoint, overrides)
    return found.opened(open_checkpoint(found.checkpoint, found.settings, slots))


def open_checkpoint(checkpoint: Checkpoint, settings: GenerationSettings, slots: int = 1) -> Engine:
    """Make an engine from nothing but the checkpoint: its own family, shape and weights, loaded strictly.

    If the model has a draft model, the native engine lets it guess.
    """
    return with_draft(_opened(checkpoint, settings, slots), draft_of(checkpoint, settings))


def draft_of(checkpoint: Checkpoint, settings: GenerationSettings) -> Checkpoint | None:
    """The model's draft model, unless it is not wanted or was made for other tokens or a smaller context."""
    folder = checkpoint.path.parent.parent / DRAFT_FOLDER
    if settings.draft == "off" or not folder.is_dir():
        return None
    with contextlib.suppress(WeightsError):  # a damaged one: the text can be written without
        draft = CheckpointFolder(folder).latest()
        if draft is None or draft.tokenizer_hash != checkpoint.tokenizer_hash:
            return None
        fits = draft.record.vocabulary == checkpoint.record.vocabulary
        return draft if fits and draft.record.context >= checkpoint.record.context else None
    return None


def with_draft(engine: Engine, draft: Checkpoint | None) -> Engine:
    """Let a draft model guess for an engine that can use one."""
    if draft is not None and engine.name == "native":
        with contextlib.suppress(ResourceError, WeightsError):
            guesser = _opened(draft, NATIVE_DEFAULTS, engine.slots)
            cast("NativeEngine", engine).use_draft(cast("NativeEngine", guesser))
    return engine


def _opened(checkpoint: Checkpoint, settings: GenerationSettings, slots: int) -> Engine:
    if settings.engine in {"auto", "native"}:
        open_packed = load("treadle.generation.native_engine:open_packed")
        with contextlib.suppress(ResourceError):  # no core, no memory: said below, unless another engine can do it
            if (found := open_packed(_packed_place(checkpoint), settings.precision, slots)) is not None:
                return cast("Engine", found)
    return open_engine(engine_model(checkpoint), settings.engine, settings.precision, slots)


def pack_checkpoint(checkpoint: Checkpoint, settings: GenerationSettings) -> None:
    """Write beside the weights what the native engine reads, if that is the engine that will write."""
    model = engine_model(checkpoint)
    if settings.engine in {"auto", "native"} and isinstance(model.config, GPTConfig):
        load("treadle.generation.native_engine:pack_native")(model, settings.precision)


def engine_model(checkpoint: Checkpoint) -> EngineModel:
    """What engines must know of a checkpoint; its weights are read when one asks for them."""
    record = checkpoint.record
    family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(record.config)
    shapes = family.weight_shapes(config, record.vocabulary, record.context)
    weights = LazyWeights(lambda: checkpoint.weights(shapes))
    place = _packed_place(checkpoint)
    return EngineModel(record.family, config, weights, record.vocabulary, record.context, place)


def _packed_place(checkpoint: Checkpoint) -> PackedPlace:
    """Where an engine's own copy of the weights lies, and what it must be a copy of."""
    document = checkpoint.document
    network = hash_json([document[key] for key in ("family", "config", "vocabulary", "context")])
    return PackedPlace(checkpoint.path / MODEL_FILE, document["files"][MODEL_FILE]["sha256"], network)


def result(
    done: Completion, request: GenerationRequest, checkpoint: Checkpoint, tokenizer: Tokenizer
) -> dict[str, Any]:
    """What a sample records of itself: enough to make it again."""
    facts = {
        **record(done, checkpoint, request.settings),
        "prompt": request.prompt,
        "logit_bias": {str(id_): value for id_, value in request.logit_bias.items()},
    }
    if request.log_probabilities:
        facts["logprobs"] = list(_log_probabilities(done, tokenizer))
    return facts


def record(done: Completion, checkpoint: Checkpoint, settings: GenerationSettings) -> dict[str, Any]:
    """What every text that was written says of where it came from."""
    return {
        "prompt": "",
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


def _log_probabilities(done: Completion, tokenizer: Tokenizer) -> Iterator[dict[str, Any]]:
    """One entry for each token: itself, its log-probability, and the likeliest ones in its place."""
    likely = done.alternatives or [()] * len(done.ids)
    for id_, log, others in zip(done.ids, done.log_probabilities, likely, strict=True):
        top = [{"id": other, "token": tokenizer.decode([other]), "logprob": one} for other, one in others]
        yield {"id": id_, "token": tokenizer.decode([id_]), "logprob": log, "top": top}
