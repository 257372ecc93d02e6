"""How many videos fit into the free memory of a host's GPUs at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from treadle.remote.gpus import gpus

if TYPE_CHECKING:
    from treadle.jobs.context import RunContext
    from treadle.recipes.transfer_host import HostHere

MODEL_GB: Final = 40.0
"""What a 7B model takes with its encoders, before the first video: a first guess, since too much is halved."""
VIDEO_GB: Final = 12.0
"""What each clip of 121 frames at 1280x704 takes besides; likewise."""
MOST: Final = 16


def at_once(host: HostHere, context: RunContext) -> int:
    """How many videos to begin with, by the fullest GPU; 1 where the host has none that says how much it has."""
    found = gpus(host.transport)
    if not found:
        context.emit("note", message=f"{host.name} does not say how much GPU memory is free; one video at a time.")
        return 1
    free = min(gpu.free for gpu in found) / 1e9
    return max(1, min(MOST, int((free - MODEL_GB) // VIDEO_GB)))
