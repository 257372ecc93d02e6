"""NVIDIA's cosmos-transfer2.5 through its command line.

After a refusal it goes on and ends well, with a video less. Of a video that its guardrail refuses it says nothing: its
console leaves out what its inner modules tell. What was looked at, and neither passed nor saved, was refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from treadle.video.transfer.backends import transfer1_log
from treadle.video.transfer.backends.backend import Event, Outcome
from treadle.video.transfer.backends.program import Program, launcher
from treadle.video.transfer.dialects.transfer25 import DIALECT
from treadle.video.transfer.dialects.written import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.video.transfer.backends.backend import Ended, LaunchSettings, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec

_SAMPLE: Final = re.compile(r"\[(\d+)/(\d+)\] Processing sample ")
_REFUSED: Final = re.compile(r"Guardrail blocked generation\. (Negative p|P)rompt:")
_LOOKED_AT: Final = "Running guardrail check on video"
_PASSED: Final = "Passed guardrail on generated video"
_SAVED: Final = re.compile(r"Generated video saved to \S*?(?:/video_(\d+)|/output\w*)\.(?:mp4|jpg)")


class Transfer25Cli(Program):
    """`examples/inference.py`."""

    name = "transfer25-cli"
    words = DIALECT

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`. With several controls it loads a model of its own and passes over the one it is given."""
        if settings.model and any(len(spec.kinds) > 1 for spec in specs):
            refuse(DIALECT.name, ["A model of yours (model) works with one control, not with several."])
        return super().write(specs, folder, settings)

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """See `Backend`."""
        checkpoint = ["--checkpoint_path", settings.model] if settings.model else []
        return [*launcher(places), *written.program, *run.arguments, *checkpoint]

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """See `Backend`: it finds its checkpoints in the cache of Hugging Face.

        It lays masks of subjects into the temporary folder under names that all runs share, and may take one that
        another run has left there.
        """
        del settings
        found = {"PYTHONPATH": places.code, "PYTHONUNBUFFERED": "1", "HF_HOME": places.checkpoints}
        return {**found, "TMPDIR": places.run}

    def event(self, line: str) -> Event | None:
        """See `Backend`; it makes one video after the other."""
        if _SAMPLE.search(line) is not None:
            return Event("batch", {"size": 1})
        if (found := _REFUSED.search(line)) is not None:
            return Event("blocked", {"place": 0, "what": "prompt" if found[1] == "P" else "negative text"})
        if (found := _SAVED.search(line)) is not None:
            return Event("item", {"item": int(found[1] or 0)})
        found_bar = transfer1_log.event_of(line)
        return Event("step", _as_step(found_bar)) if found_bar is not None and found_bar.type == "clip" else None

    def outcome(self, ended: Ended) -> Outcome:
        """See `Backend`."""
        refused = _refused_videos(ended.log_tail) & set(ended.missing)
        if ended.code == 0 and refused:
            reason = "The target's guardrail refused the video. Say the text in other words, or take another seed."
            return Outcome(
                "blocked", reason, refused=tuple(sorted(refused | (set(ended.blocked) & set(ended.missing))))
            )
        return super().outcome(ended)


def _refused_videos(log: str) -> set[int]:
    """Items whose video the guardrail looked at without letting it pass."""
    found: set[int] = set()
    item = 0
    for line in log.splitlines():
        if (sample := _SAMPLE.search(line)) is not None:
            item = int(sample[1]) - 1
        elif _LOOKED_AT in line:
            found.add(item)
        elif _PASSED in line or _SAVED.search(line) is not None:
            found.discard(item)
    return found


def _as_step(event: Event) -> dict[str, int]:
    return {"step": event.data["done"], "total": event.data["total"]}


BACKEND = Transfer25Cli()
