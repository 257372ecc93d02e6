"""Files that were sent, as they lie in the workspace: begun, gone on with, checked by their hash, put into place."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.files import disk_errors, locked, read_json, sync_folder, write_json
from treadle.base.hashing import hash_file
from treadle.base.ids import new_id
from treadle.base.units import size as shown_size
from treadle.web.answers import RefusedError

if TYPE_CHECKING:
    from treadle.store.workspace import WorkspaceFolder

FOLDER = "uploads"
KEPT_SECONDS = 14 * 86_400
"""After how long an upload is removed, whole or not; what it fed was read long before."""
_KEPT = "kept"
_ID = re.compile(r"u-[0-9a-z]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPARE_BYTES = 64 * 1024 * 1024


def uploaded(workspace: WorkspaceFolder, identity: str) -> Path:
    """The file that was sent, or the folder if several were sent into one upload; refuses what is not whole."""
    folder = upload_folder(workspace, identity)
    if not (folder / "upload.json").is_file():
        raise NotFoundError(f"There is no upload `{identity[:40]}`. Send the file with POST /api/v1/uploads.")
    facts = _stored(folder)
    if not facts["complete"]:
        raise UsageError(f"The upload `{identity}` is not whole yet: {facts['offset']:,} of {facts['size']:,} bytes.")
    files = folder / "files"
    entries = list(files.iterdir())
    if len(entries) == 1:
        return entries[0]
    return files


def keep_upload(workspace: WorkspaceFolder, identity: str) -> None:
    """Let an upload stay for good, since something that is stored names its file."""
    (upload_folder(workspace, identity) / _KEPT).touch()


def remove_old(workspace: WorkspaceFolder) -> list[str]:
    """Remove uploads that nothing has touched for a long time and nothing keeps; returns their ids."""
    removed = []
    for path in (workspace.root / FOLDER).glob("u-*/upload.json"):
        touched = [one.stat().st_mtime for one in (path, path.parent, path.with_name("data")) if one.exists()]
        if time.time() - max(touched) > KEPT_SECONDS and not path.with_name(_KEPT).exists():
            shutil.rmtree(path.parent, ignore_errors=True)
            removed.append(path.parent.name)
    return removed


def begin_upload(workspace: WorkspaceFolder, owner: str, given: dict[str, Any]) -> dict[str, Any]:
    """Make an upload of what a request says of it; returns its facts."""
    name, size = given.get("name"), given.get("size")
    digest, into = given.get("sha256"), given.get("into")
    if not isinstance(name, str) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise UsageError("Send `name`, a text, and `size`, a number of bytes.")
    if digest is not None and not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
        raise UsageError("`sha256` must be 64 hexadecimal digits.")
    unknown = set(given) - {"name", "size", "sha256", "into"}
    if unknown:
        raise UsageError(f"An upload has no `{min(unknown)}`. It has: name, size, sha256, into.")
    if into is not None and upload_facts(workspace, str(into))["owner"] != owner:
        raise RefusedError(403, f"The upload `{into}` belongs to somebody else.", "Forbidden")
    place = _safe_name(name)
    root = workspace.root / FOLDER
    with disk_errors(root):
        root.mkdir(mode=0o700, exist_ok=True)
    free = shutil.disk_usage(root).free
    if size + _SPARE_BYTES > free:
        raise RefusedError(507, f"{shown_size(size)} do not fit: {shown_size(free)} are free on this disk.", "Resource")
    made = new_id("u")
    folder = root / made
    with disk_errors(folder):
        folder.mkdir(mode=0o700)
        (folder / "data").touch()
    facts = {
        "name": str(place),
        "size": size,
        "sha256": digest,
        "into": into,
        "owner": owner,
        "complete": False,
    }
    write_json(folder / "upload.json", facts)
    return settle_upload(workspace, made)


def _safe_name(name: str) -> PurePosixPath:
    """A relative path without anything that leads elsewhere; raises `UsageError`."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part not in {"/", "."}]
    wrong = not parts or len(parts) > 32 or any(part == ".." or len(part.encode()) > 200 for part in parts)
    if wrong or any(not character.isprintable() for character in name):
        raise UsageError(
            f"{name[:60]!r} cannot be the name of an upload: give a file's name, or a path below a folder."
        )
    return PurePosixPath(*parts)


def upload_folder(workspace: WorkspaceFolder, identity: str) -> Path:
    """Where an upload lies; raises `NotFoundError` for what is no id."""
    if not _ID.fullmatch(identity):
        raise NotFoundError(f"There is no upload `{identity[:40]}`. Begin one with POST /api/v1/uploads.")
    return workspace.root / FOLDER / identity


def _stored(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = read_json(folder / "upload.json")
    try:
        return {**facts, "offset": (folder / "data").stat().st_size}
    except FileNotFoundError:  # it was put into its place, perhaps just before the server was killed
        return {**facts, "offset": facts["size"], "complete": True}


def upload_facts(workspace: WorkspaceFolder, identity: str) -> dict[str, Any]:
    """What is known of an upload: `id`, `name`, `size`, `offset`, `owner`, `complete`; raises `NotFoundError`."""
    folder = upload_folder(workspace, identity)
    if not (folder / "upload.json").is_file():
        raise NotFoundError(f"There is no upload `{identity}`. Begin one with POST /api/v1/uploads.")
    return {"id": identity, **_stored(folder)}


def settle_upload(workspace: WorkspaceFolder, identity: str) -> dict[str, Any]:
    """If everything is there, check it and put it into its place; returns the facts."""
    facts = upload_facts(workspace, identity)
    if facts["complete"] or facts["offset"] < facts["size"]:
        return facts
    with locked(upload_folder(workspace, identity) / "lock"):  # a second request may ask while the first one checks
        return _put_into_place(workspace, identity)


def _put_into_place(workspace: WorkspaceFolder, identity: str) -> dict[str, Any]:
    folder = upload_folder(workspace, identity)
    facts = upload_facts(workspace, identity)
    data = folder / "data"
    if facts["complete"] or facts["offset"] < facts["size"]:
        return facts
    if facts["sha256"] is not None and hash_file(data) != facts["sha256"]:
        with data.open("r+b") as file:
            file.truncate(0)
        raise RefusedError(
            422, f"{facts['name']} did not arrive as it was sent. Send it again from its beginning.", "Hash"
        )
    root = upload_folder(workspace, facts["into"]) if facts["into"] else folder
    target = root / "files" / facts["name"]
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with data.open("rb") as file:
            os.fsync(file.fileno())
        data.replace(target)
        sync_folder(target.parent)
    stored = {key: value for key, value in facts.items() if key not in {"id", "offset"}}
    write_json(folder / "upload.json", {**stored, "complete": True})
    return {**facts, "complete": True}
