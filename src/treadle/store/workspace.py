"""The workspace folder: one directory that holds everything a person owns."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.files import disk_errors, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS_FILE = "treadle.yaml"
_FORMAT = 1
_TEMPLATE = f"""\
# Settings of this workspace. They stand above the built-in defaults and below a model's own.
# `treadle config show` lists every setting with its origin.
format: {_FORMAT}
settings: {{}}
"""


@dataclass(frozen=True, slots=True)
class WorkspaceFolder:
    """Paths inside one workspace; knows nothing of what the files mean."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """`treadle.yaml`, whose presence makes a folder a workspace."""
        return self.root / SETTINGS_FILE

    @property
    def models(self) -> Path:
        """Folder of the models, one folder per id and one link per name."""
        return self.root / "models"

    @property
    def datasets(self) -> Path:
        """Folder of the datasets' manifests."""
        return self.root / "datasets"

    @property
    def objects(self) -> Path:
        """Folder of the content-addressed objects."""
        return self.root / "objects"

    @property
    def runs(self) -> Path:
        """Folder of the runs."""
        return self.root / "runs"

    @property
    def database(self) -> Path:
        """The ledger, unless it is in Postgres."""
        return self.root / "treadle.db"

    @property
    def ledger(self) -> Path:
        """Folder of what belongs to the ledger's database: journal, backups, lock."""
        return self.root / "ledger"

    @property
    def trash(self) -> Path:
        """Folder that deleted things are moved to."""
        return self.root / "trash"


def create_workspace(folder: Path) -> WorkspaceFolder:
    """Make `folder` a workspace; raises `UsageError` if it is one already or is a file."""
    root = folder.expanduser().resolve()
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; give a folder for the workspace.")
    workspace = WorkspaceFolder(root)
    if workspace.settings_file.exists():
        shown = shlex.quote(str(folder))
        raise UsageError(f"{root} is a workspace already. Go on with `treadle list --workspace {shown}`.")
    with disk_errors(root):
        for path in (workspace.models, workspace.datasets, workspace.objects, workspace.runs):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise UsageError(f"No folder can be made at {root}. Choose another place.") from error
    # The settings file comes last: it is what makes the folder a workspace.
    write_text(workspace.settings_file, _TEMPLATE)
    return workspace


def find_workspace(
    explicit: Path | None = None, *, environment: Mapping[str, str] | None = None, start: Path | None = None
) -> WorkspaceFolder:
    """Find the workspace: `explicit`, else `TREADLE_WORKSPACE`, else the nearest parent with `treadle.yaml`.

    Raises `NotFoundError` that names `treadle init`.
    """
    environment = os.environ if environment is None else environment
    named = str(explicit) if explicit is not None else environment.get("TREADLE_WORKSPACE")
    if named:
        workspace = WorkspaceFolder(Path(named).expanduser().resolve())
        if not workspace.settings_file.is_file():
            raise NotFoundError(f"{named} is not a workspace. Make it one with `treadle init {shlex.quote(named)}`.")
        return workspace
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / SETTINGS_FILE).is_file():
            return WorkspaceFolder(folder)
    raise NotFoundError(
        f"No workspace in {here} or above it. Make one here with `treadle init`, or name one with --workspace DIR."
    )
