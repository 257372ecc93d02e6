"""Chat: one text written in turns. Each message joins it, the model goes on, and the engine keeps what it has read."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean
from treadle.generation.config import GenerationSettings
from treadle.generation.generate import Burst, Completion, GenerationRequest, generate
from treadle.generation.token_bias import parse_bias
from treadle.recipes.opened_engine import open_sampling, result
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Generator

    from treadle.operations.generation import ChatPayload
    from treadle.recipes.opened_engine import OpenedSampling
    from treadle.store.workspace import WorkspaceFolder

_OF_THE_ENGINE: Final = frozenset({"engine", "precision", "int4_margin"})
"""Settings that need another engine: not while one is open."""
_OFF: Final = frozenset({"none", "off"})
_COMMANDS: Final = {
    "help": "this list",
    "settings": "all settings as they are",
    "reset": "forget the text and begin anew",
    "retry": "write the last answer again (another one, unless /seed is set)",
}
OPENING: Final = (
    "{name} continues text: it learned from what it was fed, not to follow instructions. What you write joins the "
    "text, and it goes on from there. /help lists the commands."
)


def open_chat(workspace: WorkspaceFolder, payload: ChatPayload) -> Chat:
    """Open the model; raises before the first message whatever is wrong with model or settings."""
    opened = open_sampling(workspace, payload.model, payload.checkpoint, payload.overrides)
    try:
        return Chat(opened, payload)
    except BaseException:
        opened.engine.close()
        raise


class Chat:
    """A conversation. Iterating says the messages of the request; a door that asks people calls `respond` instead."""

    def __init__(self, opened: OpenedSampling, payload: ChatPayload) -> None:
        """Begin with an empty text."""
        self._opened, self._payload = opened, payload
        self._bias = parse_bias(payload.logit_bias, opened.tokenizer)
        self._settings = opened.settings
        self._before = self.text = ""  # the text before the last answer, and as it is
        self._turns: list[dict[str, Any]] = []
        self._answered = False

    def opening(self) -> str:
        """What people should know before they write the first word."""
        return OPENING.format(name=f"`{self._opened.card.name}`")

    def __iter__(self) -> Generator[Event, None, None]:
        """Say the messages one after the other; then one `result` with all turns."""
        with contextlib.closing(self):
            if not self._payload.messages:
                raise UsageError("Give at least one message, or chat line by line: treadle chat NAME")
            for message in self._payload.messages:
                yield from self.respond(message)
            yield Event("result", time.time(), self.summary())

    def respond(self, line: str) -> Generator[Event, None, None]:
        """Answer a message with `text` events and a `turn`, a command with a `note`.

        Closed early, it keeps what it gave. Raises `TreadleError`s after which the conversation can go on.
        """
        if line.startswith("/"):
            yield from self._command(line[1:])
        else:
            joint = "\n" if self.text and line and not self.text.endswith("\n") else ""
            yield from self._answer(self.text + joint + line)

    def summary(self) -> dict[str, Any]:
        """All turns, and the text as it is."""
        return {"model": self._opened.card.name, "turns": self._turns, "text": self.text}

    def close(self) -> None:
        """Free the engine."""
        self._opened.engine.close()

    def _answer(self, prompt: str) -> Generator[Event, None, None]:
        request = GenerationRequest(prompt, self._settings, self._payload.unknown, self._bias)
        said: list[str] = []
        with contextlib.closing(generate(self._opened.engine, self._opened.tokenizer, [request])) as events:
            self._before, self.text, self._answered = prompt, prompt, True
            for event in events:
                if isinstance(event, Burst):
                    said.append(event.text)
                    self.text = prompt + "".join(said)
                    yield Event("text", time.time(), {"text": event.text})
                else:
                    yield Event("turn", time.time(), self._turn(event, request))

    def _turn(self, done: Completion, request: GenerationRequest) -> dict[str, Any]:
        turn = result(done, request, self._opened)
        self._turns.append(turn)
        return turn

    def _command(self, line: str) -> Generator[Event, None, None]:
        name, _, value = line.partition(" ")
        name, value = name.strip().replace("-", "_"), value.strip()
        fields = GenerationSettings.model_fields.keys() - _OF_THE_ENGINE
        if name in fields:
            yield _note(self._set(name, value))
        elif name == "retry":
            if not self._answered:
                raise UsageError("There is no answer yet that could be written again.")
            yield from self._answer(self._before)
        elif name == "reset":
            self._before = self.text = ""
            self._answered = False
            yield _note("A new text begins.")
        elif name == "settings":
            yield _note("\n".join(self._shown(field) for field in GenerationSettings.model_fields))
        elif name == "help":
            yield _note(_help(fields))
        else:
            known = [*_COMMANDS, *sorted(fields)]
            raise UsageError(f"There is no command `/{name}`.{did_you_mean(name, known)} /help lists them.")

    def _set(self, name: str, value: str) -> str:
        if not value:
            return self._shown(name)
        given: Any = None if value in _OFF else value
        if name == "stop":
            given = () if value in _OFF else (*self._settings.stop, value.encode().decode("unicode_escape"))
        self._settings = _changed(self._settings, name, given)
        return self._shown(name)

    def _shown(self, name: str) -> str:
        return f"{name.replace('_', '-')} {getattr(self._settings, name)!r}"


def _changed(settings: GenerationSettings, name: str, value: Any) -> GenerationSettings:  # noqa: ANN401 - what was typed
    from pydantic import ValidationError

    try:
        return GenerationSettings.model_validate({**settings.model_dump(), name: value})
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise UsageError(f"/{name.replace('_', '-')}: {said[:1].lower()}{said[1:]}, not `{value}`.") from error


def _help(fields: set[str]) -> str:
    settings = {
        f"/{name.replace('_', '-')} VALUE": field.description or ""
        for name, field in GenerationSettings.model_fields.items()
        if name in fields
    }
    rows = {**{f"/{name}": text for name, text in _COMMANDS.items()}, **settings}
    width = max(map(len, rows)) + 2
    return "\n".join(f"{name:<{width}}{text}" for name, text in rows.items())


def _note(message: str) -> Event:
    return Event("note", time.time(), {"message": message})
