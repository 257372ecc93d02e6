"""Images on a host: built from a folder of this machine, or pulled; what came of it is pinned by its digest."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError
from treadle.base.files import disk_errors
from treadle.recipes.host_work import HostWork
from treadle.recipes.hosts import image_identity
from treadle.remote.hosts import HostCards

if TYPE_CHECKING:
    from treadle.jobs.context import RunContext
    from treadle.operations.host_work import HostImagePayload
    from treadle.remote.containers import Containers

_CONTEXT = "context.tar"
_LEFT_OUT = {".git", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache"}
_UNPACKED = 'mkdir -p context && tar -xf context.tar -C context && exec "$@" context'


def run(context: RunContext, payload: HostImagePayload) -> dict[str, Any]:
    """Build or pull an image on a host, and let its runs use it."""
    began = time.monotonic()
    cards = HostCards(context.workspace)
    card = cards.get(payload.host)
    containers = card.containers()
    if containers is None:
        raise NotReadyError(f"Host `{card.name}` has neither docker nor podman.")
    with card.connected() as transport:
        work = HostWork(context, card, transport)
        argv, files = _order(context, payload, containers)
        work.carry_out(argv, files, {}, lambda line: context.emit("note", message=line) if line.strip() else None)
        identity = work.asked(lambda: image_identity(transport, card, payload.image))
    context.require_claim()
    cards.change(card.name, image=identity, image_name=payload.image)
    seconds = round(time.monotonic() - began, 1)
    return {"host": card.name, "image": identity, "image_name": payload.image, "seconds": seconds}


def _order(
    context: RunContext, payload: HostImagePayload, containers: Containers
) -> tuple[list[str], dict[str, Path | bytes]]:
    base = [containers.runtime, *containers.global_flags]
    if payload.folder is None:
        return [*base, "pull", payload.image], {}
    build = [*base, "build", "--tag", payload.image, "--file", f"context/{payload.file}"]
    packed = context.run.path / _CONTEXT
    if not packed.is_file():
        _pack(Path(payload.folder), packed)
    return ["sh", "-c", _UNPACKED, "build", *build], {_CONTEXT: packed}


def _pack(folder: Path, target: Path) -> None:
    """Put a folder into an archive that is the same for the same files."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if _LEFT_OUT & set(Path(entry.name).parts):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    part = target.with_suffix(".part")
    with disk_errors(target):
        with tarfile.open(part, "w") as archive:
            archive.add(folder, ".", filter=plain)
        part.replace(target)
