"""The cards of the hosts: where each one is, which key proves that it is itself, and what may be used of it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.files import locked, read_json, write_json
from treadle.base.names import check_name, did_you_mean
from treadle.registry.catalogue import load
from treadle.remote.containers import Containers, Mount, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from treadle.remote.transport import Transport
    from treadle.store.workspace import WorkspaceFolder

LOCAL: Final = "local"
"""The address of this machine."""
CARD_FILE: Final = "host.json"


@dataclass(frozen=True, slots=True)
class HostCard:
    """One host as it was accepted. Holds no secret: the key and the token stay in the files that are named."""

    name: str
    address: str
    """Name or number of the machine; `local` is this one, without a connection."""
    root: str
    """Absolute folder on the host that holds everything of ours."""
    created: str
    """ISO 8601, UTC."""
    user: str = ""
    port: int = 22
    key: str | None = None
    """File of the private key on this machine; None: those of ssh-agent and of ~/.ssh."""
    host_key: str = ""
    """The key by which the host proves itself, as `ssh-keyscan` writes it."""
    keepalive: float = 10.0
    """Seconds between two signs of life; after three without an answer the link is taken for cut."""
    checkpoints: str = ""
    """Absolute folder on the host with the checkpoints."""
    code: str = ""
    """Absolute folder on the host with the target's code, where no image holds it."""
    python: str = "python3"
    """Interpreter that runs the target there, or in its image."""
    gpus: int = 1
    """How many GPUs a run uses."""
    runtime: Runtime | None = None
    """None where there is none."""
    runtime_flags: tuple[str, ...] = ()
    """Flags of the runtime before its verb."""
    run_flags: tuple[str, ...] = ()
    """Flags of every container, such as `--gpus all`."""
    image: str = ""
    """What runs use, by digest; empty until one is pinned."""
    image_name: str = ""
    """What was called so when it was pinned."""
    token_file: str | None = None
    """File on this machine with the token of Hugging Face."""
    slots: int = 1
    """How many runs it carries out at a time."""
    price: float = 0.0
    """What an hour of it costs, in whatever money it is paid."""

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.address == LOCAL

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return LOCAL if self.is_local else f"{self.user}@{self.address}:{self.port}"

    @property
    def fingerprint(self) -> str:
        """Its accepted key in the short form that people compare; empty for this machine."""
        return fingerprint(self.host_key) if self.host_key else ""

    @property
    def runs(self) -> str:
        """Folder on the host of the runs' folders."""
        return f"{self.root}/runs"

    @property
    def queue(self) -> str:
        """Its queue in the ledger."""
        return f"host:{self.name}"

    def containers(self) -> Containers | None:
        """How containers are run there; None where there is no runtime."""
        return Containers(self.runtime, self.runtime_flags, self.run_flags) if self.runtime else None

    def run_containers(self) -> Containers | None:
        """How runs are carried out in containers; None where the host has no image for them, or no runtime."""
        return self.containers() if self.image else None

    def mounts(self, folder: str) -> list[Mount]:
        """What a run in `folder` sees there, at the same paths as outside: its folder and, to read, the checkpoints."""
        inside = [Mount(folder, folder, writable=True)]
        return [*inside, Mount(self.checkpoints, self.checkpoints)] if self.checkpoints else inside

    def secrets(self) -> dict[str, str]:
        """The environment that must reach a run as a file; read now, kept nowhere."""
        if self.token_file is None:
            return {}
        path = Path(self.token_file)
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotFoundError(f"The token of host `{self.name}` cannot be read from {path}: {error}.") from error
        if not token or len(token.split()) != 1:
            raise DataError(f"{path} shall hold one token and nothing else, for host `{self.name}`.")
        return {"HF_TOKEN": token}

    def connect(self) -> Transport:
        """A way to it; raises what `Transport` raises once it is used."""
        made: Transport
        if self.is_local:
            made = load("treadle.remote.local:LocalTransport")(f"`{self.name}`")
        else:
            made = load("treadle.remote.ssh:SshTransport")(self)
        return made

    @contextlib.contextmanager
    def connected(self) -> Iterator[Transport]:
        """The same, closed at the end."""
        made = self.connect()
        try:
            yield made
        finally:
            made.close()


def fingerprint(host_key: str) -> str:
    """A key in the short form that people compare, as `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode('ascii').rstrip('=')}"


class HostCards:
    """The hosts of one workspace, read from their files each time."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Work on the hosts of `workspace`."""
        self._root = workspace.root / "hosts"
        self._trash = workspace.trash

    def all(self) -> list[HostCard]:
        """All of them, by name."""
        return sorted((_read(path) for path in self._root.glob(f"*/{CARD_FILE}")), key=lambda card: card.name)

    def find(self, name: str) -> HostCard | None:
        """Find one; None if there is none of this name."""
        path = self._root / name / CARD_FILE
        return _read(path) if "/" not in name and path.is_file() else None

    def get(self, name: str) -> HostCard:
        """Find one; raises `NotFoundError` with the known names."""
        card = self.find(name)
        if card is None:
            known = [one.name for one in self.all()]
            said = f"Known: {', '.join(known)}." if known else "Add one: treadle host add NAME USER@ADDRESS"
            raise NotFoundError(f"Unknown host `{name[:64]}`.{did_you_mean(name, known)} {said}")
        return card

    def folder(self, name: str) -> Path:
        """Folder of what is kept here about a host, such as the manifest of its checkpoints."""
        return self._root / check_name("host", name)

    def keep(self, card: HostCard) -> None:
        """Keep a card in place of the one before."""
        if card.name == "any":
            raise UsageError("`any` stands for whichever host is free; give this one another name.")
        with self._locked():
            write_json(self.folder(card.name) / CARD_FILE, asdict(card))

    def change(self, name: str, **fields_: Any) -> HostCard:  # noqa: ANN401 - fields of the card
        """Change fields of a card, also while others change other fields; returns the new card."""
        with self._locked():
            card = replace(self.get(name), **fields_)
            write_json(self.folder(name) / CARD_FILE, asdict(card))
        return card

    def remove(self, name: str) -> HostCard:
        """Forget a host; its folder here goes to the trash, on the host nothing is touched."""
        with self._locked():
            card = self.get(name)
            self._trash.mkdir(exist_ok=True)
            target = self._trash / f"host-{name}"
            number = 1
            while target.exists():
                number += 1
                target = self._trash / f"host-{name}-{number}"
            shutil.move(self.folder(name), target)
        return card

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self._root / ".lock")


def _read(path: Path) -> HostCard:
    try:
        found = read_json(path)
        for field in fields(HostCard):
            if isinstance(found.get(field.name), list):
                found[field.name] = tuple(found[field.name])
        return HostCard(**found)
    except (TypeError, AttributeError) as error:
        raise DataError(f"{path} is not the card of a host ({error}). Restore it, or move its folder away.") from error
