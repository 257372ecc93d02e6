"""Operations on named datasets that read or write files for people: data preview, report, export, gc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.operations.datasets import SETTINGS, VERSION
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of some files."""

    settings: dict[str, Any]
    documents: list[dict[str, Any]]
    """Each with `source`, `refused` (a reason or null), `steps` (`step`, `does`, `why`), `before`, `after`, `facts`."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What was measured of a version of a dataset."""

    name: str
    version: int
    id: str
    created: str
    documents: int
    bytes: int
    settings: dict[str, Any]
    lengths: dict[str, Any]
    """Quantiles of the documents' bytes, and a `histogram` of lower end, upper end, number."""
    languages: list[dict[str, Any]]
    forms: list[dict[str, Any]]
    formats: list[dict[str, Any]]
    licences: list[dict[str, Any]]
    quality: dict[str, Any]
    duplicates: dict[str, Any]
    refused: dict[str, int]
    refused_examples: list[dict[str, Any]]
    split: dict[str, Any]
    """Sizes of both sides, and `leak`: the share of held-out runs of words that stand in the training text."""
    tokens: dict[str, Any]
    extremes: dict[str, list[dict[str, Any]]]
    html: str | None
    """The page, if one was written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A version that was written out."""

    name: str
    version: int
    id: str
    format: str
    folder: str
    documents: dict[str, int]
    """Rows by split; a long document has one in each."""
    files: list[str]


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be."""

    versions: list[int]
    objects: int
    bytes: int
    dry_run: bool


@operation(
    "light",
    noun="data",
    effect="reads",
    needs_workspace=False,
    examples=(
        "treadle data preview page.html",
        "treadle data preview books/ --documents 3 --quality gopher --drop true",
        "treadle data preview report.pdf --dataset letters --json",
    ),
)
def preview(
    workspace: WorkspaceFolder | None,
    paths: Annotated[list[Path], "files and folders to look at"],
    *,
    dataset: Annotated[str | None, "use the settings of this dataset"] = None,
    documents: Annotated[int, "look at so many documents at most"] = 5,
    settings: Annotated[dict[str, Any], SETTINGS] = {},  # noqa: B006 - never changed
) -> Preview:
    """Show files before and after cleaning, side by side, with what each step would do and why. Stores nothing."""
    if documents < 1:
        raise UsageError(f"documents is {documents}; it must be at least 1.")
    return Preview(**load("treadle.recipes.dataset_preview:preview")(workspace, paths, dataset, settings, documents))


@operation(
    "light",
    noun="data",
    effect="reads",
    examples=("treadle data report letters", "treadle data report letters@clean --html letters.html"),
)
def report(
    workspace: WorkspaceFolder,
    name: Annotated[str, VERSION],
    *,
    html: Annotated[Path | None, "also write the report as a page with plots, which needs no network"] = None,
    tokenizer: Annotated[Path | None, "count tokens with this tokenizer; else one is learned from the text"] = None,
) -> QualityReport:
    """Report on a dataset: lengths, languages, quality, duplicates, refusals, split and leaks, tokens, extremes."""
    return QualityReport(**load("treadle.recipes.dataset_report:report")(workspace, name, html, tokenizer))


@operation(
    "light",
    noun="data",
    effect="reads",
    examples=(
        "treadle data export letters --out letters-jsonl",
        "treadle data export letters@clean --out letters-hf --format huggingface --held-out 0.05",
    ),
)
def export(
    workspace: WorkspaceFolder,
    name: Annotated[str, VERSION],
    *,
    out: Annotated[Path, "new folder to write into"],
    format: Annotated[  # noqa: A002 - the flag's name
        Literal["jsonl", "parquet", "huggingface"], "JSON Lines, Parquet, or a folder as Hugging Face's hub has them"
    ] = "jsonl",
    held_out: Annotated[float, "share of the text that goes into the validation split"] = 0.1,
) -> Exported:
    """Write a version of a dataset as files for other programs, split for training and validation."""
    return Exported(**load("treadle.recipes.dataset_export:export")(workspace, name, out, format, held_out))


@operation(
    "light",
    noun="data",
    effect="removes",
    examples=("treadle data gc --dry-run", "treadle data gc letters --keep 2"),
)
def gc(
    workspace: WorkspaceFolder,
    name: Annotated[str | None, "dataset whose old versions shall go"] = None,
    *,
    keep: Annotated[int | None, "with NAME: how many of its newest versions stay, beside those with tags"] = None,
    dry_run: Annotated[bool, "only say what would be removed"] = False,
) -> Collected:
    """Remove stored text that no version of anything refers to. What is younger than an hour stays.

    With NAME and --keep, old versions without a tag go first; models keep what they were fed.
    """
    return Collected(**load("treadle.recipes.dataset_gc:collect")(workspace, name, keep, dry_run=dry_run))
