"""A user service of systemd that keeps a worker running."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.store.workspace import WorkspaceFolder

_STOP_SECONDS = 90
"""Longer than a job may take to reach its next step boundary."""


def service_name(workspace: WorkspaceFolder) -> str:
    """Name of the service of a workspace; two folders of the same name get different ones."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", workspace.root.name).strip("-") or "workspace"
    return f"treadle-{readable}-{hashlib.sha256(str(workspace.root).encode()).hexdigest()[:6]}.service"


def service_text(workspace: WorkspaceFolder, command: Sequence[str], heavy: int) -> str:
    """The service file; `command` is how this Treadle is called."""
    words = [*command, "worker", "run", "--workspace", str(workspace.root), "--heavy", str(heavy)]
    return f"""\
[Unit]
Description=Treadle worker of {_plain(str(workspace.root))}

[Service]
ExecStart={" ".join(_quoted(word) for word in words)}
Restart=on-failure
RestartSec=5
# Only the worker is told to end; it lets each job keep its work first.
KillMode=mixed
TimeoutStopSec={_STOP_SECONDS}

[Install]
WantedBy=default.target
"""


def _quoted(word: str) -> str:
    """A word as systemd reads it: % and $ are its own marks."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _plain(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")
