"""Operations on tokenizers: train, inspect, compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class TrainedTokenizer:
    """A vocabulary that was learned, and where it lies."""

    kind: str
    vocabulary: int
    """Number of ids, the boundary included."""
    sha256: str
    file: str
    documents: int
    bytes: int
    """UTF-8 bytes of the text that it was learned from."""
    bytes_per_token: float
    """On that text."""
    refused: list[dict[str, str]]
    """What could not be read: `source`, `reason`, `detail`."""
    seconds: float
    next_step: str


@dataclass(frozen=True, slots=True)
class TokenizerReport:
    """What a tokenizer is, and how it cuts a text."""

    name: str
    kind: str
    vocabulary: int
    sha256: str
    specials: dict[str, int]
    """Ids that no text encodes to, by name."""
    token_bytes: dict[str, float]
    """`mean` and `longest` bytes of one id, over the vocabulary."""
    longest: list[str]
    """The longest tokens, as text."""
    pattern: str | None
    """What text is cut by before the merging, for kinds that do so."""
    pieces: list[dict[str, Any]]
    """Of `--text`: `id`, `text` and `bytes` (hexadecimal) of each token."""
    unknown: dict[str, int]
    """Characters of `--text` that the vocabulary lacks, and how often."""


@dataclass(frozen=True, slots=True)
class TokenizerComparison:
    """Several tokenizers on the same texts."""

    tokenizers: list[dict[str, Any]]
    """Each with `name`, `kind`, `vocabulary`, `sha256`, and over all texts `tokens`, `bytes_per_token`, `unknown` and
    `megabytes_per_second` of encoding."""
    texts: list[dict[str, Any]]
    """Each with `source`, `bytes` and `figures`: `tokens`, `bytes_per_token`, `unknown` by tokenizer."""
    refused: list[dict[str, str]]


@operation(
    "light",
    noun="tokenizer",
    examples=(
        "treadle tokenizer train my-texts/ --kind bpe --vocabulary 8192 --out english.json",
        "treadle tokenizer train bard more-texts/ --vocabulary 2048 --out bard.json",
    ),
)
def train(
    workspace: WorkspaceFolder,
    sources: Annotated[list[str], "files and folders of text, or names of models for what they were fed"],
    *,
    kind: Annotated[Literal["bpe", "unigram", "char"], "what kind of vocabulary to learn"] = "bpe",
    vocabulary: Annotated[
        int | None, "ids at most, the boundary included; bpe 8192 and unigram 8000 unless set"
    ] = None,
    out: Annotated[Path, "file to write; bpe as a tokenizer.json that Hugging Face's libraries read, too"],
) -> TrainedTokenizer:
    """Learn a vocabulary from texts, for models that are made with it: `treadle new NAME --tokenizer FILE`.

    Of more than 64 MB a sample is read (unigram: 8 MB). What models hold out of their data stays out of it.
    """
    return TrainedTokenizer(**load("treadle.recipes.tokenizer:train")(workspace, sources, kind, vocabulary, out))


@operation(
    "light",
    effect="reads",
    noun="tokenizer",
    examples=(
        "treadle tokenizer inspect bard",
        'treadle tokenizer inspect english.json --text "Once upon a time"',
    ),
)
def inspect(
    workspace: WorkspaceFolder,
    tokenizer: Annotated[str, "name of a model, file of a tokenizer, or bytes"],
    *,
    text: Annotated[str | None, "text to show the tokens of"] = None,
) -> TokenizerReport:
    """Show a tokenizer: kind, size, hash, special ids, and how it cuts a text into tokens."""
    return TokenizerReport(**load("treadle.recipes.tokenizer:inspect")(workspace, tokenizer, text))


@operation(
    "light",
    effect="reads",
    noun="tokenizer",
    examples=(
        "treadle tokenizer compare bytes english.json my-texts/",
        "treadle tokenizer compare bard other.json --json",
    ),
)
def compare(
    workspace: WorkspaceFolder,
    sources: Annotated[
        list[str], "tokenizers (models, files of tokenizers, bytes), and files and folders of text to try them on"
    ],
) -> TokenizerComparison:
    """Compare tokenizers on texts: bytes per token for each file, unknown characters, speed of encoding.

    Without a text they are compared on what the named models were fed and hold out.
    """
    return TokenizerComparison(**load("treadle.recipes.tokenizer:compare")(workspace, sources))
