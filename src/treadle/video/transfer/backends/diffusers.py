"""Cosmos-Transfer 2.5 by the library diffusers: a script of ours on the host, which tells of every step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.video.transfer.backends import said
from treadle.video.transfer.backends.program import Program
from treadle.video.transfer.dialects.diffusers import DIALECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.video.transfer.backends.backend import Event, LaunchSettings, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec

_RUNNER: Final = Path(__file__).with_name("diffusers_runner.py")
_MODEL: Final = "nvidia/Cosmos-Transfer2.5-2B"


class DiffusersRunner(Program):
    """`diffusers_runner.py`, which is sent along: one call makes one video."""

    name = "diffusers"
    words = DIALECT
    batches = False

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`."""
        written = super().write(specs, folder, settings)
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


BACKEND = DiffusersRunner()
