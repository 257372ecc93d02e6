"""Operations by which models leave and come in: export, import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written for others."""

    model: str
    format: str
    step: int
    """Steps behind the weights that were written."""
    checkpoint: str
    path: str
    files: list[dict[str, Any]]
    """Each with `path`, `bytes` and `sha256`."""
    precision: str
    kept_wider: list[str]
    """Matrices that are kept with more bits than was asked for, since their rows are no multiple of a block or they are
    what logits are made with."""
    cost: dict[str, Any] | None
    """Of a format of few bits, measured on held-out text: `exact`, `kept`, `nats_per_token`, `targets`, `margin`."""
    licence: str
    next_step: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """A model that came in."""

    id: str
    name: str
    format: str
    """`huggingface`, `gguf`, `nanogpt` or `package`."""
    family: str
    parameters: int
    vocabulary: int
    context: int
    tokenizer: str
    """Kind of its tokenizer."""
    step: int
    licence: str | None
    sha256: str
    """Of the file that held the weights, or of a package's document."""
    notes: list[str]
    """What is not exactly as it was there."""
    folder: str
    next_step: str


@operation(
    "light",
    effect="reads",
    examples=(
        "treadle export bard --to huggingface --out bard-hf",
        "treadle export bard --to gguf --precision q8_0 --out bard-gguf",
        "treadle export bard --to package --out bard.treadle --licence cc-by-4.0",
    ),
)
def export(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    *,
    to: Annotated[
        Literal["huggingface", "gguf", "package"],
        "a folder for transformers, a folder for llama.cpp and Ollama, or a file for another workspace",
    ],
    out: Annotated[Path, "new folder to write into; of a package, new file (NAME.treadle)"],
    precision: Annotated[
        Literal["f32", "f16", "q8_0", "q4_0"] | None, "with --to gguf: how numbers are kept; f16 unless given"
    ] = None,
    checkpoint: Annotated[str | int, "checkpoint: best, latest, or a step number"] = "best",
    margin: Annotated[float, "nats per token that q8_0 or q4_0 may lose on held-out text; 100 = do not measure"] = 0.02,
    licence: Annotated[str | None, "licence of the model, such as cc-by-4.0; it is written on the card"] = None,
) -> ExportReport:
    """Write a model for other programs or another workspace, with its tokenizer and a card that says where it is from.

    What the format cannot carry exactly is refused with the reason before anything is written.
    """
    if not 0 <= margin <= 100:
        raise UsageError(f"--margin must be 0 to 100 nats per token, not {margin:g}.")
    wish = load("treadle.recipes.export:Wish")(to, out, str(checkpoint), precision, margin, licence)
    return ExportReport(**load("treadle.recipes.export:export")(workspace, model, wish))


@operation(
    "light",
    verb="import",
    examples=(
        "treadle import bard.treadle --name bard",
        "treadle import SmolLM2-135M --name smol --context 512",
        "treadle import model-q8_0.gguf --name guest training.batch_size=4",
        "treadle import nanoGPT/out-shakespeare-char --name karpathy",
    ),
)
def import_(
    workspace: WorkspaceFolder,
    path: Annotated[Path, "folder of transformers, a .gguf file, nanoGPT's ckpt.pt, or a package (.treadle)"],
    overrides: Annotated[list[str], "settings as key=value, kept with the model"] = [],  # noqa: B006 - never changed
    *,
    name: Annotated[str, "name of the new model: letters, digits, '-', '_', '.'"],
    tokenizer: Annotated[Path | None, "tokenizer.json to use, where the model brings none that is read here"] = None,
    context: Annotated[int | None, "positions to use; at most 1024 of those with rotary positions unless given"] = None,
) -> ImportReport:
    """Take in a model of somebody else, to sample from it and to train it further.

    Everything is read and checked before anything is written: hashes, shapes, and that no file can run code. What
    computes anything else than models here do is refused with the reason.
    """
    request = load("treadle.recipes.import_model:Request")(path, name, tokenizer, context, tuple(overrides))
    return ImportReport(**load("treadle.recipes.import_model:import_model")(workspace, request))
