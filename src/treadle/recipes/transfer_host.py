"""The host of a transfer, as its launches see it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from treadle.base.errors import NotReadyError
from treadle.remote.hosts import LOCAL, HostCard, HostCards
from treadle.remote.transport import run_checked
from treadle.video.transfer.backends.backend import Places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from treadle.remote.containers import Containers
    from treadle.remote.transport import Transport
    from treadle.store.workspace import WorkspaceFolder

_FREE: Final = 'mkdir -p "$1" && df -Pk "$1" | awk \'NR == 2 { printf "%.0f", $4 * 1024 }\''
_SPAN: Final = 'cd "$1" && { stat -c %.Y pid rc || stat -c %Y pid rc; } 2>/dev/null'
_INSIDE: Final = 'cd "$1" && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class HostHere:
    """One host, connected."""

    card: HostCard
    transport: Transport
    workspace: str
    """Folder of the workspace, where the host is this machine."""
    patience: float
    """Seconds after which a host that cannot be reached counts as lost."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.card.name

    @property
    def root(self) -> str:
        """Folder of the runs' folders there."""
        return self.card.runs

    @property
    def far(self) -> bool:
        """Whether asking it takes a connection."""
        return not self.card.is_local

    @property
    def price(self) -> float:
        """What an hour costs; 0 = not known."""
        return self.card.price

    @property
    def containers(self) -> Containers | None:
        """How its containers are run, where runs are carried out in one."""
        return self.card.run_containers()

    def folder(self, run_id: str) -> str:
        """Folder of a launch there."""
        return f"{self.root.rstrip('/')}/{run_id}"

    def places(self, folder: str) -> Places:
        """Where the command finds things; a container sees the same paths as its host."""
        card = self.card
        return Places(
            run=folder,
            code="." if card.image else card.code or ".",
            checkpoints=card.checkpoints or "checkpoints",
            state=f"{card.root}/warm",
            python=card.python,
            gpus=card.gpus,
            workspace=self.workspace,
        )

    def command(
        self, run_id: str, argv: Sequence[str], places: Places, environment: Mapping[str, str], hidden: str = ""
    ) -> list[str]:
        """What is started in the launch's folder: the command where its code is, in the container if there is one.

        `hidden` is the file with secrets there, which a container must be told of.
        """
        card = self.card
        variables = [f"{name}={value}" for name, value in environment.items()]
        inner = ["env", *variables, *argv] if variables else list(argv)
        if self.containers is None:
            return ["sh", "-c", _INSIDE, "treadle", places.code, *inner]
        mounts = card.mounts(places.run)
        return self.containers.argv(run_id, card.image, inner, mounts=mounts, environment_file=hidden or None)

    def secrets(self) -> dict[str, str]:
        """What must reach the command unseen."""
        return self.card.secrets()

    def free(self) -> int:
        """Free bytes where runs are kept."""
        out = run_checked(self.transport, ["sh", "-c", _FREE, "free", self.root], "say how much disk is free")
        return int(out or 0)

    def seconds(self, folder: str) -> float:
        """How long a launch took, by the host's own clock; 0 where that was not written down."""
        done = self.transport.run(["sh", "-c", _SPAN, "span", folder], timeout=60)
        try:
            began, ended = (float(word.replace(b",", b".")) for word in done.out.split())
        except ValueError:  # one is missing, or its `stat` knows no fractions and says so in its own way
            return 0.0
        return max(0.0, ended - began)


@contextlib.contextmanager
def connected(workspace: WorkspaceFolder, name: str, patience: float) -> Iterator[HostHere]:
    """Give a host; its connection is closed at the end."""
    card = card_of(workspace, name)
    with card.connected() as transport:
        yield HostHere(card, transport, str(workspace.root) if card.is_local else "", patience)


def card_of(workspace: WorkspaceFolder, name: str) -> HostCard:
    """The card of a host; `local` needs none."""
    cards = HostCards(workspace)
    if name == LOCAL and cards.find(LOCAL) is None:
        return HostCard(LOCAL, LOCAL, str(workspace.root / "hosts" / LOCAL), "")
    return cards.get(name)


def check_ready(card: HostCard, backend: str, *, enlarges: bool = False) -> None:
    """Refuse before anything is queued what the host has no code for; raises `NotReadyError` with the remedy.

    The small model of this machine is no remedy for a request that `enlarges` a video.
    """
    if backend == "local-tiny":
        if not card.is_local:
            raise NotReadyError("`local-tiny` runs on this machine only: --host local")
        return
    if backend == "transfer1-server" and card.image:
        raise NotReadyError(
            f"Host `{card.name}` runs in containers, which end with each run, so that no model stays loaded there. "
            "Use --backend transfer1-cli with --batch."
        )
    if backend != "diffusers":
        small = card.is_local and not enlarges
        check_code(card, ", or take the small model of this machine: --backend local-tiny" if small else "")


def check_code(card: HostCard, instead: str = "") -> None:
    """Refuse a host without an image or a folder with the target's code; `instead` is another way out."""
    if card.image or card.code:
        return
    place = LOCAL if card.is_local else "USER@ADDRESS"
    fix = f"treadle host add {card.name} {place} --code FOLDER --replace"
    if not card.is_local:
        fix = f"treadle host image pin {card.name} IMAGE, or {fix}"
    raise NotReadyError(
        f"Host `{card.name}` knows neither an image nor a folder with the target's code. Fix it: {fix}{instead}"
    )
