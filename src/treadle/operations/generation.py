"""Operations that generate: sample, chat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.config.override_text import overrides_of
from treadle.jobs.engine_socket import stream_or
from treadle.operations.operation import SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OVERRIDES = "settings of generation as key=value"
_CHECKPOINT = "checkpoint: best, latest, or a step number"
_UNKNOWN = "what to do with characters of the prompt that the vocabulary lacks"
_BIAS = "TOKEN=VALUE: add VALUE to the logit of TOKEN (a text that is one token, or #ID), e.g. e=-5; may be repeated"
MOST_ALTERNATIVES = 100


@dataclass(frozen=True, slots=True)
class SamplePayload:
    """What to continue, with which weights and settings."""

    model: str
    """Id of the model."""
    prompt: str
    checkpoint: str
    unknown: Literal["error", "skip"]
    overrides: tuple[str, ...]
    logprobs: int | None = None
    """Log-probabilities of tokens, with those of so many likeliest ones in their place; None = none."""
    logit_bias: tuple[str, ...] = ()
    """`TOKEN=VALUE`, as on the command line."""


@dataclass(frozen=True, slots=True)
class ChatPayload:
    """With which weights and settings to chat."""

    model: str
    """Id of the model."""
    checkpoint: str
    unknown: Literal["error", "skip"]
    overrides: tuple[str, ...]
    messages: tuple[str, ...]
    logit_bias: tuple[str, ...] = ()


@operation(
    "interactive",
    effect="reads",
    examples=(
        "treadle sample bard",
        'treadle sample bard --prompt "ROMEO:" --tokens 300 --temperature 0.7',
        'treadle sample bard --prompt "JULIET:" --seed 7 --stop "ROMEO:" --json',
        "treadle sample bard --prompt - generation.top_k=40 < beginning.txt",
        "treadle sample bard --saved opening",
        'treadle sample bard --prompt "The " --tokens 5 --logprobs 3 --logit-bias e=-5 --json',
    ),
)
def sample(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    overrides: Annotated[list[str], _OVERRIDES] = [],  # noqa: B006 - never changed
    *,
    prompt: Annotated[str, "text to continue; empty = a new document, - = standard input (command line)"] = "",
    saved: Annotated[str | None, "name of a stored prompt for text, whose settings hold unless given here"] = None,
    checkpoint: Annotated[str | int, _CHECKPOINT] = "best",
    unknown: Annotated[Literal["error", "skip"], _UNKNOWN] = "error",
    logprobs: Annotated[
        int | None, "tell each token's log-probability, and those of so many likeliest tokens in its place"
    ] = None,
    logit_bias: Annotated[list[str], _BIAS] = [],  # noqa: B006 - never changed
    settings: Annotated[
        dict[str, Any], SettingsSection("generation", "treadle.generation.config:GenerationSettings")
    ] = {},  # noqa: B006 - never changed
) -> Iterator[Event]:
    """Let a model write, from its best checkpoint unless told otherwise. The text streams as it is made."""
    card = ModelCards(workspace).get(model)
    if logprobs is not None and not 0 <= logprobs <= MOST_ALTERNATIVES:
        raise UsageError(f"logprobs is {logprobs}; it must be 0 to {MOST_ALTERNATIVES}.")
    if saved is not None:
        if prompt:
            raise UsageError("Give a prompt or the name of a saved one, not both.")
        prompt, kept = load("treadle.recipes.prompts:for_text")(workspace, saved)
        settings = {**kept, **settings}
    payload = SamplePayload(
        card.id, prompt, str(checkpoint), unknown, _settings(overrides, settings), logprobs, tuple(logit_bias)
    )
    here = partial(_in_this_process, workspace, payload)
    return stream_or(workspace, "sample", asdict(payload), here)


@operation(
    "interactive",
    effect="reads",
    examples=(
        "treadle chat bard",
        "treadle chat bard --temperature 0.6 --seed 7",
        'treadle chat bard --message "ROMEO:" --message "/temperature 0.5" --message "JULIET:" --json',
        "treadle chat bard < messages.txt",
    ),
)
def chat(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    overrides: Annotated[list[str], _OVERRIDES] = [],  # noqa: B006 - never changed
    *,
    message: Annotated[
        list[str], "say this, show the answer and end; may be repeated; without it, chat line by line"
    ] = [],  # noqa: B006 - never changed
    checkpoint: Annotated[str | int, _CHECKPOINT] = "best",
    unknown: Annotated[Literal["error", "skip"], _UNKNOWN] = "error",
    logit_bias: Annotated[list[str], _BIAS] = [],  # noqa: B006 - never changed
    settings: Annotated[
        dict[str, Any], SettingsSection("generation", "treadle.generation.config:GenerationSettings")
    ] = {},  # noqa: B006 - never changed
) -> Iterator[Event]:
    """Write in turns with a model: each message joins the text so far, and the model goes on from there.

    Models here continue text; none was tuned to follow instructions. Lines that begin with a slash change settings:
    /temperature 0.5, /seed 7, /reset, /retry, /save FILE, /help. Each answer is what `sample` writes after the same
    text with the same settings and seed. Ctrl-C stops an answer, Ctrl-D or /quit ends the chat.
    """
    card = ModelCards(workspace).get(model)
    payload = ChatPayload(
        card.id, str(checkpoint), unknown, _settings(overrides, settings), tuple(message), tuple(logit_bias)
    )
    events: Iterator[Event] = load("treadle.recipes.chat:open_chat")(workspace, payload)
    return events


def _in_this_process(workspace: WorkspaceFolder, payload: SamplePayload) -> Iterator[Event]:
    events: Iterator[Event] = load("treadle.recipes.sample:stream")(workspace, payload)
    return events


def _settings(overrides: Sequence[str], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """All settings as overrides of `generation`; raises `UsageError` for those of another section."""
    for override in overrides:
        if not override.startswith("generation."):
            raise UsageError(f"`{override}` does not concern samples; give settings such as generation.top_k=40.")
    return (*overrides, *overrides_of("generation", settings))
