"""Which model local-tiny draws with, told from checkpoints alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.recipes.local_tiny_models import chosen, clip_frames, green, settled, still_there, weights_of
from treadle.store.models import ModelCards
from treadle.store.workspace import create_workspace
from treadle.training.checkpoints import Checkpoint, CheckpointFolder, ModelRecord, Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder


@pytest.fixture
def lab(tmp_path: Path) -> WorkspaceFolder:
    return create_workspace(tmp_path / "lab")


def saved(lab: WorkspaceFolder, name: str, step: int, value: float = 0.0, family: str = "video_flow") -> Checkpoint:
    """A checkpoint of a model that is made where there is none."""
    cards = ModelCards(lab)
    known = {card.name: card for card in cards.all()}
    card = known.get(name) or cards.create(name, {"defaults": {"family": family}})
    arrays = {"w": np.full((2,), value, np.float32)}
    record = ModelRecord(family, {}, 3, 4)
    snapshot = Snapshot(step, record, arrays, arrays, {}, {}, {}, {}, {}, {})
    return CheckpointFolder(cards.folder(card) / "checkpoints").write(snapshot)


def test_the_only_one_is_taken_and_several_must_be_named(lab: WorkspaceFolder) -> None:
    with pytest.raises(NotFoundError, match=r"There is none yet\. Make one in minutes"):
        chosen(lab, None)
    saved(lab, "bard", 5, family="gpt")
    saved(lab, "mover", 5)
    assert settled(lab, {"tries": 2}) == {"tries": 2, "model": "mover"}
    assert settled(lab, {"model": "mover@5"}) == {"model": "mover@5"}
    assert clip_frames(lab, None) == 4
    saved(lab, "drawer", 5)
    with pytest.raises(NotFoundError, match="There are drawer, mover; name one: --model drawer"):
        settled(lab, {})
    assert clip_frames(lab, None) is None
    with pytest.raises(UsageError, match="`bard` is of the family gpt"):
        chosen(lab, "bard")
    ModelCards(lab).create("empty", {"defaults": {"family": "video_flow"}})
    with pytest.raises(NotReadyError, match="has not been trained"):
        chosen(lab, "empty")


def test_weights_are_found_again_by_their_hash(lab: WorkspaceFolder) -> None:
    saved(lab, "mover", 5, 1.0)
    card, first = chosen(lab, "mover@5")
    told = weights_of(card, first)
    assert still_there(lab, told) == "mover@5"
    saved(lab, "mover", 5, 2.0)
    assert still_there(lab, told) is None, "`mover@5` means the newer one of that step"
    assert still_there(lab, {**told, "model_id": "m-0"}) is None


def test_a_model_that_has_hardly_learned_is_told_of(lab: WorkspaceFolder) -> None:
    assert "only 1 step: expect noise" in str(green("mover", saved(lab, "mover", 1)))
    assert green("mover", saved(lab, "mover", 900)) is None
