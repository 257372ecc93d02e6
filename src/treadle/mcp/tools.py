"""From operations to tools: what an assistant is offered, and how a call is carried out."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from treadle.base.errors import TreadleError, UsageError
from treadle.base.names import did_you_mean
from treadle.operations.arguments import python_arguments
from treadle.operations.heavy import call, facts
from treadle.operations.operation import leads_elsewhere, operations
from treadle.store.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from treadle.flow.roles import Role
    from treadle.jobs.handle import QueuedJob
    from treadle.operations.operation import NamesFile, Operation
    from treadle.store.workspace import WorkspaceFolder
    from treadle.telemetry.events import Event

WAIT = "seconds"
_LONGEST_WAIT = 300
_USUAL_WAIT = 20
_STARTED = (
    "\n\nIt is carried out in the background: the answer names the job. `jobs_show` looks at it, `jobs_follow` waits"
    " for it, `jobs_stop` ends it and keeps what it has."
)
_WAITED = "\n\nIt returns when the job has ended, or after `seconds`; call it again to go on waiting."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who waits for an answer."""

    progress: Callable[[str], None]
    """Tells it what happens meanwhile."""
    gone: Callable[[], bool]
    """Whether it no longer waits."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The operations that one assistant is offered, in one workspace."""

    workspace: WorkspaceFolder | None
    role: Role | None
    tree: Path
    """The folder that an assistant in a role does not reach out of."""

    def entries(self) -> dict[str, Operation]:
        """The offered operations by the name of their tool."""
        return {entry.method: entry for entry in operations().values() if is_offered(entry, self.role)}

    def tools(self) -> list[Tool]:
        """The tools, those that only read first."""
        entries = sorted(self.entries().values(), key=lambda entry: entry.effect != "reads")
        return [_tool(entry) for entry in entries]

    def call(self, name: str, given: Mapping[str, Any], caller: Caller) -> CallToolResult:
        """Carry out a call; whatever is wrong with it comes back as an answer that says what to do."""
        try:
            return _answer(self._carry_out(name, dict(given), caller))
        except TreadleError as error:
            kind = str(getattr(error, "kind", type(error).__name__.removesuffix("Error")))
            wrong = {"ok": False, "error": str(error), "kind": kind, "exit_code": error.exit_code}
            return _answer(wrong, is_error=True)
        except OSError as error:
            wrong = {"ok": False, "error": f"{error.filename or name}: {error.strerror or error}.", "kind": "Output"}
            return _answer(wrong, is_error=True)

    def _carry_out(self, name: str, given: dict[str, Any], caller: Caller) -> dict[str, Any]:
        entries = self.entries()
        entry = entries.get(name)
        if entry is None:
            whose = "" if self.role is None else f" for the role `{self.role.name}`"
            raise UsageError(f"There is no tool `{name}`{whose}.{did_you_mean(name, entries)}")
        seconds = _seconds(given.pop(WAIT, _USUAL_WAIT)) if entry.kind == "following" else 0.0
        if entry.kind == "heavy":
            given["detach"] = True
        arguments = python_arguments(entry, (), given)
        self._refuse_far_paths(entry, arguments)
        if self.workspace is None and entry.needs_workspace:
            find_workspace()  # says what to do
        answer = call(entry, self.workspace, arguments)
        if entry.kind == "heavy":
            with answer:
                return facts(answer)
        if entry.kind == "following":
            with answer:
                return _waited(answer, seconds, caller)
        return _gathered(answer, caller) if entry.kind == "interactive" else dataclasses.asdict(answer)

    def _refuse_far_paths(self, entry: Operation, arguments: Mapping[str, Any]) -> None:
        """An assistant in a role names files of its own tree only."""
        if self.role is None:
            return
        near = self.tree.resolve()
        marks = {parameter.name: parameter.names_file for parameter in entry.parameters()}
        for name, value in arguments.items():
            mark = marks[name]
            for one in value if isinstance(value, list) else [value]:
                path = _file(one, mark)
                if mark is not None and mark.names_others and (path is not None or str(one).endswith(".json")):
                    raise UsageError(f"`{name}`: {one} may name other files, which a role may not. Store a prompt.")
                if path is not None and not path.expanduser().resolve().is_relative_to(near):
                    raise UsageError(f"`{name}`: {path} lies outside {near}, beyond which the role does not reach.")


def _file(value: Any, mark: NamesFile | None) -> Path | None:  # noqa: ANN401 - any argument
    """The file that an argument names, if it does."""
    if isinstance(value, str) and mark is not None:
        name = mark.split(value)[1]
        return Path(name) if leads_elsewhere(name) else None
    return value if isinstance(value, Path) else None


def is_offered(entry: Operation, role: Role | None) -> bool:
    """Whether an assistant in this role sees the operation."""
    return entry.for_assistants and (role is None or role.may_call(entry.name, reads=entry.effect == "reads"))


def _tool(entry: Operation) -> Tool:
    schema = {key: value for key, value in entry.request_schema().items() if key != "title"}
    properties = dict(schema.get("properties", {}))
    description = entry.description
    if entry.kind == "heavy":
        properties.pop("detach", None)
        description += _STARTED
    if entry.kind == "following":
        said = f"how long to wait, at most {_LONGEST_WAIT}"
        properties[WAIT] = {"type": "number", "default": _USUAL_WAIT, "description": said}
        description += _WAITED
    return Tool(
        name=entry.method,
        description=description,
        input_schema={"type": "object", "additionalProperties": False, **schema, "properties": properties},
        annotations=ToolAnnotations(
            title=f"treadle {entry.name.replace('.', ' ')}",
            read_only_hint=entry.effect == "reads",
            destructive_hint=entry.effect == "removes",
            open_world_hint=False,
        ),
    )


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= _LONGEST_WAIT:
        raise UsageError(f"`{WAIT}` must be a number between 0 and {_LONGEST_WAIT}, not {given!r}.")
    return float(given)


def _waited(job: QueuedJob, seconds: float, caller: Caller) -> dict[str, Any]:
    """Follow a job for some time: what came of it, or how it stands."""
    end = time.monotonic() + seconds
    last: dict[str, Any] | None = None
    for event in job.events():
        if event is not None:
            last = {"type": event.type, **event.data}
            caller.progress(event.data.get("message") or event.type)
        if (caller.gone() or time.monotonic() >= end) and (job.job.waiting or job.job.active):
            return {**facts(job), "ended": False, "last_event": last}
    return {**job.answer(), "ended": True}


def _gathered(events: Iterator[Event], caller: Caller) -> dict[str, Any]:
    """The result of an interactive operation; what it writes meanwhile goes out as progress."""
    result: dict[str, Any] = {}
    for event in events:
        if event.type == "text":
            caller.progress(str(event.data.get("text", "")))
        if event.type == "result":
            result = event.data
        if caller.gone():
            break
    return result


def _answer(value: dict[str, Any], *, is_error: bool = False) -> CallToolResult:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return CallToolResult(
        content=[TextContent(type="text", text=value["error"] if is_error else text)],
        structured_content=json.loads(text),
        is_error=is_error,
    )
