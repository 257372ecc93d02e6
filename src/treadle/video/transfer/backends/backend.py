"""What a run asks of whatever makes its videos: the command, the meaning of its log, and how it ended.

A backend touches no host. The recipe stages what it wrote, starts its command with a folder of its own on the host,
hands it the lines of the log as they come, and asks it at the end what the end means. One start of the command is a
*launch*; a launch makes the videos of one or several *items*, each of them one request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec

Ending = Literal["done", "failed", "blocked", "cancelled", "lost", "unknown"]
"""`blocked`: a guardrail refused the prompt or the video. `lost`: the host cannot be reached, the command may go on.
`unknown`: the command is gone and has left no exit code; it may have been killed with its host."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are, as the command sees them: on the host, or inside its container."""

    run: str
    """Folder of this launch; what was written lies below it."""
    code: str = "."
    """Checkout of the target."""
    checkpoints: str = "checkpoints"
    state: str = "."
    """Folder of what outlives a launch: models that stay loaded."""
    python: str = "python3"
    gpus: int = 1
    workspace: str = ""
    """Folder of the workspace where the host is this machine; empty elsewhere."""


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """What is decided about a launch besides its requests."""

    at_once: int = 1
    """How many items the target computes together. With more than one it draws their noise together, so that they no
    longer equal single ones."""
    idle_seconds: float = 900.0
    """How long a loaded model waits for a next request before it makes room."""
    memory_gb: float | None = None
    """A loaded model that holds more than this makes room after its request; None = no limit."""
    model: str | None = None
    """The checkpoint or model to use, where the backend knows several; None = its usual one."""
    room_gb: float = 0.0
    """Free disk without which nothing is begun."""
    clip_frames: int | None = None
    """Frames that the chosen model draws at a time, where it is one of ours; None = its usual ones."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something the log told: `clip`, `step`, `stage`, `item`, `blocked`, `note`, `preview`, `warm`."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, as far as can be seen from outside."""

    code: int | None
    """Exit code; None = there is none."""
    log_tail: str
    """The last 64 KiB of its log."""
    missing: Sequence[int]
    """Items of the launch whose video is not there, or cannot be read."""
    blocked: Sequence[int] = ()
    """Items that events told to be blocked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an end means."""

    ending: Ending
    reason: str = ""
    """One sentence: what is wrong and what to do."""
    transient: bool = False
    """Whether trying the same again may help."""
    out_of_memory: bool = False
    one_by_one: bool = False
    """Whether the items must not be made several at once."""
    refused: tuple[int, ...] = ()
    """Items of the launch that a guardrail refused."""


class Backend(Protocol):
    """One way of having videos made. Entered in `backends/catalog.py` by its name."""

    name: str
    batches: bool
    """Whether one launch can make several videos."""

    def key(self, spec: TransferSpec) -> str:
        """What a loaded model must have been loaded for to serve this request."""
        ...

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """What all items of one launch must have in common, because the target knows it once; None = it is alone."""
        ...

    def needs(self, spec: TransferSpec) -> tuple[str, ...]:
        """What of the folder of checkpoints it loads for this request: paths; one that ends with `/` is a folder."""
        ...

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """The items in the words of the target, which finds the files below `folder`."""
        ...

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """The command that carries out one run of what was written; it starts in `places.code`."""
        ...

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """Variables that the command needs, none of them secret."""
        ...

    def event(self, line: str) -> Event | None:
        """What a line of the log tells; None = nothing. Lines may hold anything."""
        ...

    def outcome(self, ended: Ended) -> Outcome:
        """What the end of the command means."""
        ...
