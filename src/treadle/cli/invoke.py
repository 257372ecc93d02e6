"""Call an operation as its kind demands, and show what came of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from treadle.base.errors import UsageError
from treadle.cli.interrupts import Interrupts
from treadle.cli.parameters import collect
from treadle.jobs.executors.subprocess import RunFailedError
from treadle.store.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from treadle.jobs.executors.subprocess import SubprocessRun
    from treadle.operations.operation import Operation
    from treadle.telemetry.events import Event


def invoke(entry: Operation, values: dict[str, Any]) -> int:
    """Run one operation for the command line; returns the exit code."""
    arguments = collect(entry, values)
    if arguments.get("prompt") == "-":
        arguments["prompt"] = _standard_input()
    folder = find_workspace(values["workspace"]) if entry.needs_workspace else None
    answer = entry.function(*([] if folder is None else [folder]), **arguments)
    as_json = bool(values["as_json"])
    if entry.name == "chat":
        from treadle.cli.chat import converse

        return converse(answer, arguments["message"], as_json=as_json)
    if entry.kind == "interactive":
        return _stream(answer, arguments, as_json=as_json)
    value, code = _follow(answer, quiet=as_json) if entry.kind == "heavy" else (dataclasses.asdict(answer), None)
    if as_json:
        click.echo(to_json(value))
    else:
        from treadle.cli.reports import show_report

        show_report(entry.name, value, {**arguments, "root": None if folder is None else str(folder.root)})
    return code or (0 if value.get("ok", True) else 1)


def _standard_input() -> str:
    """The text on standard input, without the line end that editors and `echo` add."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"The prompt on standard input is not UTF-8 (byte {error.start}).") from error
    return text.removesuffix("\n").removesuffix("\r")


def _follow(run: SubprocessRun, *, quiet: bool) -> tuple[dict[str, Any], int | None]:
    """Show a run's progress until it ends; returns its answer, and an exit code if it was interrupted.

    The first Ctrl-C asks the run to stop and keep its work, the second ends it.
    """
    from treadle.cli.progress import progress_display

    with run, Interrupts() as interrupts, progress_display(quiet=quiet) as display:
        answered = 0
        for event in run.events():
            while answered < interrupts.number:
                answered += 1
                if answered == 1:
                    display.note("Stopping at the next step; what was learned is kept. Ctrl-C again ends it at once.")
                    run.stop()
                else:
                    run.kill()
            display.show(event)
        try:
            value = run.wait()
        except RunFailedError as error:
            if interrupts.number:
                raise _interrupted(error, killed=answered > 1) from error
            raise
    return value, 130 if interrupts.number else None


def _interrupted(error: RunFailedError, *, killed: bool) -> RunFailedError:
    message = (
        "Ended at once; what was kept before stays. The same command goes on from there." if killed else str(error)
    )
    return RunFailedError(message, 130, "Interrupted")


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


def to_json(value: Any) -> str:  # noqa: ANN401 - JSON is any tree of plain values
    """Readable JSON with stable keys."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
