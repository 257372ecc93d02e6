"""NVIDIA's cosmos-transfer2.5 through its command line. After a refusal it goes on and ends well, with a video less."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from treadle.video.transfer.backends import transfer1_log
from treadle.video.transfer.backends.backend import Event
from treadle.video.transfer.backends.program import Program, launcher
from treadle.video.transfer.dialects.transfer25 import DIALECT

if TYPE_CHECKING:
    from treadle.video.transfer.backends.backend import LaunchSettings, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun

_SAMPLE: Final = re.compile(r"\[(\d+)/(\d+)\] Processing sample ")
_REFUSED: Final = re.compile(r"Guardrail blocked (?:generation|video2world)")
_SAVED: Final = re.compile(r"Generated video saved to \S*?(?:/video_(\d+)|/output\w*)\.(?:mp4|jpg)")


class Transfer25Cli(Program):
    """`examples/inference.py`."""

    name = "transfer25-cli"
    words = DIALECT

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """See `Backend`."""
        checkpoint = ["--checkpoint_path", settings.model] if settings.model else []
        return [*launcher(places), *written.program, *run.arguments, *checkpoint]

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """See `Backend`: it finds its checkpoints in the cache of Hugging Face."""
        del settings
        return {"PYTHONPATH": places.code, "PYTHONUNBUFFERED": "1", "HF_HOME": places.checkpoints}

    def event(self, line: str) -> Event | None:
        """See `Backend`; it makes one video after the other."""
        if _SAMPLE.search(line) is not None:
            return Event("batch", {"size": 1})
        if _REFUSED.search(line) is not None:
            return Event("blocked", {"place": 0, "what": "video" if "video2world" in line else "prompt"})
        if (found := _SAVED.search(line)) is not None:
            return Event("item", {"item": int(found[1] or 0)})
        found_bar = transfer1_log.event_of(line)
        return Event("step", _as_step(found_bar)) if found_bar is not None and found_bar.type == "clip" else None


def _as_step(event: Event) -> dict[str, int]:
    return {"step": event.data["done"], "total": event.data["total"]}


BACKEND = Transfer25Cli()
