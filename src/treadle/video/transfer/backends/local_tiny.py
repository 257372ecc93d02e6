"""Our own small models, on this machine's processor: the whole chain without a GPU, in minutes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from treadle.video.transfer.backends import said
from treadle.video.transfer.backends.backend import Outcome
from treadle.video.transfer.backends.program import Program
from treadle.video.transfer.dialects import local_tiny as dialect
from treadle.video.transfer.dialects.local_tiny import DIALECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.video.transfer.backends.backend import Ended, Event, LaunchSettings, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec

ERROR: Final = "error: "
_PROGRAM: Final = "treadle.recipes.local_tiny"
_KILLED: Final = {137, -9}


class LocalTiny(Program):
    """A model of the family `video_flow`, loaded for one launch."""

    name = "local-tiny"
    words = DIALECT

    def key(self, spec: TransferSpec) -> str:
        """See `Backend`: one model serves all."""
        del spec
        return self.name

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`: what is decided clip by clip hangs on the model's clips."""
        words = DIALECT if settings.clip_frames is None else dialect.LocalTiny(settings.clip_frames)
        return words.write(specs, folder)

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """See `Backend`. It runs where Treadle is, by the same interpreter."""
        del written
        chosen = [] if settings.model is None else ["--model", settings.model]
        return [sys.executable, "-m", _PROGRAM, *run.arguments, "--workspace", places.workspace, *chosen]

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """See `Backend`."""
        del places, settings
        return {"PYTHONUNBUFFERED": "1"}

    def event(self, line: str) -> Event | None:
        """See `Backend`."""
        return said.event_of(line)

    def outcome(self, ended: Ended) -> Outcome:
        """See `Backend`."""
        if ended.code == 0 and not ended.missing:
            return Outcome("done")
        if ended.code is None:
            return Outcome("unknown", "The command is gone and has left no exit code; this machine may have restarted.")
        if ended.code in _KILLED:
            reason = "The command was killed; most often that is the memory running out."
            return Outcome("failed", reason, out_of_memory=True)
        lines = [line for line in ended.log_tail.splitlines() if line.strip()]
        error = next((line.removeprefix(ERROR) for line in reversed(lines) if line.startswith(ERROR)), None)
        last = error or (lines[-1] if lines else "its log is empty.")
        return Outcome("failed", last[:500])


BACKEND = LocalTiny()
