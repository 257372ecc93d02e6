"""Before anything is sent: whether a host has the checkpoints that requests need, as its manifest knows them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from treadle.base import units
from treadle.base.errors import NotReadyError
from treadle.base.hashing import hash_json
from treadle.recipes.following import Following, LogCopy
from treadle.recipes.host_manifest import CheckpointManifest, read_manifest, write_manifest
from treadle.remote.hosts import HostCards
from treadle.remote.run_folder import RunFolder, script
from treadle.remote.transport import HostError, run_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from treadle.jobs.context import RunContext
    from treadle.recipes.transfer_host import HostHere
    from treadle.store.workspace import WorkspaceFolder

_LOOK_SECONDS: Final = 120.0
_MOST_NAMES: Final = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What a host has of what is needed."""

    manifest: CheckpointManifest
    """That of the host, without the files that are not needed."""
    files: Mapping[str, tuple[int, int]]
    """Bytes and time of the last change, in nanoseconds, by path."""

    def doubtful(self) -> list[str]:
        """Files of the manifest that were changed since they were entered, or of which that is not known."""
        return [name for name, entry in self.manifest.files.items() if self.files[name][1] != entry.changed]


def looked_for(workspace: WorkspaceFolder, host: HostHere, names: Iterable[str]) -> Found | None:
    """Look for what is needed, by name and size; None where nothing is, or the host has no folder of checkpoints.

    Raises:
        NotReadyError: Something is missing or of another size; the message names it and the remedy.
    """
    needed = tuple(dict.fromkeys(names))
    card = host.card
    if not needed or not card.checkpoints:
        return None
    whole = read_manifest(HostCards(workspace).folder(card.name))
    known = whole.files if whole.folder == card.checkpoints else {}
    folders = tuple(name for name in needed if name.endswith("/"))
    wanted = {name: entry for name, entry in known.items() if name in needed or name.startswith(folders)}
    files = _files(host, needed)
    missing = [name for name in needed if not any(one == name or one.startswith(_as_folder(name)) for one in files)]
    missing += [name for name in wanted if name not in files and name not in missing]
    other = [name for name, entry in wanted.items() if name in files and files[name][0] != entry.bytes]
    if missing or other:
        raise NotReadyError(_refusal(host, missing, other))
    return Found(CheckpointManifest(card.checkpoints, wanted), files)


def check(context: RunContext, host: HostHere, names: Iterable[str], how: str) -> None:
    """See that what is needed is there, and what the manifest says; `how` is `quick`, `all` or `none`.

    Raises:
        NotReadyError: Something is missing or has another content.
        StoppedError, LeftError, HostLostError: As `Following` does.
    """
    following = Following(context, host.name, host.patience, far=host.far)
    needed = tuple(names)
    found = None if how == "none" else following.asked(lambda: looked_for(context.workspace, host, needed))
    if found is None:
        return
    strange = [name for name in needed if name in found.files and name not in found.manifest.files]
    if strange:
        message = (
            f"Nothing is known of {units.counted(len(strange), 'checkpoint')} on {host.name}, such as {strange[0]}. "
        )
        message += f"Enter what is there: treadle host checkpoints manifest {host.name}"
        context.emit("note", message=message)
    names = list(found.manifest.files) if how == "all" else found.doubtful()
    if names:
        _read_again(context, host, following, found, names)


def _as_folder(name: str) -> str:
    return name if name.endswith("/") else f"{name}/"


def _files(host: HostHere, names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    argv = ["sh", "-c", script("files").decode(), "files", host.card.checkpoints, *names]
    out = run_checked(host.transport, argv, "list its checkpoints", timeout=_LOOK_SECONDS)
    found = {}
    for row in out.decode(errors="surrogateescape").split("\0")[:-1]:
        size, time, name = row.split(" ", 2)
        seconds, _, fraction = time.partition(".")
        found[name] = (int(size), int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0")))
    return found


def _refusal(host: HostHere, missing: list[str], other: list[str]) -> str:
    names = [*missing, *other]
    shown = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else "")
    said = "missing" if not other else "of another size" if not missing else "missing or of another size"
    repositories = " ".join(sorted({"/".join(name.split("/")[:2]) for name in names}))
    return (
        f"{host.name} has not the checkpoints that this needs. In {host.card.checkpoints} {said}: {shown}. Get them: "
        f"treadle host checkpoints download {host.name} {repositories}. Where they lie in another folder: treadle host "
        f"add {host.name} {host.card.place} --checkpoints FOLDER --replace. To run all the same: --verify none"
    )


def _read_again(context: RunContext, host: HostHere, following: Following, found: Found, names: list[str]) -> None:
    """Have the host compute the hashes, as a run of its own that outlives this process, and compare them."""
    facts = {name: found.files[name] for name in names}
    total = units.size(sum(facts[name][0] for name in names))
    message = f"{host.name} reads {units.counted(len(names), 'checkpoint')} ({total}) to compare with the manifest"
    context.emit("transfer", message=message)
    mark = hash_json(facts)[:8]
    run = RunFolder(host.transport, host.root, f"{context.run.id}-{mark}")
    sums: dict[str, str] = {}
    if following.asked(run.state).pid is None:
        following.asked(lambda: run.stage({}))
        argv = ["sha256sum", "--", *(f"{found.manifest.folder}/{name}" for name in names)]
        following.asked(lambda: run.start(argv))

    def heard(line: str, _: int) -> None:
        value, path = line.partition("  ")[::2]
        sums[path.removeprefix(f"{found.manifest.folder}/")] = value

    log = LogCopy(context, context.run.path / f"checkpoints-{mark}.log", heard)
    try:
        state = following.to_the_end(run, log)
    finally:
        log.close()
    if state.code != 0:
        last = (log.tail().strip().splitlines() or ["it said nothing"])[-1]
        raise HostError(f"{host.name} could not read its checkpoints (status {state.code}): {last}")
    wrong = [name for name in names if sums.get(name) != found.manifest.files[name].sha256]
    if wrong:
        raise NotReadyError(
            f"{host.name}: {', '.join(wrong[:_MOST_NAMES])} is not what it was when the manifest was made (SHA-256). "
            f"Get it again: treadle host checkpoints download {host.name} {'/'.join(wrong[0].split('/')[:2])}. If it "
            f"was changed on purpose: treadle host checkpoints manifest {host.name}"
        )
    _remember(context.workspace, host.card.name, found, names)


def _remember(workspace: WorkspaceFolder, name: str, found: Found, names: list[str]) -> None:
    """Note the times of files that are what they shall be, so that they are not read again for nothing."""
    folder = HostCards(workspace).folder(name)
    manifest = read_manifest(folder)
    seen = {
        name: dataclasses.replace(manifest.files[name], changed=found.files[name][1])
        for name in names
        if name in manifest.files and manifest.files[name] == found.manifest.files[name]
    }
    write_manifest(folder, CheckpointManifest(manifest.folder, {**manifest.files, **seen}))
