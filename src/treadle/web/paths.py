"""Paths in requests: `upload:ID` becomes the file that was sent; others are for those who may read this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.operations.operation import leads_elsewhere
from treadle.store.accounts import FOLDER as ACCOUNTS
from treadle.web.answers import RefusedError
from treadle.web.upload_files import keep_upload, uploaded

if TYPE_CHECKING:
    from treadle.operations.operation import NamesFile, Operation
    from treadle.store.workspace import WorkspaceFolder

UPLOAD = "upload:"
_NOT_PATHS = ("dataset:",)
"""What operations take in place of a path, with a prefix."""


def given_paths(workspace: WorkspaceFolder, level: str, entry: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
    """Replace paths by what they mean here; refuse those that the level does not reach.

    An admin may name any path of the machine, an operator those inside the workspace but not its accounts, a viewer
    none. Where the server was started does not matter: what is not absolute lies in the workspace.
    """
    found = dict(arguments)
    marks = {parameter.name: parameter.names_file for parameter in entry.parameters() if parameter.names_file}
    for name, value in arguments.items():
        if isinstance(value, Path):
            found[name] = _meant(workspace, level, entry, value)
        elif isinstance(value, list) and any(isinstance(one, Path) for one in value):
            found[name] = [_meant(workspace, level, entry, one) for one in value]
        elif name in marks and value:
            found[name] = (
                _named(workspace, level, entry, marks[name], value)
                if isinstance(value, str)
                else [_named(workspace, level, entry, marks[name], one) for one in value]
            )
    return found


def _named(workspace: WorkspaceFolder, level: str, entry: Operation, mark: NamesFile, text: str) -> str:
    """A text that may name a file, with that file as it is meant here; what is no path at all stays."""
    before, name = mark.split(text)
    if mark.names_others and level != "admin" and name.startswith(UPLOAD) | name.endswith(".json"):
        said = f"`{entry.name}` takes files that name others from admins only. Store a prompt, and give its name."
        raise RefusedError(403, said, "Forbidden")
    if not name.startswith(UPLOAD) and not leads_elsewhere(name):
        return text  # an id, a number, or a file right in the workspace, where the server stands
    path = _meant(workspace, level, entry, Path(name))
    if mark.kept and name.startswith(UPLOAD):
        keep_upload(workspace, name.removeprefix(UPLOAD))
    return f"{before}{path}"


def _meant(workspace: WorkspaceFolder, level: str, entry: Operation, path: Path) -> Path:
    text = str(path)
    if text == "-":
        raise RefusedError(422, "`-` means standard input, which a server has none of. Upload the text.", "Usage")
    if text.startswith(UPLOAD):
        return uploaded(workspace, text.removeprefix(UPLOAD))
    if text.startswith(_NOT_PATHS):
        return path
    if level == "admin":
        return workspace.root / _at_home(path)
    inside, root = (workspace.root / path).resolve(), workspace.root.resolve()
    near = inside != root and inside.is_relative_to(root) and not inside.is_relative_to(root / ACCOUNTS)
    if level == "viewer" or not near or text.startswith("~"):
        allowed = "uploads" if level == "viewer" else "uploads and paths inside the workspace, but not its accounts,"
        raise RefusedError(403, f"`{entry.name}` may not use {text}: {level}s name {allowed} only.", "Forbidden")
    return inside


def _at_home(path: Path) -> Path:
    """A path with `~` spelled out."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise RefusedError(
            422, f"{path}: there is no such user on this machine. Name a whole path.", "Usage"
        ) from error
