"""Operations on data: feed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from treadle.jobs.executors.subprocess import PreparedChild, SubprocessRun
from treadle.jobs.runs import create_run
from treadle.operations.operation import operation
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class FeedPayload:
    """What to read for which model."""

    model: str
    """Id of the model."""
    paths: tuple[str, ...]
    """Absolute paths of files and folders."""


@operation(
    "heavy",
    examples=("treadle feed bard shakespeare.txt", "treadle feed diary ~/notes book.zip", "treadle feed bard ."),
)
def feed(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    paths: Annotated[list[Path], "text files, Markdown, zip archives of text, or folders of these"],
) -> SubprocessRun:
    """Give a model something to learn from. Files are read once; what is refused is listed with its reason.

    Reading does not train: `treadle train MODEL` does.
    """
    card = ModelCards(workspace).get(model)
    payload = FeedPayload(card.id, tuple(str(path.expanduser().absolute()) for path in paths))
    with PreparedChild("feed") as child:
        return child.carry_out(create_run(workspace, "feed", asdict(payload)))
