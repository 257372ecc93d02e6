"""Operations of the noun host: machines that carry out what this one cannot, their images and checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from treadle.jobs.job import ACTIVE, WAITING
from treadle.operations.operation import SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.remote.hosts import HostCard, HostCards
from treadle.store.workspace import WorkspaceFolder

_SETTINGS = SettingsSection("host", "treadle.remote.config:HostSettings")
_NAME = "name of the host"


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host, as it was accepted."""

    name: str
    place: str
    """`user@address:port`, or `local`."""
    fingerprint: str
    """Of the key by which it proves itself; empty for this machine."""
    root: str
    checkpoints: str
    code: str
    runtime: str | None
    image: str
    """Digest of the pinned image; empty while there is none."""
    image_name: str
    gpus: int
    slots: int
    price: float
    jobs: dict[str, int]
    """Jobs of its queue that are `running` and `waiting`."""
    said: str


@dataclass(frozen=True, slots=True)
class HostList:
    """All hosts of a workspace."""

    hosts: list[HostReport]


@dataclass(frozen=True, slots=True)
class HostFindings:
    """What was found on hosts."""

    hosts: list[dict[str, Any]]
    """Each with `name`, `place`, `ok`, and `findings`: `name`, `ok`, `needed`, `found`, `remedy`."""
    ok: bool
    """Whether nothing that is needed is missing anywhere."""


@operation(
    "light",
    noun="host",
    examples=(
        "treadle host add lambda ubuntu@203.0.113.7 --key ~/.ssh/lambda --token-file ~/.cache/huggingface/token",
        "treadle host add lambda ubuntu@203.0.113.7 --accept SHA256:9dEPqmXCK1N2AqpZnwmHJ0JKhsvSH9WcMRGJyqAhZm4",
        "treadle host add here local --root /data/treadle",
    ),
    for_assistants=False,
)
def add(
    workspace: WorkspaceFolder,
    name: Annotated[str, "how the host shall be called"],
    place: Annotated[str, "USER@ADDRESS, USER@ADDRESS:PORT, or local for this machine"],
    *,
    key: Annotated[
        Path | None, "file of the private key to log in with; those of ssh-agent and ~/.ssh unless given"
    ] = None,
    accept: Annotated[str | None, "fingerprint of the host's key, once you have compared it (SHA256:...)"] = None,
    token_file: Annotated[Path | None, "file with the token of Hugging Face, read anew whenever it is needed"] = None,
    replace: Annotated[bool, "change a host of this name; its pinned image stays"] = False,
    settings: Annotated[dict[str, Any], _SETTINGS] = {},  # noqa: B006 - never changed
) -> HostReport:
    """Add a host: see its key, log in, find its folders, containers and GPUs.

    Nothing is sent to a machine whose key was not accepted: without --accept you are shown the fingerprint and asked.
    """
    card = load("treadle.recipes.hosts:add")(
        workspace, name, place, (key, token_file), accept, settings, replace=replace
    )
    return report(workspace, card, f"Host `{name}` is ready. Look at it closely: treadle host doctor {name}")


@operation(
    "light", effect="reads", noun="host", verb="list", examples=("treadle host list", "treadle host list --json")
)
def list_(workspace: WorkspaceFolder) -> HostList:
    """List the hosts, with what is pinned, and what runs and waits in their queues. Asks none of them."""
    return HostList([report(workspace, card, "") for card in HostCards(workspace).all()])


@operation("light", effect="reads", noun="host", examples=("treadle host doctor", "treadle host doctor lambda --json"))
def doctor(
    workspace: WorkspaceFolder, name: Annotated[str | None, "name of the host; all of them unless given"] = None
) -> HostFindings:
    """Look at hosts: link, clock, disk, GPUs, programs, containers, image, checkpoints; each with its remedy."""
    cards = HostCards(workspace)
    chosen = cards.all() if name is None else [cards.get(name)]
    rows = [load("treadle.recipes.host_doctor:examine")(workspace, card) for card in chosen]
    return HostFindings(rows, all(row["ok"] for row in rows))


@operation("light", effect="removes", noun="host", examples=("treadle host remove lambda",), for_assistants=False)
def remove(workspace: WorkspaceFolder, name: Annotated[str, _NAME]) -> HostReport:
    """Forget a host. On the host nothing is touched; what is known of it here goes to the trash."""
    card = load("treadle.recipes.hosts:remove")(workspace, name)
    return report(workspace, card, f"Host `{name}` is forgotten. On it nothing was touched: {card.place} {card.root}")


def report(workspace: WorkspaceFolder, card: HostCard, said: str) -> HostReport:
    """What is told of a host."""
    facts = asdict(card)
    shown = {key: facts[key] for key in HostReport.__annotations__ if key in facts}
    jobs = _jobs(workspace, card)
    return HostReport(**shown, place=card.place, fingerprint=card.fingerprint, jobs=jobs, said=said)


def _jobs(workspace: WorkspaceFolder, card: HostCard) -> dict[str, int]:
    with load("treadle.jobs.ledger:Ledger").open(workspace) as ledger:
        if ledger.queue(card.queue) is None:
            return {"running": 0, "waiting": 0}
        return {
            "running": len(ledger.jobs(card.queue, ACTIVE)),
            "waiting": len(ledger.jobs(card.queue, WAITING)),
        }
