"""Hosts: let one in by its key, look at what it has, pin its image, forget it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.base.names import check_name
from treadle.jobs.job import ACTIVE, WAITING
from treadle.jobs.ledger import Ledger
from treadle.remote.config import HostSettings
from treadle.remote.hosts import LOCAL, HostCard, HostCards, fingerprint
from treadle.remote.transport import HostError, HostKeyError, run_checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from treadle.remote.containers import Runtime
    from treadle.remote.transport import Transport
    from treadle.store.workspace import WorkspaceFolder

_PLACE: Final = re.compile(
    r"(?P<user>[^@\s:]+)@(?P<address>\[[0-9A-Fa-f:.%\w]+\]|[^@\s:\[\]/]+)(?::(?P<port>\d{1,5}))?"
)
_FOLDER: Final = 'mkdir -p -- "$1/runs" && cd -- "$1" && pwd -P'
_ABSOLUTE: Final = 'case "$1" in /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac'
_LOOK_SECONDS: Final = 60.0


def checked(given: Mapping[str, Any]) -> HostSettings:
    """Settings of a host; raises `UsageError` that names the first wrong one."""
    try:
        return HostSettings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"host.{name}: {first['msg']}.") from error


def place_of(text: str) -> tuple[str, str, int]:
    """Read `USER@ADDRESS[:PORT]` or `local`; returns user, address, port."""
    if text == LOCAL:
        return "", LOCAL, 0
    found = _PLACE.fullmatch(text)
    port = int(found["port"] or 22) if found else 0
    if found is None or not 0 < port < 65536:
        raise UsageError(f"`{text}` is no address of a host. Write USER@ADDRESS or USER@ADDRESS:PORT, or `local`.")
    return found["user"], found["address"].strip("[]"), port


def shown_fingerprint(place: str) -> str:
    """The fingerprint of the key that the machine at `place` shows, unproved; empty for this machine."""
    _, address, port = place_of(place)
    if address == LOCAL:
        return ""
    return fingerprint(_presented(address, port))


def add(
    workspace: WorkspaceFolder, name: str, place: str, files: tuple[Path | None, Path | None], accept: str | None,
    settings: Mapping[str, Any], *, replace: bool,
) -> HostCard:  # fmt: skip
    """Let a host in whose key was accepted, and keep what it has; `files` are those of the key and of the token."""
    if name == "any":
        raise UsageError("`any` stands for whichever host is free; give this one another name.")
    cards, chosen = HostCards(workspace), checked(settings)
    before = cards.find(check_name("host", name))
    if before is not None and not replace:
        raise UsageError(f"There is a host `{name}` already, at {before.place}. Change it with --replace.")
    user, address, port = place_of(place)
    key, token = (None if path is None else str(_existing(path)) for path in files)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    draft = HostCard(
        name=name, address=address, user=user, port=port, root="/", created=now,
        key=key, token_file=token, keepalive=chosen.keepalive, host_key=_accepted(name, place, before, accept),
        python=chosen.python, gpus=chosen.gpus, slots=chosen.slots, price=chosen.price,
        image="" if before is None else before.image, image_name="" if before is None else before.image_name,
    )  # fmt: skip
    draft.secrets()  # a token that cannot be read is told now
    with draft.connected() as transport:
        card = _looked_at(transport, draft, chosen)
    cards.keep(card)
    with Ledger.open(workspace) as ledger:
        ledger.make_queue(card.queue)
        ledger.limit(card.queue, card.slots)
    return card


def remove(workspace: WorkspaceFolder, name: str) -> HostCard:
    """Forget a host; raises `NotReadyError` while jobs wait or run in its queue."""
    card = HostCards(workspace).get(name)
    with Ledger.open(workspace) as ledger:
        jobs = [job.id for job in ledger.jobs(card.queue, (*ACTIVE, *WAITING))] if ledger.queue(card.queue) else []
    if jobs:
        listed = " ".join(map(str, jobs))
        raise NotReadyError(f"Host `{name}` has jobs that are not over. Stop them first: treadle jobs stop {listed}")
    return HostCards(workspace).remove(name)


def pin(workspace: WorkspaceFolder, name: str, image: str) -> HostCard:
    """Let runs on a host use what is called `image` there now, by its digest."""
    cards = HostCards(workspace)
    card = cards.get(name)
    with card.connected() as transport:
        identity = image_identity(transport, card, image)
    return cards.change(name, image=identity, image_name=image)


def image_identity(transport: Transport, card: HostCard, image: str) -> str:
    """The digest of an image that is on the host; raises `NotFoundError` when it is not there."""
    containers = card.containers()
    if containers is None:
        raise NotReadyError(
            f"Host `{card.name}` has neither docker nor podman. Install one there, then: treadle host add {card.name} "
            f"{card.place} --replace"
        )
    image_reference(image)
    argv = [containers.runtime, *containers.global_flags, "image", "inspect", image]
    done = transport.run(argv, timeout=_LOOK_SECONDS)
    if not done.ok:
        raise NotFoundError(
            f"Host `{card.name}` has no image `{image}` ({done.said}). Get it with: "
            f"treadle host image pull {card.name} {image}"
        )
    identity = str(json.loads(done.out)[0]["Id"])
    return identity if identity.startswith("sha256:") else f"sha256:{identity}"


def image_reference(image: str) -> str:
    """Return `image` if it names a version or a digest, else raise `UsageError`: `latest` is whatever came last."""
    head, _, digest = image.partition("@")
    tag = head.rpartition("/")[2].partition(":")[2]
    if digest:
        if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) is None:
            raise UsageError(f"`{image}`: a digest is sha256: and 64 digits of 0-9 and a-f.")
    elif re.fullmatch(r"sha256:[0-9a-f]{64}", image) is None and (not tag or tag == "latest"):
        raise UsageError(
            f"`{image}` names no version, and what it is can change from one run to the next. Give a version or a "
            f"digest: {head.partition(':')[0]}:v1.0.0 or {head.partition(':')[0]}@sha256:..."
        )
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/@-]*", image):
        raise UsageError(f"`{image}` is no name of an image.")
    return image


def _accepted(name: str, place: str, before: HostCard | None, accept: str | None) -> str:
    """The key that the machine shows, if people have accepted it; raises `HostKeyError` otherwise."""
    _, address, port = place_of(place)
    if address == LOCAL:
        return ""
    key = _presented(address, port)
    shown = fingerprint(key)
    known = before is not None and (before.address, before.port) == (address, port) and before.host_key == key
    if accept is None and not known:
        raise HostKeyError(
            f"The machine at {place} shows the key\n  {shown}\n"
            "Compare it with what its owner or its console says (there: ssh-keygen -lf "
            "/etc/ssh/ssh_host_ed25519_key.pub). "
            f"If it is the same: treadle host add {name} {place} --accept {shown}"
        )
    if accept is not None and accept != shown:
        raise HostKeyError(
            f"The machine at {place} shows another key than the one that was accepted:\n  accepted  {accept}\n"
            f"  shown     {shown}\nNothing was sent. Find out why before you accept the other one."
        )
    return key


def _presented(address: str, port: int) -> str:
    from treadle.remote.ssh import presented_key  # hosts of this machine need no SSH

    return presented_key(address, port)


def _looked_at(transport: Transport, draft: HostCard, chosen: HostSettings) -> HostCard:
    """The card with what only the host can say: absolute folders, runtime, GPUs."""

    def said(script: str, word: str, what: str) -> str:
        out = run_checked(transport, ["sh", "-c", script, "look", word], what, timeout=_LOOK_SECONDS)
        return out.decode(errors="surrogateescape").removesuffix("\n")

    noise = run_checked(transport, ["true"], "run a command", timeout=_LOOK_SECONDS).strip()
    if noise:
        raise HostError(
            f"{transport.host} prints something at each log-in ({noise[:60].decode(errors='replace')!r}), which would "
            "stand in every answer. Let ~/.bashrc there print only where somebody types: begin it with "
            "`[ -t 1 ] || return`."
        )
    if transport.exists(f"{chosen.root}/.git"):
        raise UsageError(
            f"{chosen.root} on {transport.host} is somebody's checkout (it has a .git); runs would lie in it. Choose "
            "another folder: --root treadle-runs"
        )
    root = said(_FOLDER, chosen.root, f"make the folder {chosen.root}")
    if ":" in root or "\n" in root:
        raise HostError(f"{transport.host}: the folder {root!r} cannot be given to a container; choose another --root.")
    checkpoints = chosen.checkpoints and said(_ABSOLUTE, chosen.checkpoints, "say where its folders are")
    code = chosen.code and said(_ABSOLUTE, chosen.code, "say where its folders are")
    runtime = _runtime(transport, chosen)
    flags = chosen.run_flags
    if runtime is not None and not flags and transport.run(["nvidia-smi", "-L"], timeout=_LOOK_SECONDS).ok:
        flags = ("--gpus=all", "--ipc=host") if runtime == "docker" else ("--device=nvidia.com/gpu=all", "--ipc=host")
    return dataclasses.replace(
        draft, root=root, checkpoints=checkpoints or f"{root}/checkpoints", code=code, runtime=runtime,
        runtime_flags=chosen.runtime_flags, run_flags=flags,
    )  # fmt: skip


def _runtime(transport: Transport, chosen: HostSettings) -> Runtime | None:
    if chosen.runtime == "none":
        return None
    if chosen.runtime != "auto":
        argv = [chosen.runtime, *chosen.runtime_flags, "version"]
        run_checked(transport, argv, f"run {chosen.runtime}", timeout=_LOOK_SECONDS)
        return chosen.runtime
    names: tuple[Runtime, ...] = ("docker", "podman")
    for name in names:
        if transport.run([name, *chosen.runtime_flags, "version"], timeout=_LOOK_SECONDS).ok:
            return name
    return None


def _existing(path: Path) -> Path:
    found = path.expanduser().absolute()
    if not found.is_file():
        raise NotFoundError(f"{path} does not exist or is no file.")
    return found
