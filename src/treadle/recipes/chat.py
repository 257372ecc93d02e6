"""Chat: one text written in turns. Each message joins it, and the model goes on; the engine keeps what it has read."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean
from treadle.config.override_text import overrides_of
from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.config import GenerationSettings
from treadle.generation.token_bias import parse_bias
from treadle.jobs.engine_socket import stream_or
from treadle.recipes.catalog import INTERACTIVE
from treadle.recipes.opened_engine import find_sampling
from treadle.recipes.sample import stream
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from treadle.operations.generation import ChatPayload
    from treadle.recipes.opened_engine import FoundSampling
    from treadle.recipes.resident import ResidentEngines
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
    """Begin a chat; raises before the first message whatever is wrong with model, settings or biases."""
    found = find_sampling(workspace, payload.model, payload.checkpoint, payload.overrides)
    parse_bias(payload.logit_bias, tokenizer_from_description(found.checkpoint.record.tokenizer))
    return Chat(workspace, payload, found)


class Chat:
    """A conversation. Iterating says the messages of the request; a door that asks people calls `respond` instead.

    Each answer is a sample, asked from the workspace's engine process: its weights are the checkpoint's as it is then.
    """

    def __init__(self, workspace: WorkspaceFolder, payload: ChatPayload, found: FoundSampling) -> None:
        """Begin with an empty text."""
        self._workspace, self._payload, self._name = workspace, payload, found.card.name
        self._settings = found.settings
        self._before = self.text = ""  # the text before the last answer, and as it is
        self._turns: list[dict[str, Any]] = []
        self._answered = False
        self._engines: ResidentEngines | None = None  # of this process, where there can be no other

    def opening(self) -> str:
        """What people should know before they write the first word."""
        return OPENING.format(name=f"`{self._name}`")

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
        return {"model": self._name, "turns": self._turns, "text": self.text}

    def close(self) -> None:
        """Free what this process holds."""
        if self._engines is not None:
            self._engines.close()

    def _answer(self, prompt: str) -> Generator[Event, None, None]:
        with contextlib.closing(self._sampled(prompt)) as events:
            first = next(events)  # what is wrong with the message is raised here, and the text stays as it was
            self._before, self.text, self._answered = prompt, prompt, True
            for event in events if prompt else itertools.chain([first], events):  # a prompt comes back first
                if event.type == "text":
                    self.text += event.data["text"]
                    yield event
                else:
                    self._turns.append(event.data)
                    yield Event("turn", event.time, event.data)

    def _sampled(self, prompt: str) -> Generator[Event, None, None]:
        """The events of `sample` after this text."""
        request = {
            "model": self._payload.model,
            "prompt": prompt,
            "checkpoint": self._payload.checkpoint,
            "unknown": self._payload.unknown,
            "overrides": overrides_of("generation", self._settings.model_dump()),
            "logprobs": None,
            "logit_bias": self._payload.logit_bias,
        }
        return stream_or(self._workspace, "sample", request, lambda: self._sampled_here(request))

    def _sampled_here(self, request: dict[str, Any]) -> Iterator[Event]:
        from treadle.recipes.resident import ResidentEngines

        kind = INTERACTIVE.get("sample")
        if self._engines is None:
            self._engines = ResidentEngines()
        return stream(self._workspace, kind.validate(request), self._engines)

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
