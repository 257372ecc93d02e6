"""What pictures show, by a classifier's checkpoint: decoded as its training data were, loaded strictly."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, UsageError
from treadle.data.document import RefusedError
from treadle.data.image_data import Decided
from treadle.data.pictures import decode_picture
from treadle.data.readers.decoding import reading_errors
from treadle.models.catalog import FAMILIES
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

_AT_ONCE = 64


def predict(workspace: WorkspaceFolder, name: str, files: Sequence[Path], which: str) -> dict[str, Any]:
    """Classify picture files; the fields of the operation's report. A file that cannot be read is among `refused`."""
    cards = ModelCards(workspace)
    card = cards.get(name)
    checkpoint = CheckpointFolder(cards.folder(card) / "checkpoints").find(which)
    record = checkpoint.record
    if FAMILIES.get(record.family).needs != "labelled_images":
        raise UsageError(
            f"`{card.name}` is of the family {record.family} and says nothing of pictures. What it is for: "
            f"treadle show {card.name}"
        )
    decided = Decided.model_validate(record.tokenizer)
    pictures: list[tuple[Path, NDArray[np.uint8]]] = []
    refused = []
    for file in files:
        try:
            with reading_errors():
                pictures.append((file, decode_picture(file.read_bytes(), decided.size, decided.channels)))
        except RefusedError as error:
            refused.append({"file": str(file), "reason": error.reason, "detail": error.detail})
    shares = _probabilities(checkpoint, [picture for _, picture in pictures])
    return {
        "ok": not refused,
        "model": card.name,
        "step": checkpoint.step,
        "checkpoint": str(checkpoint.path),
        "predictions": [
            _prediction(file, decided.classes, row) for (file, _), row in zip(pictures, shares, strict=True)
        ],
        "refused": refused,
    }


def _prediction(file: Path, classes: Sequence[str], shares: Sequence[float]) -> dict[str, Any]:
    likeliest = sorted(zip(classes, shares, strict=True), key=lambda pair: -pair[1])
    return {
        "file": str(file),
        "class": likeliest[0][0],
        "probability": likeliest[0][1],
        "probabilities": dict(likeliest),
    }


def _probabilities(checkpoint: Checkpoint, pictures: Sequence[NDArray[np.uint8]]) -> list[list[float]]:
    if find_spec("torch") is None:
        raise MissingExtraError("Image classifiers need torch, which is not installed: pip install 'treadle[torch]'")
    import numpy as np
    import torch

    record = checkpoint.record
    family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(record.config)
    weights = checkpoint.weights(family.weight_shapes(config, record.vocabulary, record.context))
    module = family.build_model(config, record.vocabulary, record.context)
    module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, assign=True)
    answer = load("treadle.models.image_classifier.model:probabilities")
    found: list[list[float]] = []
    for first in range(0, len(pictures), _AT_ONCE):
        found += answer(module, torch.tensor(np.stack(pictures[first : first + _AT_ONCE]))).tolist()
    return found
