"""Taking an experiment away: its models first, its folder last, so that a kill in between can be gone on from."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError
from treadle.base.files import locked
from treadle.jobs.job import WAITING
from treadle.jobs.ledger import Ledger
from treadle.jobs.request import model_queue
from treadle.recipes.experiment_files import ExperimentFiles
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from treadle.store.workspace import WorkspaceFolder


def remove(workspace: WorkspaceFolder, name: str) -> dict[str, Any]:
    """Move the experiment `name` to the trash; raises `NotReadyError` while it is being carried out."""
    files = ExperimentFiles.find(workspace, name)
    identity = files.plan()["id"]
    cards = ModelCards(workspace)
    try:
        with locked(files.lock, wait=False), Ledger.open(workspace) as ledger:
            own = [card for card in cards.all() if card.experiment == identity]
            for card in own:
                for job in ledger.jobs(model_queue(card.id), WAITING):
                    ledger.discard(job.id)
                cards.delete(card)
            target = workspace.trash / f"{identity}-{secrets.token_hex(2)}"
            target.parent.mkdir(parents=True, exist_ok=True)
            files.path.rename(target)
    except BlockingIOError as error:
        raise NotReadyError(
            f"`{name}` is being carried out. Stop it first: `treadle jobs list` shows its job."
        ) from error
    return {"name": name, "models": len(own), "trash": str(target)}
