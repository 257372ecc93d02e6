"""The shapes of answers: whole ones, chunks of streams, usage, log-probabilities, errors."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from treadle.generation.generate import Alternatives
    from treadle.generation.scheduler import Finished
    from treadle.generation.serving.served import ServedModel

Kind = Literal["completion", "chat"]
_REASONS: Final = {"length": "length", "stop": "stop", "boundary": "stop"}
DONE: Final = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Choice:
    """One text of an answer, as far as it has come."""

    index: int
    prompt: int
    """Index of the prompt that it goes on from."""
    echo: str = ""
    text: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    likely: list[Alternatives] = field(default_factory=list)
    finished: Finished | None = None
    offset: int = 0
    """Where in the text the next token begins."""
    told: bool = False
    """Whether there was a chunk of it."""

    def take(self) -> tuple[str, dict[str, Any]]:
        """What came since the last call, as text and as the parts of log-probabilities."""
        text, parts = self.echo + "".join(self.text), {"ids": self.ids, "logs": self.logs, "likely": self.likely}
        self.echo, self.text, self.ids, self.logs, self.likely = "", [], [], [], []
        return text, parts

    @property
    def worth_telling(self) -> bool:
        """Whether there is more than half a character that has come since the last call."""
        return bool(self.echo or self.logs or self.finished is not None or any(self.text))

    @property
    def reason(self) -> str | None:
        """Why it ended, in OpenAI's words; None while it goes on."""
        return None if self.finished is None else _REASONS[self.finished.completion.reason]


class Answer:
    """What is the same in all parts of one answer, and how its parts look."""

    def __init__(self, kind: Kind, model: ServedModel, *, logs: bool, usage_in_stream: bool) -> None:
        """Begin the answer of `model`."""
        self._kind, self._tokenizer, self._logs = kind, model.tokenizer, logs
        self._usage_in_stream = usage_in_stream
        prefix, self._object = (
            ("cmpl-", "text_completion") if kind == "completion" else ("chatcmpl-", "chat.completion")
        )
        self._head = {
            "id": prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model.name,
            "system_fingerprint": model.fingerprint,
        }
        self._words: dict[
            int, tuple[str, list[int]]
        ] = {}  # tokens as they are told: the same ones come again and again
        self._note = model.chat.note if kind == "chat" else None

    def whole(self, choices: Sequence[Choice]) -> bytes:
        """The answer to a request without a stream."""
        shown = [self._choice(one, whole=True) for one in choices]
        note = {"note": self._note} if self._note else {}
        body = {**self._head, "object": self._object, "choices": shown, "usage": usage(choices), **note}
        return json.dumps(body, ensure_ascii=False).encode()

    def chunk(self, choice: Choice) -> bytes:
        """What came of one text since its last chunk."""
        return self._chunk([self._choice(choice, whole=False)], None)

    def last(self, choices: Sequence[Choice]) -> bytes:
        """The end of a stream, with the usage where it was asked for."""
        return (self._chunk([], usage(choices)) if self._usage_in_stream else b"") + DONE

    def _chunk(self, choices: list[dict[str, Any]], spent: dict[str, Any] | None) -> bytes:
        kind = self._object if self._kind == "completion" else "chat.completion.chunk"
        body: dict[str, Any] = {**self._head, "object": kind, "choices": choices}
        if self._usage_in_stream:
            body["usage"] = spent
        return event(body)

    def _choice(self, choice: Choice, *, whole: bool) -> dict[str, Any]:
        first, choice.told = not choice.told, True
        text, parts = choice.take()
        shown: dict[str, Any] = {"index": choice.index, "finish_reason": choice.reason, "logprobs": None}
        if self._kind == "completion":
            shown["text"] = text
            if self._logs:
                shown["logprobs"] = self._legacy_logs(choice, parts)
        else:
            said = {"role": "assistant", "content": text} if first or whole else {"content": text}
            shown["message" if whole else "delta"] = {**said, "refusal": None} if whole else said
            if self._logs:
                shown["logprobs"] = {"content": list(self._told_logs(parts)), "refusal": None}
        return shown

    def _told_logs(self, parts: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        likely = parts["likely"] or [()] * len(parts["ids"])
        for id_, log, others in zip(parts["ids"], parts["logs"], likely, strict=True):
            yield {**self._log(id_, log), "top_logprobs": [self._log(other, one) for other, one in others]}

    def _log(self, id_: int, log: float) -> dict[str, Any]:
        if id_ not in self._words:
            self._words[id_] = self._tokenizer.decode([id_]), list(self._tokenizer.token_bytes(id_))
        token, its_bytes = self._words[id_]
        return {"token": token, "logprob": log, "bytes": its_bytes, "id": id_}

    def _legacy_logs(self, choice: Choice, parts: Mapping[str, Any]) -> dict[str, Any]:
        logs = list(self._told_logs(parts))
        offsets = []
        for one in logs:
            offsets.append(choice.offset)
            choice.offset += len(one["token"])
        return {
            "tokens": [one["token"] for one in logs],
            "token_logprobs": [one["logprob"] for one in logs],
            "top_logprobs": [{top["token"]: top["logprob"] for top in one["top_logprobs"]} for one in logs],
            "text_offset": offsets,
        }


def usage(choices: Sequence[Choice]) -> dict[str, Any]:
    """What an answer cost, exactly: each prompt counts once, every token that was written counts.

    `slid_tokens` had left the model's window when their text ended, `unread_prompt_tokens` were never in it.
    """
    ended = {choice.index: choice.finished for choice in choices if choice.finished is not None}
    prompts: dict[int, Finished] = {}
    for choice in choices:
        if choice.index in ended:
            prompts.setdefault(choice.prompt, ended[choice.index])
    read = sum(len(one.completion.prompt_ids) for one in prompts.values())
    written = sum(len(one.completion.ids) for one in ended.values())
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": sum(one.cached for one in prompts.values())},
        "slid_tokens": sum(one.slid for one in ended.values()),
        "unread_prompt_tokens": sum(one.completion.unread for one in prompts.values()),
    }


def event(body: Mapping[str, Any]) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
