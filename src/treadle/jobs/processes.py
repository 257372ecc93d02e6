"""Telling one process from another that has its number."""

from __future__ import annotations

from pathlib import Path


def process_start(pid: int) -> str | None:
    """Start time of a process in kernel ticks, or None if there is none; with the pid it identifies a process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
