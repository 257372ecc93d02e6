"""Call an operation as its kind demands, and show what came of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from treadle.cli.parameters import collect
from treadle.store.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.jobs.executors.subprocess import SubprocessRun
    from treadle.operations.operation import Operation
    from treadle.telemetry.events import Event


def invoke(entry: Operation, values: dict[str, Any]) -> int:
    """Run one operation for the command line; returns the exit code."""
    arguments = collect(entry, values)
    positional = [find_workspace(values["workspace"])] if entry.needs_workspace else []
    answer = entry.function(*positional, **arguments)
    as_json = bool(values["as_json"])
    if entry.kind == "heavy":
        return _follow(entry, answer, as_json=as_json)
    if entry.kind == "interactive":
        return _stream(answer, as_json=as_json)
    return _answer(entry, answer, arguments, as_json=as_json)


def _answer(entry: Operation, answer: Any, arguments: dict[str, Any], *, as_json: bool) -> int:  # noqa: ANN401
    value = dataclasses.asdict(answer)
    if as_json:
        click.echo(to_json(value))
    else:
        from treadle.cli.reports import show_report

        show_report(entry.name, value, arguments)
    return 0 if value.get("ok", True) else 1


def _follow(entry: Operation, run: SubprocessRun, *, as_json: bool) -> int:
    """Show a run's progress until it ends. The first Ctrl-C asks it to stop and keep its work, the second ends it."""
    from treadle.cli.progress import progress_display

    interrupts = 0
    display = progress_display(quiet=as_json)
    with display:
        while True:
            try:
                for event in run.events():
                    display.show(event)
                break
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts == 1:
                    display.note("Stopping at the next step; what was learned is kept. Ctrl-C again ends it at once.")
                    run.stop()
                else:
                    run.kill()
    value = run.wait()
    if as_json:
        click.echo(to_json(value))
    else:
        from treadle.cli.reports import show_report

        show_report(entry.name, value, {})
    if interrupts:
        return 130
    return 0 if value.get("ok", True) else 1


def _stream(events: Iterator[Event], *, as_json: bool) -> int:
    """Print text as it is made; with JSON only the final result."""
    for event in events:
        if as_json:
            if event.type == "result":
                click.echo(to_json(event.data))
        elif event.type == "text":
            click.echo(event.data["text"], nl=False)
            sys.stdout.flush()
        elif event.type == "result":
            click.echo()
        elif event.type == "note":
            click.echo(event.data["message"], err=True)
    return 0


def to_json(value: Any) -> str:  # noqa: ANN401 - JSON is any tree of plain values
    """Readable JSON with stable keys."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
