"""What a host offers: the findings behind `treadle host doctor`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base import units
from treadle.base.errors import TreadleError
from treadle.recipes.host_manifest import read_manifest
from treadle.recipes.host_runs import space
from treadle.recipes.hosts import image_identity
from treadle.remote.gpus import gpus
from treadle.remote.hosts import HostCards

if TYPE_CHECKING:
    from treadle.remote.hosts import HostCard
    from treadle.remote.transport import Transport
    from treadle.store.workspace import WorkspaceFolder

_SECONDS: Final = 30.0
_MOST_SKEW: Final = 5.0
"""Seconds between the clocks that still make readable times; nothing of ours compares clocks of two machines."""
_ENOUGH_DISK: Final = 20 * 1000**3
_GPU_MEMORY: Final = 40 * 1000**3
"""The smallest GPU memory that the 7B target runs in, with its models taken out of it when they rest."""
_PROGRAMS: Final = "setsid sha256sum find awk sed cut stat df sync xargs ln mv"


def examine(workspace: WorkspaceFolder, card: HostCard) -> dict[str, Any]:
    """Look at one host; what cannot be asked because it is away is left out."""
    with card.connected() as transport:
        findings = [*_secrets(card), _link(transport)]
        if findings[-1]["ok"]:
            findings += [
                _clock(transport),
                _disk(transport, card),
                _programs(transport),
                _gpu(transport),
                _python(transport, card),
                _runtime(transport, card),
                _image(transport, card),
                _checkpoints(transport, card, HostCards(workspace).folder(card.name)),
                _runs(workspace, transport, card),
            ]
    good = all(row["ok"] or not row["needed"] for row in findings)
    return {"name": card.name, "place": card.place, "ok": good, "findings": findings}


def _finding(name: str, found: str, remedy: str = "", *, ok: bool = True, needed: bool = True) -> dict[str, Any]:
    return {"name": name, "ok": ok, "needed": needed, "found": found, "remedy": "" if ok else remedy}


def _secrets(card: HostCard) -> list[dict[str, Any]]:
    """Files on this machine that only their owner should read."""
    rows = []
    for name, file in (("key", card.key), ("token", card.token_file)):
        if file is None:
            continue
        path = Path(file)
        if not path.is_file():
            remedy = f"Name another one: treadle host add {card.name} {card.place} --replace ..."
            rows.append(_finding(name, f"{file} is missing", remedy, ok=False))
            continue
        mode = path.stat().st_mode & 0o077
        rows.append(_finding(name, file if not mode else f"others may read {file}", f"chmod 600 {file}", ok=not mode))
    return rows


def _link(transport: Transport) -> dict[str, Any]:
    try:
        transport.run(["true"], timeout=_SECONDS)
        began = time.monotonic()
        done = transport.run(["uname", "-srm"], timeout=_SECONDS)
        taken = time.monotonic() - began
    except TreadleError as error:
        return _finding("link", "no way in", str(error), ok=False)
    said = f"{done.out.decode(errors='replace').strip()}, answers in {taken * 1000:.0f} ms"
    return _finding("link", said, "Try again; the connection breaks.", ok=done.ok)


def _clock(transport: Transport) -> dict[str, Any]:
    before = time.time()
    done = transport.run(["date", "+%s.%N"], timeout=_SECONDS)
    here = (before + time.time()) / 2
    try:
        skew = float(done.out) - here
    except ValueError:
        return _finding("clock", f"`date` says {done.said}", "Its clock cannot be read.", ok=False, needed=False)
    away = abs(skew) > _MOST_SKEW
    words = f"{abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}" if away else "agrees with this machine's"
    remedy = "Times in its logs are off (no run depends on them). Switch time keeping on: sudo timedatectl set-ntp true"
    return _finding("clock", words, remedy, ok=not away, needed=False)


def _disk(transport: Transport, card: HostCard) -> dict[str, Any]:
    done = transport.run(["df", "-Pk", card.root], timeout=_SECONDS)
    rows = done.out.decode(errors="replace").splitlines()
    if not done.ok or len(rows) < 2:
        remedy = f"Its folder is gone. Make it again: treadle host add {card.name} {card.place} --replace"
        return _finding("disk", done.said, remedy, ok=False)
    free = int(rows[-1].split()[3]) * 1024
    written = transport.run(["test", "-w", card.runs], timeout=_SECONDS).ok
    if not written:
        return _finding(
            "disk", f"{card.runs} cannot be written", f"Give {card.user} the right to write there.", ok=False
        )
    remedy = f"Make room under {card.root}: a run needs some GB, the checkpoints of the 7B target 300."
    return _finding("disk", f"{units.size(free)} free at {card.root}", remedy, ok=free >= _ENOUGH_DISK, needed=False)


def _programs(transport: Transport) -> dict[str, Any]:
    script = f"for name in {_PROGRAMS}; do command -v $name > /dev/null || echo $name; done"
    missing = transport.run(["sh", "-c", script], timeout=_SECONDS).out.decode(errors="replace").split()
    missing += [] if transport.exists("/proc/self/stat") else ["/proc"]
    remedy = "Install coreutils, util-linux, findutils and gawk there; runs need Linux with /proc."
    return _finding("programs", f"missing: {', '.join(missing)}" if missing else "all there", remedy, ok=not missing)


def _gpu(transport: Transport) -> dict[str, Any]:
    found = gpus(transport)
    if not found:
        remedy = "Only backends for CPUs run there. With a GPU, install its driver so that `nvidia-smi` answers."
        return _finding("GPU", "none", remedy, ok=False, needed=False)
    words = [f"{one.name} ({units.size(one.free)} free of {units.size(one.total)})" for one in found]
    small = all(one.total < _GPU_MEMORY for one in found)
    remedy = "The 7B target needs about 40 GB on one GPU; smaller ones do for other backends."
    return _finding("GPU", f"{', '.join(words)}, driver {found[0].driver}", remedy, ok=not small, needed=False)


def _python(transport: Transport, card: HostCard) -> dict[str, Any]:
    done = transport.run([card.python, "-V"], timeout=_SECONDS)
    remedy = f"Install it, or name another: treadle host add {card.name} {card.place} --replace --python PATH"
    said = (done.out or done.err).decode(errors="replace").strip()
    return _finding("python", said if done.ok else f"no {card.python}", remedy, ok=done.ok)


def _runtime(transport: Transport, card: HostCard) -> dict[str, Any]:
    containers = card.containers()
    if containers is None:
        remedy = f"Install docker or podman, then: treadle host add {card.name} {card.place} --replace"
        return _finding("containers", "neither docker nor podman", remedy, ok=False, needed=False)
    argv = [containers.runtime, *containers.global_flags, "version", "--format", "{{.Client.Version}}"]
    done = transport.run(argv, timeout=_SECONDS)
    remedy = f"`{containers.runtime} version` must work there for {card.user or 'you'} without sudo: {done.said}"
    return _finding(
        "containers", f"{containers.runtime} {done.said}" if done.ok else "does not answer", remedy, ok=done.ok
    )


def _image(transport: Transport, card: HostCard) -> dict[str, Any]:
    if not card.image:
        needed = not card.code and card.runtime is not None
        remedy = f"Runs in containers need one: treadle host image pull {card.name} NAME:VERSION"
        return _finding("image", "none is pinned", remedy, ok=False, needed=needed and not card.is_local)
    try:
        there = image_identity(transport, card, card.image)
    except TreadleError as error:
        return _finding("image", f"{card.image_name} ({card.image[:19]}) is not there", str(error), ok=False)
    return _finding("image", f"{card.image_name} ({there[:19]})")


def _checkpoints(transport: Transport, card: HostCard, folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if not manifest.files:
        remedy = (
            f"Get them: treadle host checkpoints download {card.name} transfer1. If they are there already: "
            f"treadle host checkpoints manifest {card.name}"
        )
        return _finding("checkpoints", "no manifest", remedy, ok=False, needed=False)
    wrong = [
        name for name, entry in manifest.files.items() if transport.size(f"{card.checkpoints}/{name}") != entry.bytes
    ]
    total = units.size(sum(entry.bytes for entry in manifest.files.values()))
    if not wrong:
        return _finding("checkpoints", f"{units.counted(len(manifest.files), 'file')}, {total}, sizes agree")
    remedy = f"Look closely with treadle host checkpoints verify {card.name}, or get them again with download."
    said = f"{units.counted(len(wrong), 'file')} missing or of another size, such as {wrong[0]}"
    return _finding("checkpoints", said, remedy, ok=False)


def _runs(workspace: WorkspaceFolder, transport: Transport, card: HostCard) -> dict[str, Any]:
    found = space(workspace, card, transport)
    said = f"{units.size(found['bytes'])} in {card.runs}"
    if not found["removable"]:
        return _finding("runs", said)
    said += f", {units.size(found['removable_bytes'])} of it collected and over"
    remedy = f"Free that: treadle host runs remove {card.name}"
    return _finding("runs", said, remedy, ok=found["removable_bytes"] < _ENOUGH_DISK, needed=False)
