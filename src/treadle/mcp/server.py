"""The server: one assistant over standard input and output, or several over HTTP on this machine."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread
import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ListResourcesResult, ListResourceTemplatesResult, ListToolsResult

import treadle
from treadle.base.errors import NotFoundError, TreadleError, UsageError
from treadle.base.listening import listening_socket, shown_address
from treadle.flow.guard_diff import Tree
from treadle.flow.roles import read_roles
from treadle.mcp.documents import Library
from treadle.mcp.loopback import OnlyWithToken
from treadle.mcp.tools import Caller, Toolbox

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp_types import (
        CallToolRequestParams,
        CallToolResult,
        PaginatedRequestParams,
        ReadResourceRequestParams,
        ReadResourceResult,
    )

    from treadle.flow.roles import Role
    from treadle.store.workspace import WorkspaceFolder

TOKEN_VARIABLE = "TREADLE_MCP_TOKEN"  # noqa: S105 - the name of a variable
_LEAST_TOKEN = 16


def serve(workspace: WorkspaceFolder | None, role: str | None, roles: Path | None, port: int | None) -> dict[str, Any]:
    """Serve until the assistant goes away (`port` is None) or a signal ends it; returns what was served."""
    tree = _tree(workspace)
    found = None if role is None else read_roles(tree, roles).get(role)
    server = make_server(workspace, found, tree)
    if port is None:
        anyio.run(_serve_stdio, server)
        return {"transport": "stdio", "address": None}
    return {"transport": "http", "address": _serve_http(server, port)}


def _tree(workspace: WorkspaceFolder | None) -> Path:
    """Where roles and documents are looked for: the git tree around this folder, else the workspace, else here."""
    here = Path.cwd() if workspace is None else workspace.root
    try:
        return Tree.around(here).root
    except NotFoundError:
        return here


def make_server(workspace: WorkspaceFolder | None, role: Role | None, tree: Path) -> Server[Any]:
    """A server with the tools and documents of one role."""
    toolbox, library = Toolbox(workspace, role, tree), Library(workspace, role, tree)

    async def list_tools(_: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=toolbox.tools())

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        count = 0

        async def report(said: str) -> None:
            await context.session.report_progress(count, message=said)

        def progress(said: str) -> None:
            nonlocal count
            count += 1
            anyio.from_thread.run(report, said)

        gone = threading.Event()
        caller = Caller(progress, gone.is_set)
        try:
            return await anyio.to_thread.run_sync(
                lambda: toolbox.call(params.name, params.arguments or {}, caller), abandon_on_cancel=True
            )
        finally:
            gone.set()  # a thread that waits for a job sees it and ends

    async def list_resources(_: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListResourcesResult:
        return ListResourcesResult(resources=library.resources())

    async def list_templates(
        _: ServerRequestContext[Any], __: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=library.templates())

    async def read_resource(_: ServerRequestContext[Any], params: ReadResourceRequestParams) -> ReadResourceResult:
        try:
            return library.read(params.uri)
        except TreadleError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error

    return Server(
        "treadle",
        version=treadle.__version__,
        instructions=library.instructions(),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


async def _serve_stdio(server: Server[Any]) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _serve_http(server: Server[Any], port: int) -> str:
    """Serve on the loopback address; the token comes from the environment, or is made up and said once."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and len(token) < _LEAST_TOKEN:
        raise UsageError(f"{TOKEN_VARIABLE} is too short; give at least {_LEAST_TOKEN} characters, or leave it out.")
    with listening_socket("127.0.0.1", port, "--http") as listening:
        bound = listening.getsockname()[1]
        address = f"{shown_address('127.0.0.1', listening)}/mcp"
        said = f"Serving on {address}"
        said += (
            f", token from {TOKEN_VARIABLE}"
            if token
            else f"\nAuthorization: Bearer {(token := secrets.token_urlsafe(32))}"
        )
        application = OnlyWithToken(server.streamable_http_app(host="127.0.0.1"), token, bound)
        settings = uvicorn.Config(application, log_level="warning", access_log=False, lifespan="on", ws="none")
        sys.stderr.write(f"{said}\n")
        sys.stderr.flush()
        before = signal.getsignal(signal.SIGINT)
        try:
            uvicorn.Server(settings).run(sockets=[listening])
        except KeyboardInterrupt:
            pass  # uvicorn has shut down in order and tells what ended it
        finally:
            signal.signal(signal.SIGINT, before)
    return address
