"""Operations that generate: sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.operations.operation import SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.events import Event


@dataclass(frozen=True, slots=True)
class SamplePayload:
    """What to continue, with which weights and settings."""

    model: str
    """Id of the model."""
    prompt: str
    checkpoint: str
    unknown: Literal["error", "skip"]
    overrides: tuple[str, ...]


@operation(
    "interactive",
    examples=(
        "treadle sample bard",
        'treadle sample bard --prompt "ROMEO:" --tokens 300 --temperature 0.7',
        'treadle sample bard --prompt "JULIET:" --seed 7 --stop "ROMEO:" --json',
        "treadle sample bard --prompt - generation.top_k=40 < beginning.txt",
    ),
)
def sample(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    overrides: Annotated[list[str], "settings of generation as key=value"] = [],  # noqa: B006 - never changed
    *,
    prompt: Annotated[str, "text to continue; empty = a new document, - = standard input (command line)"] = "",
    checkpoint: Annotated[str | int, "checkpoint: best, latest, or a step number"] = "best",
    unknown: Annotated[
        Literal["error", "skip"], "what to do with characters of the prompt that the vocabulary lacks"
    ] = "error",
    settings: Annotated[
        dict[str, Any], SettingsSection("generation", "treadle.generation.config:GenerationSettings")
    ] = {},  # noqa: B006 - never changed
) -> Iterator[Event]:
    """Let a model write, from its best checkpoint unless told otherwise. The text streams as it is made."""
    card = ModelCards(workspace).get(model)
    for override in overrides:
        if not override.startswith("generation."):
            raise UsageError(f"`{override}` does not concern samples; give settings such as generation.top_k=40.")
    flags = tuple(f"generation.{key}={_value(value)}" for key, value in settings.items())
    payload = SamplePayload(card.id, prompt, str(checkpoint), unknown, (*overrides, *flags))
    events: Iterator[Event] = load("treadle.recipes.sample:stream")(workspace, payload)
    return events


def _value(value: Any) -> str:  # noqa: ANN401 - any plain setting
    """Write a value so that the override grammar reads it back as it is."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value(inner) for inner in value) + "]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
