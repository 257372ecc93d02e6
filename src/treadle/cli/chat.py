"""Chat on the terminal, with a history of what was typed; or line by line where the input is a file or a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from treadle.base.errors import TreadleError, UsageError
from treadle.base.files import write_text
from treadle.cli.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from typing import Any

    from treadle.telemetry.events import Event

_HISTORY_LINES = 1000
_LEAVE = frozenset({"/quit", "/exit", "/bye"})
_MORE_HELP = (
    "/save FILE  write the text into a file\n/quit       end the chat, like Ctrl-D; Ctrl-C stops an answer\n"
    "A line that ends in \\ goes on in the next one."
)


class Conversation(Protocol):
    """What a chat operation gives."""

    text: str

    def opening(self) -> str: ...
    def respond(self, line: str) -> Generator[Event, None, None]: ...
    def summary(self) -> dict[str, Any]: ...
    def close(self) -> None: ...


def converse(chat: Conversation, messages: Sequence[str], *, as_json: bool) -> int:
    """Say the messages, or else chat until the input ends.

    Returns the exit code: 1 if a message could not be answered, except where a person saw that and could say another.
    """
    with contextlib.closing(chat):
        terminal = not messages and sys.stdin.isatty() and not as_json
        if terminal:
            click.echo(chat.opening(), err=True)
        failed = False
        for line in messages or (_typed() if terminal else _read()):
            try:
                _say(chat, line, as_json=as_json)
            except TreadleError as error:
                failed = True
                click.echo(str(error), err=True)
        if as_json:
            from treadle.cli.json_text import to_json

            click.echo(to_json(chat.summary()))
    return 1 if failed and not terminal else 0


def _say(chat: Conversation, line: str, *, as_json: bool) -> None:
    if line.startswith("/save"):
        click.echo(_save(chat, line.removeprefix("/save").strip()), err=True)
        return
    last = "\n"
    with Interrupts() as interrupts, contextlib.closing(chat.respond(line)) as events:
        for event in events:
            if event.type == "note":
                click.echo(event.data["message"], err=True)
            elif event.type == "text" and not as_json:
                last = event.data["text"][-1:] or last
                click.echo(event.data["text"], nl=False)
                sys.stdout.flush()
            elif event.type == "turn":
                last = "" if not as_json else "\n"
            if interrupts.number:
                break
    if last != "\n":
        click.echo()
    if line == "/help":
        click.echo(_MORE_HELP, err=True)


def _save(chat: Conversation, name: str) -> str:
    if not name:
        raise UsageError("Say where: /save FILE")
    path = Path(name).expanduser()
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Say into which file: /save {path / 'chat.txt'}")
    write_text(path, chat.text)
    return f"Saved {len(chat.text):,} characters to {path}."


def _read() -> Iterator[str]:
    """The lines of standard input, until it ends or one says so."""
    try:
        for line in _joined(iter(sys.stdin)):
            if line in _LEAVE:
                return
            if line:
                yield line
    except UnicodeDecodeError as error:
        raise UsageError(f"Standard input is not UTF-8 (byte {error.start}).") from error


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Lines without their ends; one that ends in a backslash goes on in the next."""
    for line in lines:
        whole = line.removesuffix("\n").removesuffix("\r")
        while whole.endswith("\\"):
            whole = whole[:-1] + "\n" + next(lines, "").removesuffix("\n").removesuffix("\r")
        yield whole


def _typed() -> Iterator[str]:
    """Lines as people type them; Ctrl-C empties the line, Ctrl-D ends."""
    with _history():
        for line in _joined(iter(_ask, None)):
            if line in _LEAVE:
                return
            if line:
                yield line


def _ask() -> str | None:
    while True:
        try:
            return input("> ") + "\n"
        except EOFError:
            click.echo(err=True)
            return None
        except KeyboardInterrupt:
            click.echo("\nCtrl-D or /quit ends the chat.", err=True)


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """What was typed before comes back with the arrow keys, where this Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = history_file()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # it holds what a person said
            readline.write_history_file(path)


def history_file() -> Path:
    """Where typed lines are kept: under XDG_STATE_HOME, else ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "treadle" / "chat_history"
