"""Operations on named datasets: data new, add, list, show, versions, diff, refused, tag."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from treadle.base.errors import UsageError
from treadle.jobs.presence import announce
from treadle.jobs.request import JobRequest
from treadle.operations.operation import SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.store.datasets import DatasetCards
from treadle.store.workspace import WorkspaceFolder

VERSION = "name of a dataset or model; NAME@3 or NAME@TAG for one version, else the newest"
SETTINGS = SettingsSection("dataset", "treadle.data.steps.config:DatasetSettings")


@dataclass(frozen=True, slots=True)
class DataAddPayload:
    """What to add to which dataset."""

    dataset: str
    paths: tuple[str, ...]
    """Absolute paths of files and folders."""
    licence: str | None
    processes: int
    """How many processes read; 0 = one for each core."""


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset that was made; it has no version yet."""

    name: str
    settings: dict[str, Any]
    next_step: str


@dataclass(frozen=True, slots=True)
class DatasetList:
    """The named datasets of a workspace."""

    datasets: list[dict[str, Any]]
    """Each with `name`, `version`, `documents`, `bytes`, `id`, `tags`."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """One version of a dataset in short."""

    name: str
    version: int
    id: str
    """Hash of its content and settings: equal on every machine, in whatever order it was added."""
    parent: int | None
    created: str
    documents: int
    bytes: int
    refused: dict[str, int]
    """Inputs that this version refused, by reason."""
    aside: int
    """Near-duplicates whose text is kept, but that the version does not hold."""
    clusters: int
    """Groups of near-duplicates that were found."""
    tags: list[str]
    settings: dict[str, Any]
    """Those that differ from the defaults."""
    lineage: list[dict[str, Any]]
    """Of the documents that were asked for: `id`, `source`, `bytes`, `metadata`."""


@dataclass(frozen=True, slots=True)
class DatasetVersionList:
    """All versions of a dataset."""

    name: str
    versions: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class DatasetDifference:
    """What the second version holds otherwise than the first."""

    first: dict[str, Any]
    second: dict[str, Any]
    same: bool
    preparation: dict[str, list[Any]]
    """Settings that differ, each with its value before and after; null where the default holds."""
    unchanged: int
    added: list[dict[str, Any]]
    removed: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    """Sources whose text is another now."""


@dataclass(frozen=True, slots=True)
class RefusedList:
    """What was not taken, and why."""

    name: str
    reasons: dict[str, int]
    refused: list[dict[str, Any]]
    """Each with `version`, `source`, `reason`, `detail`."""


@dataclass(frozen=True, slots=True)
class TagReport:
    """A name that a version was given, or that was taken away."""

    name: str
    tag: str
    version: int | None
    tags: dict[str, int]


@operation(
    "light",
    noun="data",
    examples=(
        "treadle data new letters",
        "treadle data new web --html fast --quality fineweb --drop true --near-duplicates drop --languages en",
        "treadle data new checked --check size:1MB --check licence:CC0-1.0",
    ),
)
def new(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the dataset"],
    *,
    settings: Annotated[dict[str, Any], SETTINGS] = {},  # noqa: B006 - never changed
) -> NewDataset:
    """Make a named dataset. Its settings say how files are read and cleaned; they never change.

    `treadle data preview FILE` shows what each of them would do.
    """
    return NewDataset(**load("treadle.recipes.datasets:new")(workspace, name, settings))


@operation(
    "heavy",
    noun="data",
    examples=(
        "treadle data add letters ~/letters",
        "treadle data add web pages/ dump.jsonl.zst --licence CC-BY-4.0",
    ),
)
def add(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the dataset"],
    paths: Annotated[list[Path], "files and folders of any kind; archives are read in place"],
    *,
    licence: Annotated[str | None, "under what licence these files came; noted with each document"] = None,
    processes: Annotated[int, "processes that read; 0 = one for each core"] = 0,
) -> JobRequest:
    """Add files to a dataset: they are read, cleaned and compared, and make its next version.

    Files are parsed in processes of their own, with limits: one that crashes or hangs is refused, the others are read.
    """
    card = DatasetCards(workspace).get(name)
    if not paths:
        raise UsageError("Name at least one file or folder to add.")
    if not 0 <= processes <= 64:
        raise UsageError(f"processes is {processes}; it must be 0 to 64.")
    announce(workspace, "data.add")
    absolute = tuple(str(path.expanduser().absolute()) for path in paths)
    payload = DataAddPayload(card.name, absolute, licence, processes)
    return JobRequest(workspace, f"dataset:{card.name}", "data.add", asdict(payload), "heavy")


@operation("light", noun="data", verb="list", effect="reads", examples=("treadle data list",))
def list_(workspace: WorkspaceFolder) -> DatasetList:
    """List the named datasets."""
    return DatasetList(**load("treadle.recipes.datasets:listing")(workspace))


@operation(
    "light",
    noun="data",
    effect="reads",
    examples=("treadle data show letters", "treadle data show letters@2 --document report.pdf --json"),
)
def show(
    workspace: WorkspaceFolder,
    name: Annotated[str, VERSION],
    *,
    document: Annotated[str | None, "also show where this document came from: its id, source or file name"] = None,
) -> DatasetFacts:
    """Show one version of a dataset; with --document, the lineage of a document of it."""
    return DatasetFacts(**load("treadle.recipes.datasets:show")(workspace, name, document))


@operation("light", noun="data", effect="reads", examples=("treadle data versions letters",))
def versions(workspace: WorkspaceFolder, name: Annotated[str, "name of a dataset or model"]) -> DatasetVersionList:
    """List the versions of a dataset, or of what a model was fed."""
    return DatasetVersionList(**load("treadle.recipes.datasets:versions")(workspace, name))


@operation(
    "light",
    noun="data",
    effect="reads",
    examples=("treadle data diff letters@1 letters", "treadle data diff letters@clean letters@3 --json"),
)
def diff(
    workspace: WorkspaceFolder, first: Annotated[str, VERSION], second: Annotated[str, VERSION]
) -> DatasetDifference:
    """Show what the second version holds otherwise than the first: documents added, removed, changed."""
    return DatasetDifference(**load("treadle.recipes.datasets:diff")(workspace, first, second))


@operation(
    "light",
    noun="data",
    effect="reads",
    examples=("treadle data refused letters", "treadle data refused bard --reason encrypted"),
)
def refused(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of a dataset or model; all versions, or NAME@3 for one"],
    *,
    reason: Annotated[str | None, "only those with this reason, such as damaged"] = None,
) -> RefusedList:
    """List the files that were not taken, each with its reason."""
    return RefusedList(**load("treadle.recipes.datasets:refused")(workspace, name, reason))


@operation(
    "light",
    noun="data",
    examples=("treadle data tag letters@3 clean", "treadle data tag letters clean --remove"),
)
def tag(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the dataset; NAME@3 for one version, else the newest"],
    tag: Annotated[str, "name for the version; given again, it moves"],
    *,
    remove: Annotated[bool, "take the name away instead"] = False,
) -> TagReport:
    """Give a version of a dataset a name; versions with one are never collected as garbage."""
    return TagReport(**load("treadle.recipes.datasets:tag")(workspace, name, tag, remove=remove))
