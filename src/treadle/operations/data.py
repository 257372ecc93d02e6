"""Operations on data: feed."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from treadle.base.errors import UsageError
from treadle.base.files import disk_errors
from treadle.jobs.inbox import SETTLED_SECONDS, complete, feed_of, inbox_of, take
from treadle.jobs.presence import announce
from treadle.jobs.request import JobRequest
from treadle.operations.heavy import model_job
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from treadle.jobs.runs import RunFolder
    from treadle.store.models import ModelCard

STDIN_FILE = "stdin.txt"
"""Name of the file, among a run's outputs, that holds what came on standard input."""
_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class FeedPayload:
    """What to read for which model."""

    model: str
    """Id of the model."""
    paths: tuple[str, ...]
    """Absolute paths of files and folders; a text from standard input lies in the run's `outputs/stdin.txt`."""
    inbox: bool = False
    """Whether the one path is a folder that was taken from the model's inbox: what of it is stored is removed."""


@operation(
    "heavy",
    examples=(
        "treadle feed bard shakespeare.txt",
        "treadle feed diary ~/notes book.zip",
        "treadle feed bard .",
        "treadle feed bard - < notes.txt",
        "treadle feed bard dataset:letters@2",
        "treadle feed diary",
    ),
)
def feed(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    paths: Annotated[
        list[Path], "files, archives, folders, dataset:NAME; - = standard input; none = what lies in the model's inbox"
    ] = [],  # noqa: B006 - never changed
) -> JobRequest:
    """Give a model something to learn from. Files are read once; what is refused is listed with its reason.

    Reading does not train: `treadle train MODEL` does, or the model by itself if it is a standing one. It waits until
    all is stored; the exit code is 1 when nothing could be taken.
    """
    card = ModelCards(workspace).get(model)
    if not paths:
        return _from_inbox(workspace, card)
    announce(workspace, "feed")
    payload = FeedPayload(card.id, tuple(str(path.expanduser().absolute()) for path in paths))
    run: RunFolder | None = None
    if _STDIN in paths:
        run = load("treadle.jobs.runs:create_run")(workspace, "feed", asdict(payload))
        payload = _spool(run, payload, paths.index(_STDIN))
    return model_job(workspace, "feed", asdict(payload), lane="light", run=run)


def _from_inbox(workspace: WorkspaceFolder, card: ModelCard) -> JobRequest:
    """Take what lies in the inbox now, without waiting for a worker to look there."""
    folder = inbox_of(workspace, card.id)
    entries = complete(folder)
    taken = take(folder, entries) if entries else None
    if taken is None:
        raise UsageError(
            f"Name what to feed, or put it into {folder}: nothing lies there that has been left alone for "
            f"{SETTLED_SECONDS:g} s."
        )
    announce(workspace, "feed")
    job = feed_of(card.id, taken)
    return JobRequest(workspace, job.queue, job.kind, job.payload, job.lane, dedup_key=job.dedup_key)


def _spool(run: RunFolder, payload: FeedPayload, place: int) -> FeedPayload:
    """Keep what comes on standard input as a file of the run, piece by piece; it is read as one document."""
    text = run.outputs / STDIN_FILE
    try:
        with disk_errors(text), text.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        named = (*payload.paths[:place], str(text), *payload.paths[place + 1 :])
        spooled = replace(payload, paths=named)
        run.write_spec({**run.spec(), "payload": asdict(spooled)})
    except BaseException:
        shutil.rmtree(run.path)  # nothing began
        raise
    return spooled
