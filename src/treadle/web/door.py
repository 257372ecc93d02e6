"""The way from a request to the operations: who asks, what they may, and the call itself."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from treadle.base.names import did_you_mean
from treadle.operations.arguments import python_arguments
from treadle.operations.heavy import call, facts
from treadle.operations.operation import operations
from treadle.store.accounts import LEVELS
from treadle.web.answers import RefusedError
from treadle.web.paths import given_paths

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from starlette.requests import HTTPConnection

    from treadle.operations.operation import Operation
    from treadle.store.accounts import Level
    from treadle.store.workspace import WorkspaceFolder
    from treadle.telemetry.events import Event

ALSO_OFFERED: Final = frozenset({"demo", "worker.start"})
"""Operations that assistants are not offered and people are. The others of these only make sense at the machine itself:
they take over a terminal, serve, or make a workspace."""
_ADMIN_NOUNS = frozenset({"user", "key"})
_LEVEL_OF_EFFECT: dict[str, Level] = {"reads": "viewer", "changes": "operator", "removes": "admin"}


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    name: str
    level: Level
    csrf: str = ""
    """What a page of ours must send with each change."""
    local: bool = True
    """Whether there are no accounts: whoever reaches the loopback address owns the workspace."""

    def may(self, level: Level) -> bool:
        """Whether this level reaches `level`."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


def offered() -> dict[str, Operation]:
    """The operations that HTTP offers, by name."""
    return {name: entry for name, entry in operations().items() if _is_offered(entry)}


def _is_offered(entry: Operation) -> bool:
    return entry.for_assistants or entry.noun in _ADMIN_NOUNS or entry.name in ALSO_OFFERED


def level_for(entry: Operation, given: Mapping[str, Any] | None = None) -> Level:
    """The level that calling an operation takes, with these arguments or else with any."""
    effect = entry.effect if given is None else entry.effect_of(given)
    return "admin" if entry.noun in _ADMIN_NOUNS else _LEVEL_OF_EFFECT[effect]


@dataclasses.dataclass(frozen=True, slots=True)
class Door:
    """The operations, as one person or program may call them."""

    workspace: WorkspaceFolder
    identity: Identity

    def entry(self, name: str, given: Mapping[str, Any] | None = None) -> Operation:
        """The operation called `name`, if it may be called, with what is given; else a refusal that says why."""
        entry = offered().get(name)
        if entry is None:
            near = did_you_mean(name, offered())
            raise RefusedError(
                404, f"There is no operation `{name}`.{near} GET /api/v1/operations lists them.", "NotFound"
            )
        level = level_for(entry, given)
        if not self.identity.may(level):
            raise RefusedError(
                403,
                f"`{name}` needs the level {level}; {self.identity.name} is {self.identity.level}. "
                f"An admin can change that: treadle user level {self.identity.name} {level}",
                "Forbidden",
            )
        return entry

    def arguments(self, entry: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments as the operation takes them; paths of uploads are found, those out of reach refused."""
        named = dict(given)
        if entry.name == "demo":
            named["folder"] = str(self.workspace.root)
        if entry.kind == "heavy":
            named["detach"] = True
        arguments = python_arguments(entry, (), named)
        return given_paths(self.workspace, self.identity.level, entry, arguments)

    def call(self, name: str, /, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - each operation has its own types
        """Carry out an operation and return its answer: a heavy one's is the job that was queued."""
        entry = self.entry(name, given)
        answer = call(entry, self.workspace, self.arguments(entry, given))
        if entry.kind == "heavy":
            with answer:
                told = facts(answer)
            return {**told, "position": told["place"]}
        if entry.kind == "light":
            return dataclasses.asdict(answer)
        with closing(_events(answer, following=entry.kind == "following")) as events:
            return next((event["data"] for event in events if event["type"] == "result"), {})

    def events(self, name: str, given: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The events of an interactive operation, or of a job that is followed, its answer last."""
        entry = self.entry(name, given)
        answer = call(entry, self.workspace, self.arguments(entry, given))
        return _events(answer, following=entry.kind == "following")


def _events(answer: Any, *, following: bool) -> Generator[dict[str, Any], None, None]:  # noqa: ANN401 - a job, or events
    """Events as JSON; of a job that is followed also what came of it."""
    if following:
        with answer:
            for event in answer.events():
                yield {"type": "waiting"} if event is None else _event(event)
            yield {"type": "result", "data": answer.answer()}
        return
    with closing(answer):
        for event in answer:
            yield _event(event)


def _event(event: Event) -> dict[str, Any]:
    return {"type": event.type, "time": event.time, "data": event.data}


def door(request: HTTPConnection) -> Door:
    """The door for the one who asks."""
    return Door(request.app.state.workspace, request.scope["state"]["identity"])
