"""What a limited process (`limited.py`) does first: it gives up what it does not need, and hears its order."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_MOST_SPOOL = 16 << 30


def confined() -> tuple[dict[str, Any], int] | None:
    """Confine this process; gives its order and the handle to answer on, None if nobody is there who could hear it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails with an error that can be told
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    order = json.loads(sys.stdin.buffer.readline() or b"null")
    if order is None or os.getppid() != order["parent"]:
        return None
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries that print do not disturb
    _limit(order["memory"])
    return order, output


def say(output: int, words: bytes) -> None:
    """Answer with one line."""
    rest = memoryview(words + b"\n")
    while rest.nbytes:
        rest = rest[os.write(output, rest) :]


def _limit(memory: int) -> None:
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, _MOST_SPOOL), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
