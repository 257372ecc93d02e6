"""From notes and runs to resources. What a role must read comes first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_types import Annotations, ReadResourceResult, Resource, ResourceTemplate, TextResourceContents

from treadle.base.errors import NotFoundError, TreadleError
from treadle.flow.folder import FlowFolder, find_flow
from treadle.jobs.runs import RunFolder, find_run
from treadle.telemetry.events import read_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.flow.roles import Role
    from treadle.store.workspace import WorkspaceFolder

SCHEME = "treadle://"
_MARKDOWN, _JSON = "text/markdown", "application/json"
_MOST_RUNS = 50
_LAST_EVENTS = 50
_LONGEST = 16_000


@dataclass(frozen=True, slots=True)
class Library:
    """The documents of one tree: `must_read` first, then guidelines, tasks, runs, and the other notes."""

    workspace: WorkspaceFolder | None
    role: Role | None
    tree: Path
    """Where the paths of `must_read` begin."""

    def resources(self) -> list[Resource]:
        """What can be read, in the order in which it should be."""
        found = [
            _resource(f"must-read/{path}", path, "Read this before anything else.", 1.0) for path in self._required()
        ]
        flow = self._flow()
        if flow is not None:
            if flow.guidelines.is_file():
                found.append(_resource("guidelines", "guidelines", "How this project works.", 0.9))
            found.append(_resource("tasks", "tasks", "The working memory: tasks and the log.", 0.8))
        if self.workspace is not None:
            found.append(_resource("runs", "runs", f"The last {_MOST_RUNS} runs and how they ended.", 0.5, _JSON))
        if flow is not None:
            notes = (flow.shown(path) for path in flow.markdown())
            found += [_resource(f"notes/{path}", path, "A page of the notes.", 0.3) for path in notes]
        return found

    def templates(self) -> list[ResourceTemplate]:
        """Addresses with a part to fill in."""
        said = "One run: what was asked, its settings, its last events, how it ended."
        return [
            ResourceTemplate(name="run", uri_template=f"{SCHEME}runs/{{id}}", description=said, mime_type=_JSON),
            ResourceTemplate(
                name="note",
                uri_template=f"{SCHEME}notes/{{+path}}",
                description="A page of the notes.",
                mime_type=_MARKDOWN,
            ),
        ]

    def read(self, uri: str) -> ReadResourceResult:
        """The text behind an address; raises `NotFoundError`."""
        kind, _, rest = uri.removeprefix(SCHEME).partition("/")
        if not uri.startswith(SCHEME):
            raise NotFoundError(f"No resource {uri}; addresses begin with {SCHEME}.")
        mime, text = _MARKDOWN, ""
        if kind == "must-read" and rest in self._required():
            text = _text(self.tree / rest)
        elif kind in {"guidelines", "tasks", "notes"}:
            text = _text(self._note(kind, rest))
        elif kind == "runs" and self.workspace is not None:
            mime = _JSON
            value = _run(find_run(self.workspace, rest)) if rest else list(self._runs())
            text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
        else:
            raise NotFoundError(f"No resource {uri}; resources/list names those there are.")
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=mime, text=text)])

    def instructions(self) -> str:
        """What an assistant is told when it connects: its role, and the whole text of what it must read."""
        parts = ["Treadle: a local-first workshop for generative models. Tools are Treadle's operations."]
        if self.role is not None:
            limits = "You may read only." if self.role.read_only else ""
            parts.append(f"Your role is `{self.role.name}`. {self.role.purpose} {limits}".strip())
        for path in self._required():
            text = _text(self.tree / path)
            cut = "" if len(text) <= _LONGEST else f"\n[cut; the whole is in {SCHEME}must-read/{path}]"
            parts.append(f"Read first, {path}:\n{text[:_LONGEST]}{cut}")
        return "\n\n".join(parts)

    def _required(self) -> list[str]:
        if self.role is None:
            return []
        return [path for path in self.role.must_read if (self.tree / path).is_file()]

    def _flow(self) -> FlowFolder | None:
        try:
            return find_flow(None, None if self.workspace is None else self.workspace.root, self.tree)
        except NotFoundError:
            return None

    def _note(self, kind: str, path: str) -> Path:
        flow = self._flow()
        if flow is None:
            raise NotFoundError("There are no notes here. Make them with `treadle flow init`.")
        if kind == "guidelines":
            return flow.guidelines
        if kind == "tasks":
            return flow.tasks_file
        if path not in {flow.shown(page) for page in flow.markdown()}:
            raise NotFoundError(f"The notes have no page {path}.")
        if not (flow.root / path).resolve().is_relative_to(flow.root.resolve()):
            raise NotFoundError(f"{path} is a link that leads out of the notes.")
        return flow.root / path

    def _runs(self) -> Iterator[dict[str, Any]]:
        """The last runs, newest first; ids sort by the time they were made."""
        if self.workspace is None:
            return
        folders = sorted((path for path in self.workspace.runs.glob("r-*")), reverse=True)[:_MOST_RUNS]
        for path in folders:
            run = RunFolder(path)
            try:
                result = run.result() or {}
                outcome = result.get("outcome", "running" if run.process_lives() else "unknown")
                yield {"id": run.id, "kind": run.spec()["kind"], "outcome": outcome, "error": result.get("error")}
            except TreadleError as error:
                yield {"id": run.id, "kind": None, "outcome": "damaged", "error": str(error)}


def _resource(path: str, name: str, said: str, priority: float, mime: str = _MARKDOWN) -> Resource:
    return Resource(
        uri=f"{SCHEME}{path}", name=name, description=said, mime_type=mime, annotations=Annotations(priority=priority)
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}.") from error


def _run(run: RunFolder) -> dict[str, Any]:
    events = [{"type": event.type, "time": event.time, **event.data} for event in read_events(run.events)]
    return {"id": run.id, **run.spec(), "result": run.result(), "events": events[-_LAST_EVENTS:]}
