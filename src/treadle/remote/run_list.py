"""The folders of all runs on a host, seen at once, and removed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from treadle.remote.run_folder import script
from treadle.remote.transport import run_checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.remote.containers import Containers
    from treadle.remote.transport import Transport

RunStanding = Literal["staged", "running", "done", "failed", "cancelled", "unknown"]
"""`staged`: files are there and nothing was started. `unknown`: it ended, and nobody wrote down how."""
_OURS: Final = re.compile(r"(r-[0-9a-z]{16})-[0-9a-z]{1,8}")
"""A folder of ours: id of the run here, and which of its pieces."""
_SURVEY_SECONDS: Final = 300.0
_REMOVE_SECONDS: Final = 1800.0


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A folder of a run on a host."""

    id: str
    run: str
    """Of the run here that it belongs to."""
    state: RunStanding
    code: int | None
    """Status of its command, where it was written down."""
    bytes: int
    age: float
    """Seconds since something in it changed, by the host's clock."""


def survey(transport: Transport, root: str, containers: Containers | None = None) -> list[FoundRun]:
    """All folders of runs under the absolute path `root`, oldest first; others that lie there are left out."""
    argv = ["sh", "-c", script("survey").decode(), "survey", root, script("state").decode()]
    out = run_checked(transport, argv, "list its runs", timeout=_SURVEY_SECONDS).decode(errors="replace")
    first, *parts = out.split("\nrun ")
    now = float(first.partition(" ")[2] or 0)
    found = []
    for part in parts:
        name, *lines = part.splitlines()
        if (ours := _OURS.fullmatch(name)) is not None:
            run = _found(ours, dict(line.partition(" ")[::2] for line in lines), now)
            if run.state == "unknown" and containers is not None and containers.running(transport, run.id):
                run = replace(run, state="running")
            found.append(run)
    return sorted(found, key=lambda one: (-one.age, one.id))


def remove(transport: Transport, root: str, names: Sequence[str]) -> dict[str, str]:
    """Remove folders of runs that do not run; returns why the others are still there, by name."""
    wrong = [name for name in names if _OURS.fullmatch(name) is None]
    if wrong:
        raise AssertionError(f"{wrong[0]} is no folder of ours")
    if not names:
        return {}
    argv = ["sh", "-c", script("remove").decode(), "remove", root, script("state").decode(), *names]
    out = run_checked(transport, argv, "remove runs", timeout=_REMOVE_SECONDS).decode(errors="replace")
    rows = [line.split(" ", 2) for line in out.splitlines() if line.startswith("left ")]
    return {row[1]: row[2] if len(row) > 2 else "it cannot be removed" for row in rows}


def _found(ours: re.Match[str], said: dict[str, str], now: float) -> FoundRun:
    code = int(said["code"]) if said.get("code", "").strip().isdigit() else None
    state: RunStanding = "staged"
    if said.get("alive") == "yes":
        state = "running"
    elif "stopped" in said:
        state = "cancelled"
    elif code is not None:
        state = "failed" if code else "done"
    elif "pid" in said:
        state = "unknown"
    changed = said.get("changed", "")
    age = max(0.0, now - float(changed)) if changed.isdigit() else 0.0
    size = said.get("size", "")
    return FoundRun(ours[0], ours[1], state, code, int(size) * 1024 if size.isdigit() else 0, age)
