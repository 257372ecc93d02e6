"""The GPUs of a host, as `nvidia-smi` there tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from treadle.remote.transport import Transport

_QUERY: Final = ("--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits")
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    name: str
    total: int
    """Bytes."""
    free: int
    """Bytes."""
    driver: str


def gpus(transport: Transport) -> list[Gpu]:
    """Those that say how much memory they have; none where `nvidia-smi` is not there."""
    done = transport.run(["nvidia-smi", *_QUERY], timeout=_SECONDS)
    lines = done.out.decode(errors="replace").splitlines() if done.ok else []
    rows = [[word.strip() for word in line.split(",")] for line in lines]
    return [
        Gpu(row[0], int(row[1]) << 20, int(row[2]) << 20, row[3])  # it says MiB, and `[N/A]` of what it does not know
        for row in rows
        if len(row) >= 4 and row[1].isdigit() and row[2].isdigit()
    ]
