"""What the machine was busy with over the last day, in a file that never grows.

A moment's place in the file follows from its time, and a slot that is a day old is written over. So any number of
processes may take samples: they write the same slots, and whoever comes second finds it done.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.files import disk_errors
from treadle.telemetry.hardware import free_disk, memory, usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL_SECONDS: Final = 5.0
SLOTS: Final = 17_280
"""A day of samples; the file takes 40 bytes for each."""
FILE: Final = "hardware.ring"
_RECORD: Final = struct.Struct("<dffqqq")  # time, processor, load, memory used, memory in all, disk free


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine at one moment."""

    time: float
    """Seconds since 1970."""
    processor: float
    """Share of all cores that was busy since the sample before, 0 to 1."""
    load: float
    """Processes that ran or wanted to, on average over a minute."""
    memory_used: int
    memory_total: int
    disk_free: int
    """Free bytes on the workspace's disk."""


class Sampler:
    """Takes samples of this machine; asked often, it takes one per slot."""

    def __init__(self, path: Path) -> None:
        """Keep them in the file `path`; its folder is the one whose disk is watched."""
        self._path = path
        self._before = _processor_times()
        self._slot = -1

    def sample(self) -> bool:
        """Take a sample if this slot has none yet; whether one was taken."""
        now = time.time()
        slot = int(now / INTERVAL_SECONDS)
        if slot == self._slot:
            return False
        self._slot = slot
        busy = _processor_times()
        total, available = memory()
        share = _share(self._before, busy)
        self._before = busy
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        record = _RECORD.pack(now, share, load, total - available, total, free_disk(self._path.parent))
        with disk_errors(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                place = slot % SLOTS * _RECORD.size
                known = os.pread(handle, _RECORD.size, place)
                if len(known) == _RECORD.size and int(_RECORD.unpack(known)[0] / INTERVAL_SECONDS) == slot:
                    return False  # another process was first
                os.pwrite(handle, record, place)
            finally:
                os.close(handle)
        return True


def hardware_history(path: Path, seconds: float, points: int = 300, *, now: float | None = None) -> list[Sample]:
    """The samples of the last `seconds`, oldest first, gathered to at most `points`; where none was taken is a gap.

    Of gathered samples the processor's share and the load are the largest: a peak is what is looked for.
    """
    until = time.time() if now is None else now
    last = int(until / INTERVAL_SECONDS)
    count = max(1, min(SLOTS, round(seconds / INTERVAL_SECONDS)))
    slots = range(last - count + 1, last + 1)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    size = max(1, -(-count // points))
    found: list[Sample] = []
    for first in range(0, count, size):
        group = [sample for slot in slots[first : first + size] if (sample := _at(data, slot)) is not None]
        if group:
            found.append(_gathered(group))
    return found


def columns(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """The samples as one list for each fact, as charts take them."""
    names = ("time", "processor", "load", "memory_used", "memory_total", "disk_free")
    rows = [asdict(sample) for sample in samples]
    return {name: [row[name] for row in rows] for name in names}


def machine_now(folder: Path) -> dict[str, Any]:
    """Cores, memory and disk as they are now."""
    total, available = memory()
    return {
        "cores": usable_cores(),
        "memory_total": total,
        "memory_available": available,
        "disk_free": free_disk(folder),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _at(data: bytes, slot: int) -> Sample | None:
    place = slot % SLOTS * _RECORD.size
    if place + _RECORD.size > len(data):
        return None
    found = Sample(*_RECORD.unpack_from(data, place))
    return found if int(found.time / INTERVAL_SECONDS) == slot else None


def _gathered(group: Sequence[Sample]) -> Sample:
    newest = group[-1]
    return Sample(
        newest.time,
        round(max(sample.processor for sample in group), 4),
        round(max(sample.load for sample in group), 3),
        max(sample.memory_used for sample in group),
        newest.memory_total,
        newest.disk_free,
    )


def _processor_times() -> tuple[int, int]:
    """Busy and all clock ticks of all cores since the machine began (0, 0 where the kernel does not say)."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
        ticks = [int(word) for word in line.split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    idle = sum(ticks[3:5])  # idle, and waiting for the disk
    return sum(ticks) - idle, sum(ticks)


def _share(before: tuple[int, int], now: tuple[int, int]) -> float:
    passed = now[1] - before[1]
    return min(1.0, max(0.0, (now[0] - before[0]) / passed)) if passed > 0 else 0.0
