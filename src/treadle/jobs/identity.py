"""Who a worker is, so that others can tell whether it still lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from treadle.jobs.processes import process_start


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """A process of one boot of one host. Another process with the same number has another start time."""

    host: str
    boot: str
    """Boot of the machine and namespace of its process numbers: pids mean something only inside one."""
    pid: int
    started: str

    @classmethod
    def current(cls) -> WorkerIdentity:
        """The identity of this process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> WorkerIdentity:
        """The identity of a process of this machine."""
        return cls(os.uname().nodename, _boot(), pid, process_start(pid) or "")

    @classmethod
    def parse(cls, host: str, owner: str) -> WorkerIdentity:
        """Read what `owner` wrote."""
        boot, pid, started = owner.split("/")
        return cls(host, boot, int(pid), started)

    @property
    def owner(self) -> str:
        """The part that the ledger stores beside the host."""
        return f"{self.boot}/{self.pid}/{self.started}"

    @property
    def id(self) -> str:
        """Name of the worker in lists."""
        return f"{self.host}/{self.owner}"

    def gone(self) -> bool | None:
        """Whether the process has ended; None if that cannot be seen from here (another host or container)."""
        if self.host != os.uname().nodename or self.boot != _boot():
            return None
        return process_start(self.pid) != self.started

    def rebooted(self) -> bool:
        """Whether its machine, if it is this one, has been started anew since; all its processes are gone then."""
        return self.host == os.uname().nodename and self.boot[:13] != _boot()[:13]


def _boot() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot[:13]}-{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
