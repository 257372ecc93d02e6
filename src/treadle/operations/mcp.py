"""The operation that serves assistants: mcp."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from treadle.base.errors import MissingExtraError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class McpReport:
    """A server that has ended."""

    transport: str
    """`stdio` or `http`."""
    address: str | None
    """Where it listened."""


@operation(
    "light",
    needs_workspace=False,
    for_assistants=False,
    examples=("treadle mcp", "treadle mcp --role docs", "treadle mcp --role reader --http 8765"),
)
def mcp(
    workspace: WorkspaceFolder | None,
    *,
    role: Annotated[str | None, "role of the assistant, from flow/system/roles.toml; none = every operation"] = None,
    http: Annotated[int | None, "serve over HTTP on this port of 127.0.0.1 (0 = any); none = standard input"] = None,
    roles: Annotated[Path | None, "file of roles; none = flow/system/roles.toml at the top of the tree"] = None,
) -> McpReport:
    """Serve an assistant over the Model Context Protocol: operations as tools, notes and runs as resources.

    Without --http it talks over standard input and output and ends with its client. Over HTTP it wants the token
    from TREADLE_MCP_TOKEN, or one that it makes up and prints.
    """
    try:
        serve = load("treadle.mcp.server:serve")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "treadle":
            raise
        raise MissingExtraError("Serving assistants needs an optional part: pip install 'treadle[mcp]'.") from error
    return McpReport(**serve(workspace, role, roles, http))
