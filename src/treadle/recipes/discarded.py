"""What happens to the partial work of a job that is discarded. Workers call this, so it imports little."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, NotFoundError
from treadle.base.files import disk_errors, locked, read_json
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.store.workspace import WorkspaceFolder


def checkpoints(workspace: WorkspaceFolder, run: str, payload: Mapping[str, Any]) -> None:
    """Move the checkpoints that a run has written into the trash; those before it are the newest again."""
    cards = ModelCards(workspace)
    try:
        folder = cards.folder(cards.get(payload["model"])) / "checkpoints"
    except NotFoundError:
        return  # the model itself lies in the trash
    if not folder.is_dir():
        return
    target = workspace.trash / f"{run}-checkpoints"
    with disk_errors(target), locked(folder / ".lock"):
        for path in sorted(folder.glob("step-*")):
            with contextlib.suppress(DataError):  # a damaged one tells nothing about its run
                if read_json(path / "checkpoint.json")["lineage"]["run"] == run:
                    target.mkdir(parents=True, exist_ok=True)
                    path.rename(target / path.name)
