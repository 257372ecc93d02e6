"""Writing a file of notes so that nobody's words are lost: compare under a lock, temporary file, rename, patch.

Our own processes take turns under a lock on the folder, so each plans its edit on what the one before has written. An
editor knows no lock: the file is compared with what was read, once more right before the rename; if it has changed, the
edit is planned anew on the new text, and if that fails too it is kept as a patch.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import TreadleError
from treadle.base.files import disk_errors, sync_folder
from treadle.flow import clock
from treadle.flow.edits import difference
from treadle.flow.scanner import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONFLICTS = ".conflicts"
_TRIES = 5


class ConflictError(TreadleError):
    """Somebody else changed the file meanwhile; what was to be written is kept as a patch."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file as it was read and as it shall be; None means that there is no such file."""

    path: Path
    before: bytes | None
    after: bytes | None

    def patch(self, root: Path) -> str:
        """The change as a unified diff, paths relative to `root`."""
        try:
            shown = str(self.path.relative_to(root))
        except ValueError:
            shown = str(self.path)
        return difference(shown, decode(self.before or b""), decode(self.after or b""))


@contextlib.contextmanager
def folder_lock(root: Path) -> Iterator[None]:
    """Hold the folder for one of our processes. The kernel frees it when the process dies; no file is left behind."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def carry_out(root: Path, plan: Callable[[], Sequence[Change]], *, dry_run: bool = False) -> list[Change]:
    """Plan under the lock and write; plans anew if an editor was faster. Returns what was changed.

    `plan` reads the files and says what shall change; it must be right to call it again when part of its changes has
    been written already.
    """
    if dry_run:
        return [change for change in plan() if change.before != change.after]
    with folder_lock(root):
        written: list[Change] = []
        for attempt in range(_TRIES):
            changes = [change for change in plan() if change.before != change.after]
            try:
                for change in changes:
                    write(change)
                    written.append(change)
            except _ChangedMeanwhileError:
                if attempt + 1 == _TRIES:
                    raise kept_as_patch(
                        root, changes, "was changed again and again while it was being written"
                    ) from None
                continue
            return written
    raise AssertionError("the loop returns or raises")


def kept_as_patch(root: Path, changes: Sequence[Change], reason: str) -> ConflictError:
    """Store what cannot be written as a patch beside the notes; the error names it."""
    folder = root / CONFLICTS
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
        name = f"{clock.now():%Y-%m-%dT%H%M%S}-"
        handle, place = tempfile.mkstemp(dir=folder, prefix=name, suffix=".patch")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("".join(change.patch(root) for change in changes))
    named = changes[0].path.name if changes else root.name
    return ConflictError(
        f"{named} {reason}; nothing was overwritten. What was to be written is kept in {place}: "
        f"look at the file, then apply it with `patch -p1 -d {root} < {place}`."
    )


def write(change: Change) -> None:
    """Replace one file atomically if it still is what was read; its permissions and links are kept."""
    path = change.path.resolve()
    if change.after is None:
        _compare(path, change.before)
        path.unlink(missing_ok=True)
        return
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _compare(path, change.before)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(change.after)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(_mode(path))
            _compare(path, change.before)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


class _ChangedMeanwhileError(Exception):
    """The file is no longer what was read."""


def _compare(path: Path, before: bytes | None) -> None:
    try:
        found: bytes | None = path.read_bytes()
    except FileNotFoundError:
        found = None
    if found != before:
        raise _ChangedMeanwhileError


def _mode(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
