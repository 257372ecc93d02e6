"""Which host carries out a transfer: the one that was named, or the one that suits best."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.base.errors import NotReadyError, TreadleError
from treadle.jobs.job import ACTIVE, WAITING
from treadle.jobs.ledger import Ledger
from treadle.recipes import local_tiny_models, transfer_checkpoints, transfer_host, transfer_requests, transfer_results
from treadle.remote.hosts import LOCAL, HostCard, HostCards
from treadle.video.transfer.backends.catalog import BACKENDS
from treadle.video.transfer.backends.config import RunSettings

if TYPE_CHECKING:
    from treadle.operations.transfer import TransferPayload
    from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class _Candidate:
    card: HostCard
    ahead: int
    """Jobs of its queue beyond what it carries out at a time, with this one."""
    warm: bool

    @property
    def rank(self) -> tuple[int, bool, float, str]:
        """Free ones first, of those where the model is loaded, of those the cheapest."""
        return (max(0, self.ahead), not self.warm, self.card.price, self.card.name)


def placed(workspace: WorkspaceFolder, payload: TransferPayload) -> TransferPayload:
    """The request with the host's name in place of `any`; raises `NotReadyError` when no host can take it."""
    BACKENDS.get(payload.backend)
    RunSettings(**payload.settings)
    host = payload.host
    if host == "any":
        host = LOCAL if payload.backend == "local-tiny" else _best(workspace, payload)
    card = transfer_host.card_of(workspace, host)
    transfer_host.check_ready(card, payload.backend, enlarges=payload.enlarges)
    with Ledger.open(workspace) as ledger:
        queue = ledger.queue(card.queue)
        if queue is None or queue.concurrency != card.slots:
            ledger.limit(card.queue, card.slots)
    ours = payload.backend == "local-tiny"
    settings = local_tiny_models.settled(workspace, payload.settings) if ours else payload.settings
    return dataclasses.replace(payload, host=host, settings=settings)


def _best(workspace: WorkspaceFolder, payload: TransferPayload) -> str:
    cards = HostCards(workspace).all()
    if not cards:
        small = (
            "" if payload.enlarges else ", or let a small model make the video here: --host local --backend local-tiny"
        )
        raise NotReadyError(f"There is no host yet. Add one: treadle host add NAME USER@ADDRESS{small}")
    backend, specs = BACKENDS.get(payload.backend), transfer_requests.specs(payload)
    chosen = RunSettings(**payload.settings)
    key, within = backend.key(specs[0]), chosen.idle_seconds
    with Ledger.open(workspace) as ledger:
        jobs = ledger.jobs(states=(*WAITING, *ACTIVE))
    found = []
    for card in cards:
        ahead = sum(job.queue == card.queue for job in jobs) + 1 - card.slots
        warm = transfer_results.warm_key(workspace, card.name, within) == key
        found.append(_Candidate(card, ahead, warm))
    needed = [] if chosen.verify == "none" else [name for spec in specs for name in backend.needs(spec)]
    return _first_with_room(workspace, sorted(found, key=lambda one: one.rank), payload, needed)


def _first_with_room(
    workspace: WorkspaceFolder, candidates: list[_Candidate], payload: TransferPayload, needed: list[str]
) -> str:
    """The first that is ready, can be reached and has checkpoints and disk; says what is wrong with each if none is."""
    wrong, room = [], RunSettings(**payload.settings).room_gb
    for candidate in candidates:
        card = candidate.card
        try:
            transfer_host.check_ready(card, payload.backend, enlarges=payload.enlarges)
            with transfer_host.connected(workspace, card.name, patience=0.0) as host:
                free = host.free() / 1e9
                transfer_checkpoints.looked_for(workspace, host, needed)
            if free >= room:
                return card.name
            wrong.append(f"`{card.name}` has only {free:.1f} GB of free disk, {room:g} are needed (--room-gb).")
        except TreadleError as error:
            wrong.append(str(error))
    raise NotReadyError("\n".join(["No host can take it now:", *(f"- {line}" for line in wrong)]))
