"""Call an operation as its kind demands, and show what came of it."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from treadle.base.errors import NotFoundError, UsageError
from treadle.cli.interrupts import Interrupts
from treadle.cli.json_text import to_json
from treadle.cli.parameters import collect
from treadle.cli.places import place_flag
from treadle.jobs.handle import RunFailedError
from treadle.operations.heavy import call, facts
from treadle.registry.catalogue import load
from treadle.store.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from treadle.jobs.handle import QueuedJob
    from treadle.operations.operation import Operation
    from treadle.store.workspace import WorkspaceFolder
    from treadle.telemetry.events import Event


_STOPPED = 130
"""Exit code when somebody stopped the work, or stopped waiting for it."""
_FROM_STANDARD_INPUT = ("prompt", "password")
"""Parameters that `-` stands for standard input in."""
_ASKING = {"prompt.wizard": "treadle.cli.wizard:ask_template", "host.add": "treadle.cli.wizard:ask_key"}
"""Operations that ask at a terminal for what their arguments lack."""


def invoke(entry: Operation, values: dict[str, Any]) -> int:
    """Run one operation for the command line; returns the exit code."""
    arguments = collect(entry, values)
    if os.environ.get("TREADLE_ROLE"):  # set by the guard
        load("treadle.flow.roles:refuse_operation")(entry.name, reads=entry.effect_of(arguments) == "reads")
    for name in _FROM_STANDARD_INPUT:
        if arguments.get(name) == "-":
            arguments[name] = _standard_input()
    folder = _workspace(entry, values)
    as_json = bool(values["as_json"])
    if entry.name in _ASKING and not as_json and sys.stdin.isatty():
        load(_ASKING[entry.name])(arguments)
    answer = call(entry, folder, arguments)
    if entry.name == "chat":
        from treadle.cli.chat import converse

        return converse(answer, arguments["message"], as_json=as_json)
    if entry.kind == "interactive":
        return _stream(answer, arguments, as_json=as_json)
    view = entry.name
    if entry.kind in {"heavy", "following"}:
        value = _followed(answer, arguments, quiet=as_json)
        view = _view_of(entry, answer, detached=value.get("detached", False))
    else:
        value = dataclasses.asdict(answer)
    if as_json:
        click.echo(to_json(value))
    else:
        from treadle.cli.reports import show_report

        show_report(view, value, {**arguments, "root": None if folder is None else str(folder.root)})
    if value.get("outcome") == "stopped":
        return _STOPPED
    return int(value.get("exit_code", 0 if value.get("ok", True) else 1))


def _workspace(entry: Operation, values: dict[str, Any]) -> WorkspaceFolder | None:
    """The workspace, which an operation may do without if none is named and none is found."""
    if not entry.takes_workspace:
        return None
    try:
        return find_workspace(values["workspace"])
    except NotFoundError:
        if entry.needs_workspace or values["workspace"] is not None:
            raise
        return None


def _view_of(entry: Operation, job: QueuedJob, *, detached: bool) -> str:
    """Name of the view: what came of a job that is followed looks as it does after the command that queued it."""
    if detached:
        return "detached"
    return entry.name if entry.kind == "heavy" else job.job.kind


def _standard_input() -> str:
    """The text on standard input, without the line end that editors and `echo` add."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"The prompt on standard input is not UTF-8 (byte {error.start}).") from error
    return text.removesuffix("\n").removesuffix("\r")


def _followed(job: QueuedJob, arguments: Mapping[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Show a job's progress until it ends; returns its answer. Ctrl-C leaves it running and says how to come back."""
    from treadle.cli.progress import progress_display

    with job:
        if arguments.get("detach"):
            return facts(job)
        with Interrupts() as interrupts, progress_display(quiet=quiet) as display:
            for event in job.events():
                if interrupts.number:
                    job.ensure_worker()
                    raise RunFailedError(_how_to_come_back(job), _STOPPED, "Interrupted")
                display.show(event)
        return job.answer()


def _how_to_come_back(job: QueuedJob) -> str:
    place = place_flag(str(job.workspace.root))
    command = os.environ.get("TREADLE_COMMAND", "treadle")
    state = "goes on in the background" if job.job.active else "stays in its queue"
    return (
        f"Job {job.id} {state}; nothing is lost.\n"
        f"  come back to it   {command} jobs follow {job.id}{place}\n"
        f"  stop it           {command} jobs stop {job.id}{place}"
    )


def _stream(events: Iterator[Event], arguments: dict[str, Any], *, as_json: bool) -> int:
    """Print text as it is made; with JSON only the final result. Notes wait until the text has ended."""
    notes: list[str] = []
    for event in events:
        if as_json:
            if event.type == "result":
                click.echo(to_json(event.data))
        elif event.type == "text":
            click.echo(event.data["text"], nl=False)
            sys.stdout.flush()
        elif event.type == "result":
            click.echo()
            notes += _notes_on(event.data, arguments)
        elif event.type == "note":
            notes.append(event.data["message"])
    for note in notes:
        click.echo(note, err=True)
    return 0


def _notes_on(result: dict[str, Any], arguments: dict[str, Any]) -> Iterator[str]:
    """What a sample should say of itself: what of the prompt it did not read, and how to make it again."""
    if result["unread"]:
        number = f"{result['unread']:,}"
        yield f"The first {number} tokens of the prompt did not fit into the model's window and were not read."
    yield from map(_log_probability, result.get("logprobs", ()))
    if arguments["settings"].get("seed") is None:
        engine = f"{result['engine']} {result['precision']}"
        yield f"seed {result['seed']}, checkpoint step {result['checkpoint']:,}, engine {engine}"


def _log_probability(token: Mapping[str, Any]) -> str:
    others = ", ".join(f"{one['token']!r} {one['logprob']:.2f}" for one in token["top"])
    return f"{token['logprob']:8.2f}  {token['token']!r:<10}{'  likeliest: ' if others else ''}{others}"
