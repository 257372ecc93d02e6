"""Operations on data: feed."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from treadle.base.files import disk_errors
from treadle.jobs.executors.subprocess import PreparedChild, SubprocessRun
from treadle.jobs.runs import RunFolder, create_run
from treadle.operations.operation import operation
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

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


@operation(
    "heavy",
    examples=(
        "treadle feed bard shakespeare.txt",
        "treadle feed diary ~/notes book.zip",
        "treadle feed bard .",
        "treadle feed bard - < notes.txt",
    ),
)
def feed(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    paths: Annotated[list[Path], "text files, Markdown, zip archives, folders of these; - = standard input"],
) -> SubprocessRun:
    """Give a model something to learn from. Files are read once; what is refused is listed with its reason.

    Reading does not train: `treadle train MODEL` does.
    """
    card = ModelCards(workspace).get(model)
    with PreparedChild("feed") as child:
        payload = FeedPayload(card.id, tuple(str(path.expanduser().absolute()) for path in paths))
        run = create_run(workspace, "feed", asdict(payload))
        if _STDIN in paths:
            _spool(run, payload, paths.index(_STDIN))
        return child.carry_out(run)


def _spool(run: RunFolder, payload: FeedPayload, place: int) -> None:
    """Keep what comes on standard input as a file of the run, piece by piece; it is read as one document."""
    text = run.outputs / STDIN_FILE
    try:
        with disk_errors(text), text.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        named = (*payload.paths[:place], str(text), *payload.paths[place + 1 :])
        run.write_spec({**run.spec(), "payload": {**asdict(payload), "paths": named}})
    except BaseException:
        shutil.rmtree(run.path)  # nothing began
        raise
