"""Cosmos-Transfer 2.5 by the library diffusers: a script of ours on the host, which tells of every step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.video.transfer.backends import said, transfer1_log
from treadle.video.transfer.dialects.diffusers import DIALECT

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.backends.backend import Ended, Event, LaunchSettings, Outcome, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec

_RUNNER: Final = Path(__file__).with_name("diffusers_runner.py")
_MODEL: Final = "nvidia/Cosmos-Transfer2.5-2B"


class DiffusersRunner:
    """`diffusers_runner.py`, which is sent along."""

    name = "diffusers"
    dialect = "diffusers"
    batches = False

    def key(self, spec: TransferSpec) -> str:
        """See `Backend`: nothing stays loaded."""
        return f"{self.name}/{'+'.join(sorted(spec.kinds))}"

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """See `Backend`: one call makes one video."""
        return DIALECT.shared(spec)

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`."""
        del settings
        written = DIALECT.write(specs, folder)
        files = {**written.files, _RUNNER.name: _RUNNER.read_bytes()}
        return dataclasses.replace(written, files=files, program=(_RUNNER.name,))

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """See `Backend`."""
        return [places.python, f"{places.run}/{written.program[0]}", *run.arguments, settings.model or _MODEL]

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """See `Backend`."""
        del settings
        path = {} if places.code == "." else {"PYTHONPATH": places.code}
        return {**path, "PYTHONUNBUFFERED": "1", "HF_HOME": places.checkpoints}

    def event(self, line: str) -> Event | None:
        """See `Backend`."""
        return said.event_of(line)

    def outcome(self, ended: Ended) -> Outcome:
        """See `Backend`."""
        return transfer1_log.outcome_of(ended)


BACKEND = DiffusersRunner()
