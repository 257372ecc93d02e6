"""The operation that serves models to other programs: serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from treadle.base.errors import UsageError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SLOTS = 256
MOST_WAITING = 100_000


@dataclass(frozen=True, slots=True)
class ServePayload:
    """What to serve, where, and how much of the machine it may take."""

    names: tuple[str, ...]
    host: str
    port: int
    slots: int
    context: int | None
    checkpoint: str
    overrides: tuple[str, ...]
    memory: float | None
    """Gigabytes."""
    waiting: int


@dataclass(frozen=True, slots=True)
class ServeReport:
    """A server that has ended."""

    address: str
    models: list[str]
    texts: int
    """How many it wrote."""
    tokens: int
    seconds: float


@operation(
    "light",
    effect="reads",
    for_assistants=False,
    examples=(
        "treadle serve bard",
        "treadle serve bard monk --port 8080 --slots 16",
        "treadle serve --memory 2 --checkpoint latest",
        "treadle serve bard --host 0.0.0.0 --port 8443",
    ),
)
def serve(
    workspace: WorkspaceFolder,
    names: Annotated[list[str], "models to serve; none = all that can write, each opened when asked for"] = [],  # noqa: B006 - never changed
    *,
    host: Annotated[str, "address to listen on; any but this machine's own needs keys"] = "127.0.0.1",
    port: Annotated[int, "port to listen on; 0 = any that is free"] = 8000,
    slots: Annotated[int, "texts that a model writes at a time; further ones wait"] = 8,
    context: Annotated[int | None, "positions of a slot; none = as many as the model was trained with"] = None,
    precision: Annotated[str, "arithmetic of the engines, such as int8 or fp32; auto = as the model's settings say"] = (
        "auto"
    ),
    checkpoint: Annotated[str | int, "checkpoint to serve: best, latest or a step; a newer one is taken up"] = "best",
    memory: Annotated[float | None, "gigabytes that open models may take; none = a quarter of the machine's"] = None,
    waiting: Annotated[int, "texts that may wait for a slot of a model; more are refused with 503"] = 1024,
) -> ServeReport:
    """Serve models over HTTP as OpenAI's clients expect them, until Ctrl-C.

    Completions, chats and embeddings, whole or as streams; many texts at a time, each the same as if it were alone.
    While a model trains, requests get its newest weights that count, and running streams end on theirs. Meanwhile
    `treadle sample` and `chat` are answered by the server too, with the same texts for the same seeds.
    """
    for value, least, most, name in (
        (slots, 1, MOST_SLOTS, "slots"),
        (waiting, 0, MOST_WAITING, "waiting"),
        (port, 0, 65535, "port"),
    ):
        if not least <= value <= most:
            raise UsageError(f"--{name} is {value:,}; it must be {least:,} to {most:,}.")
    if memory is not None and not 0 < memory < 1e6:
        raise UsageError(f"--memory is {memory} GB; give a number above 0.")
    overrides = () if precision == "auto" else (f"generation.precision={precision}",)
    payload = ServePayload(
        names=tuple(names),
        host=host,
        port=port,
        slots=slots,
        context=context,
        checkpoint=str(checkpoint),
        overrides=overrides,
        memory=memory,
        waiting=waiting,
    )
    run: Callable[[WorkspaceFolder, ServePayload], dict[str, Any]] = load("treadle.recipes.serve:serve")
    return ServeReport(**run(workspace, payload))
