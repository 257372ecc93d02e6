"""A job whose work is done by one command on a host, begun once and begun anew when it ended badly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from treadle.base.files import read_json, write_json
from treadle.recipes.following import Following, LogCopy
from treadle.remote.run_folder import RunFolder
from treadle.remote.transport import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from treadle.jobs.context import RunContext
    from treadle.remote.containers import Containers
    from treadle.remote.hosts import HostCard
    from treadle.remote.transport import Transport

STATE_FILE: Final = "host.json"
_PATIENCE: Final = 900.0
"""Seconds that a host may be away before the job gives up following it."""


def event_in(line: str) -> tuple[str, dict[str, Any]] | None:
    """What a line of JSON with a key `event` tells; None for any other, which is for people."""
    try:
        event = json.loads(line)
        return event.pop("event"), event
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class HostWork:
    """One piece of work on one host, in a run's folder there whose name is that of the run here."""

    def __init__(
        self, context: RunContext, card: HostCard, transport: Transport, containers: Containers | None = None
    ) -> None:
        """Know the work, and how its containers are run if it is done in one; nothing is done yet."""
        self._context, self._card, self._transport, self._containers = context, card, transport, containers
        path = context.run.path / STATE_FILE
        self._number = int(read_json(path)["number"]) if path.is_file() else 1
        self._following = Following(context, card.name, _PATIENCE, far=not card.is_local)
        self.asked = self._following.asked

    @property
    def number(self) -> int:
        """Number of the folder: a piece of work that ended badly is begun anew in the next one."""
        return self._number

    def folder(self, number: int | None = None) -> RunFolder:
        """The folder on the host, of this beginning or an earlier one."""
        name = f"{self._context.run.id}-{number or self._number}"
        return RunFolder(self._transport, self._card.runs, name, self._containers)

    def carry_out(
        self,
        argv: Sequence[str] | Callable[[RunFolder], Sequence[str]],
        files: Mapping[str, Path | bytes],
        secrets: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        """Do it, from wherever it stands; `tell` is called with each line of its log, from the first one.

        A command that names its folder is given as what makes it of the folder.

        Raises `HostError` with the end of the log when it failed, and what `Following` raises.
        """
        state = self.asked(self.folder().state)
        if state.pid is not None and not state.alive and state.code != 0:
            self._number += 1
            state = self.asked(self.folder().state)
        write_json(self._context.run.path / STATE_FILE, {"number": self._number, "host": self._card.name})
        run = self.folder()
        if state.pid is None:
            self.asked(lambda: run.stage(files))
            if secrets:
                self.asked(lambda: run.keep_environment(secrets))
            self._context.require_claim()
            command = argv(run) if callable(argv) else argv
            self.asked(lambda: run.start(command))
        log = LogCopy(self._context, self._context.run.path / f"host-{self._number}.log", lambda line, _: tell(line))
        try:
            state = self._following.to_the_end(run, log)
        finally:
            log.close()
        if state.code is None:
            raise HostError(
                f"What ran on `{self._card.name}` is gone without a word; the machine was started anew, perhaps. "
                "`treadle jobs retry` goes on where it was."
            )
        if state.code != 0:
            said = " / ".join(log.tail()[-2000:].strip().splitlines()[-5:]) or "it said nothing"
            raise HostError(f"`{self._card.name}` could not do it (status {state.code}): {said}")
