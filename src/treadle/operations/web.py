"""The operation that serves the pages and the HTTP API: ui."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class UiReport:
    """A server that has ended."""

    address: str
    """Where it listened."""


@operation(
    "light",
    effect="reads",
    for_assistants=False,
    examples=("treadle ui", "treadle ui --port 8080 --no-browser", "treadle ui --host 0.0.0.0 --name workshop.lan"),
)
def ui(
    workspace: WorkspaceFolder,
    *,
    host: Annotated[str, "address to listen on; any but this machine's own needs users"] = "127.0.0.1",
    port: Annotated[int, "port to listen on; 0 = a free one"] = 0,
    name: Annotated[list[str], "name that browsers may call this server by; may be repeated"] = [],  # noqa: B006 - never changed
    no_browser: Annotated[bool, "do not open a browser"] = False,
) -> UiReport:
    """Open the workshop in a browser: see it, feed it, steer it. The same server answers programs at /api/v1.

    It listens on this machine only, and works without a network. For other machines make a user first: treadle user add
    """
    serve = load("treadle.web.server:serve")
    return UiReport(serve(workspace, host=host, port=port, names=tuple(name), browser=not no_browser))
