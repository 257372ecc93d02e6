"""How many videos fit into the free memory of a host's GPUs at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from treadle.jobs.context import RunContext
    from treadle.recipes.transfer_host import HostHere

_QUERY: Final = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
MODEL_GB: Final = 40.0
"""What a 7B model takes with its encoders, before the first video: a first guess, since too much is halved."""
VIDEO_GB: Final = 12.0
"""What each clip of 121 frames at 1280x704 takes besides; likewise."""
MOST: Final = 16


def at_once(host: HostHere, context: RunContext) -> int:
    """How many videos to begin with; 1 where the host has no GPU that says how much it has."""
    done = host.transport.run(list(_QUERY), timeout=30)
    free = least_free_gb(done.out) if done.ok else None
    if free is None:
        context.emit("note", message=f"{host.name} does not say how much GPU memory is free; one video at a time.")
        return 1
    return max(1, min(MOST, int((free - MODEL_GB) // VIDEO_GB)))


def least_free_gb(out: bytes) -> float | None:
    """GB that are free on the fullest GPU, from the answer of `nvidia-smi` (MiB, one a line)."""
    found = []
    for line in out.decode(errors="replace").splitlines():
        word = line.strip().removesuffix("MiB").strip()
        if word.isdigit():
            found.append(int(word))
    return min(found) * 1024**2 / 1000**3 if found else None
