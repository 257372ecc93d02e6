"""What clients may ask: closed shapes of the bodies, and from them the settings of generation.

Fields are those of OpenAI's API and some more. What a request leaves open comes from the model's own settings of
generation. A field that would change the answer and is not supported is refused by name, never ignored.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from treadle.base.names import did_you_mean
from treadle.generation.config import GREATEST_SEED, GenerationSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TOKENS: Final = 65_536
"""Most that one text may be asked for."""
MOST_CHOICES: Final = 64
"""Most texts of one request: prompts times `n`."""
MOST_LIKELY: Final = 20
"""Most alternatives told beside each token."""
_MOST_LOGS: Final = 2**18
"""Most log-probabilities of one text, with those of alternatives."""
_MOST_STOPS: Final = 16
_MOST_MESSAGES: Final = 10_000
_MOST_PROBLEM: Final = 200

TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
Prompt = str | Annotated[list[TokenId], Field(min_length=1)]
_Shape = TypeVar("_Shape", bound="_Body")


class BadRequestError(Exception):
    """A request that cannot be carried out as it is; the message says why, `param` where."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Harmless(_Body):
    """Fields that other servers use for their own book-keeping: accepted, without any effect on the answer."""

    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class StreamOptions(_Body):
    """What a stream tells besides its text."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class _Generating(_Harmless):
    """What both kinds of text have in common; the extensions are the last five."""

    model: str = Field(min_length=1, max_length=200)
    temperature: float | None = Field(None, ge=0, le=100)
    top_p: float | None = Field(None, gt=0, le=1)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(None, max_length=4096)
    seed: int | None = Field(None, ge=0, le=GREATEST_SEED)
    stop: str | list[str] | None = None
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.1, le=10)
    truncate: bool = False
    unknown: Literal["error", "skip"] = "error"

    @field_validator("stop")
    @classmethod
    def _stops(cls, value: str | list[str] | None) -> list[str]:
        stops = [value] if isinstance(value, str) else value or []
        if len(stops) > _MOST_STOPS or any(not 0 < len(one) <= 1000 for one in stops):
            raise ValueError(f"give at most {_MOST_STOPS} texts of 1 to 1,000 characters")
        return stops

    @field_validator("n", "stream", "truncate", "unknown", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: Any, info: Any) -> Any:  # noqa: ANN401 - any JSON value
        return cls.model_fields[info.field_name].default if value is None else value

    @property
    def usage_in_stream(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def bias(self) -> dict[int, float]:
        """Biases by token id; raises `BadRequestError` for a key that is no id."""
        found = {}
        for key, value in (self.logit_bias or {}).items():
            if not (key.isascii() and key.isdecimal() and len(key) < 10):
                raise BadRequestError(f"`{_short(key)}` in logit_bias is no token id.", "logit_bias")
            found[int(key)] = value
        return found

    def settings(self, base: GenerationSettings, tokens: int | None, logs: int | None) -> GenerationSettings:
        """The model's settings with what the request changes; the server has chosen engine and precision.

        Raises `BadRequestError` for more log-probabilities than one answer may have.
        """
        if logs is not None and (tokens or base.tokens) * (1 + logs) > _MOST_LOGS:
            raise BadRequestError(
                f"{tokens or base.tokens:,} tokens with {logs} alternatives each are more than {_MOST_LOGS:,} "
                "log-probabilities. Ask for fewer.",
                "logprobs",
            )
        given: dict[str, Any] = {
            name: value
            for name in ("temperature", "top_p", "top_k", "min_p", *_PENALTIES, "seed")
            if (value := getattr(self, name)) is not None
        }
        if tokens is not None:
            given["tokens"] = tokens
        if self.stop:
            given["stop"] = tuple(self.stop)
        return GenerationSettings.model_validate({**base.model_dump(), **given, "engine": "auto", "precision": "auto"})


_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")


class CompletionBody(_Generating):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[TokenId] | list[Annotated[list[TokenId], Field(min_length=1)]] = ""
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    logprobs: int | None = Field(None, ge=0, le=MOST_LIKELY)
    echo: bool = False
    best_of: int | None = None

    @field_validator("echo", mode="before")
    @classmethod
    def _null_is_no(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        return False if value is None else value

    def prompts(self) -> Sequence[Prompt]:
        """The prompts one by one, each with `n` texts to write."""
        if self.best_of not in {None, self.n}:
            raise BadRequestError(
                "best_of must be left out or equal n: all texts that are written are given.", "best_of"
            )
        if self.echo and self.logprobs is not None:
            raise BadRequestError("logprobs of the prompt are not told: leave out echo or logprobs.", "echo")
        if isinstance(self.prompt, str):
            return [self.prompt]
        if not self.prompt or isinstance(self.prompt[0], int):
            return [self.prompt] if self.prompt else [""]  # type: ignore[list-item]  # a list of ids
        return self.prompt


class TextPart(_Body):
    """One part of a message."""

    type: Literal["text"]
    text: str


class Message(_Body):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def text(self) -> str:
        """What was said."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatBody(_Generating):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1, max_length=_MOST_MESSAGES)
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LIKELY)

    def tokens(self) -> int | None:
        """Most tokens to write, under its newer or older name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class EmbeddingBody(_Harmless):
    """`POST /v1/embeddings`."""

    model: str = Field(min_length=1, max_length=200)
    input: str | list[str] | list[TokenId] | list[Annotated[list[TokenId], Field(min_length=1)]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    truncate: bool = False

    def texts(self) -> Sequence[Prompt]:
        """The texts one by one."""
        if isinstance(self.input, str):
            return [self.input]
        if not self.input:
            raise BadRequestError("input is empty; give a text or a list of texts.", "input")
        if len(self.input) > MOST_CHOICES * 32 and not isinstance(self.input[0], int):
            raise BadRequestError(f"Give at most {MOST_CHOICES * 32:,} texts at a time.", "input")
        return [self.input] if isinstance(self.input[0], int) else self.input


def parse(shape: type[_Shape], body: bytes) -> _Shape:
    """Read a body as `shape`; raises `BadRequestError` that names the first thing that is wrong with it."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
        if b"\\ud" in body.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half a character of JSON's own escapes is no text
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is not JSON in UTF-8 ({_short(str(error))}).") from error
    if not isinstance(value, dict):
        raise BadRequestError("The body must be a JSON object.")
    unknown = next((name for name in value if name not in shape.model_fields), None)
    if unknown is not None:
        hint = _REFUSED.get(unknown) or did_you_mean(unknown[:100], shape.model_fields)
        raise BadRequestError(f"There is no support for `{_short(unknown)}`.{hint}", _short(unknown))
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = min(error.errors(include_url=False, include_context=False), key=lambda one: len(one["loc"]))
        place = ".".join(str(part) for part in first["loc"] if not _is_branch(part))
        message = first["msg"].removeprefix("Value error, ")
        raise BadRequestError(f"{_short(place) or 'The body'}: {message}.", _short(place) or None) from error
    except RecursionError as error:
        raise BadRequestError("The body is nested too deeply.") from error


_REFUSED: Final = {
    "tools": " These models continue text; they call no tools.",
    "functions": " These models continue text; they call no functions.",
    "response_format": " The form of the answer cannot be forced; use `stop`.",
    "suffix": " Text is continued, not filled in.",
}


def _is_branch(part: int | str) -> bool:
    """Whether a part of an error's place is pydantic's name for a branch of a union, not the client's field."""
    return isinstance(part, str) and (part in {"str", "int"} or "[" in part)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _short(text: str) -> str:
    shown = text if len(text) <= _MOST_PROBLEM else text[:_MOST_PROBLEM] + "..."
    return shown.encode("utf-8", "replace").decode()
