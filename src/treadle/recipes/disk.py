"""What a workspace takes of the disk, by kind, and freeing some of it."""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base import units
from treadle.base.errors import DataError, ResourceError
from treadle.base.files import disk_errors
from treadle.recipes.gallery import shelf
from treadle.recipes.runs import newest_first
from treadle.remote.hosts import LOCAL
from treadle.store.models import ModelCards
from treadle.telemetry.hardware import free_disk
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from treadle.store.workspace import WorkspaceFolder

KINDS: Final = {
    "weights": ("weights of models", None),
    "optimizer": ("state that training goes on from", None),
    "packed": ("weights packed for generation; made again when needed", "treadle system clean packed"),
    "history": ("curves of models", None),
    "models": ("settings, tokenizers, samples and inboxes of models", None),
    "text": ("stored text and tokens of all datasets", "treadle data gc"),
    "datasets": ("lists of what datasets hold", None),
    "crawls": ("what crawls know", None),
    "runs": ("requests, logs and curves of runs", "treadle system clean runs"),
    "ledger": ("queues, and what they are rebuilt from", None),
    "notes": ("notes", None),
    "prompts": ("prompts, and what was said of results", None),
    "hosts": ("cards of hosts, and launches on this machine", "treadle system clean runs"),
    "workers": ("history of the machine, and what workers printed", None),
    "uploads": ("files that came in through the web UI", "treadle system clean uploads"),
    "stills": ("small pictures of results; made again when needed", "treadle system clean stills"),
    "trash": ("what was deleted", "treadle system clean trash"),
    "leftovers": ("temporary files of processes that were killed", "treadle system clean leftovers"),
    "other": ("everything else", None),
}
"""Kind of file to what it is, and what frees some of it."""
_FOLDERS: Final = {
    "objects": "text",
    "datasets": "datasets",
    "crawls": "crawls",
    "runs": "runs",
    "ledger": "ledger",
    "flow": "notes",
    "prompts": "prompts",
    "hosts": "hosts",
    "gallery": "prompts",
    "uploads": "uploads",
    "stills": "stills",
    ".worker": "workers",
    "trash": "trash",
}
_YOUNG_SECONDS: Final = 3600.0
"""A temporary file younger than this may belong to a process that is at work."""


def report(workspace: WorkspaceFolder) -> dict[str, Any]:
    """The fields of the report on the disk."""
    sizes: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    models: dict[str, int] = defaultdict(int)
    seen: set[tuple[int, int]] = set()
    names = {card.id: card.name for card in ModelCards(workspace).all()}
    for path, facts in _files(workspace.root):
        if (facts.st_dev, facts.st_ino) in seen:
            continue
        seen.add((facts.st_dev, facts.st_ino))
        parts = path.relative_to(workspace.root).parts
        kind = _kind(parts, path.name)
        size = facts.st_blocks * 512
        sizes[kind] += size
        counts[kind] += 1
        if parts[0] == "models" and len(parts) > 1 and parts[1].startswith("m-"):
            models[names.get(parts[1], parts[1])] += size
    return {
        "workspace": str(workspace.root),
        "total": sum(sizes.values()),
        "free": free_disk(workspace.root),
        "kinds": [
            {"kind": kind, "bytes": sizes[kind], "files": counts[kind], "what": what, "clean": clean_by}
            for kind, (what, clean_by) in KINDS.items()
            if counts[kind]
        ],
        "models": [
            {"model": name, "bytes": size}
            for name, size in sorted(models.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
    }


def clean(workspace: WorkspaceFolder, what: str, older_than: float, *, dry_run: bool) -> dict[str, Any]:
    """Remove what is of that kind and older than so many seconds; runs go to the trash."""
    found = [path for path in _CLEANERS[what](workspace) if _age(path) > older_than]
    sizes = [_size(path) for path in found]
    entries = [{"path": str(path), "bytes": size} for path, size in zip(found, sizes, strict=True)]
    freed = sum(sizes)
    if not dry_run:
        for path in found:
            _remove(workspace, path, to_trash=what == "runs")
    return {
        "what": what,
        "bytes": freed,
        "entries": entries,
        "dry_run": dry_run,
        "said": _said(what, len(entries), freed, dry_run=dry_run),
    }


def _said(what: str, count: int, freed: int, *, dry_run: bool) -> str:
    if not count:
        return f"There is nothing of `{what}` that is old enough."
    things = f"{count:,} {'entry' if count == 1 else 'entries'} of `{what}` ({units.size(freed)})"
    if dry_run:
        return f"Would remove {things}."
    return f"Moved {things} to the trash." if what == "runs" else f"Removed {things}."


def _trash(workspace: WorkspaceFolder) -> Iterator[Path]:
    yield from workspace.trash.glob("*")


def _uploads(workspace: WorkspaceFolder) -> Iterator[Path]:
    yield from (workspace.root / "uploads").glob("u-*")


def _stills(workspace: WorkspaceFolder) -> Iterator[Path]:
    yield from (workspace.root / "stills").glob("*.webp")


def _packed(workspace: WorkspaceFolder) -> Iterator[Path]:
    yield from workspace.models.glob("m-*/checkpoints/step-*/packed-*")


def _leftovers(workspace: WorkspaceFolder) -> Iterator[Path]:
    for path in workspace.root.rglob(".*.tmp"):
        if _age(path) > _YOUNG_SECONDS and workspace.trash not in path.parents:
            yield path


def _runs(workspace: WorkspaceFolder) -> Iterator[Path]:
    """Runs that have ended, that no kept checkpoint came from, and with no result that people spoke of."""
    notes, damaged = shelf(workspace).all()
    if damaged:
        raise DataError(f"{damaged[0]} Until then it is not known which runs to keep.")
    kept = {note.run for note in notes.values() if note.removed is None}
    cards = ModelCards(workspace)
    for card in cards.all():
        for checkpoint in CheckpointFolder(cards.folder(card) / "checkpoints").all():
            kept.add(checkpoint.document["lineage"].get("run"))
    for run in newest_first(workspace):
        if run.id not in kept and (run.path / "result.json").is_file() and not run.process_lives():
            yield run.path
            yield from sorted((workspace.root / "hosts" / LOCAL / "runs").glob(f"{run.id}-*"))


_CLEANERS: Final[dict[str, Callable[[WorkspaceFolder], Iterator[Path]]]] = {
    "trash": _trash,
    "uploads": _uploads,
    "stills": _stills,
    "packed": _packed,
    "leftovers": _leftovers,
    "runs": _runs,
}


def _remove(workspace: WorkspaceFolder, path: Path, *, to_trash: bool) -> None:
    with disk_errors(path):
        if to_trash:
            workspace.trash.mkdir(parents=True, exist_ok=True)
            path.rename(workspace.trash / path.name)
            os.utime(workspace.trash / path.name)  # its days in the trash begin now
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():  # what vanishes by itself meanwhile is as it should be; what stays is not
                raise ResourceError(f"Cannot remove all of {path}. Check its permissions and run the command again.")
        else:
            path.unlink(missing_ok=True)


def _kind(parts: tuple[str, ...], name: str) -> str:
    if parts[0] == "trash":
        return "trash"
    if any(part.startswith(".") and part.endswith(".tmp") for part in parts):
        return "leftovers"
    if parts[0] == "models":
        if "checkpoints" in parts:
            return "packed" if name.startswith("packed-") else "optimizer" if name.startswith("optim") else "weights"
        return "history" if "history" in parts else "models"
    if parts[0].startswith("treadle.db"):
        return "ledger"
    return _FOLDERS.get(parts[0], "other")


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All plain files below; links are not followed, and what vanishes meanwhile is left out."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            try:
                facts = path.lstat()
            except OSError:
                continue
            if not path.is_symlink():
                yield path, facts


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(facts.st_blocks * 512 for _, facts in _files(path))
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0


def _age(path: Path) -> float:
    """Seconds since it was changed; a folder as well when a file in it was, such as an upload that still arrives."""
    try:
        times = [path.lstat().st_mtime]
        if path.is_dir() and not path.is_symlink():
            times += [one.stat(follow_symlinks=False).st_mtime for one in os.scandir(path)]
    except OSError:  # it has gone, or changes just now
        return -1.0
    return time.time() - max(times)
