"""Operations on the gallery: results of runs, what people say of them, and how they were made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.jobs.request import JobRequest
from treadle.operations.operation import NamesFile, operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

_ITEM = "id of the result, the beginning of it, its file, or the id of a run with one result"


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One result: a video or picture that a run made."""

    id: str
    run: str
    kind: str
    """Of the job that made it, such as `video.smooth`."""
    name: str
    path: str
    media: str
    """`video` or `picture`."""
    there: bool
    """Whether the file is (still) there."""
    bytes: int | None
    created: float
    """Seconds since 1970."""
    outcome: str
    """Of its run."""
    text: str
    """Of the prompt; empty = none."""
    prompt: str | None
    """Name of the prompt."""
    model: str | None
    """What made it: a model of this workspace, or a backend."""
    sources: list[str]
    rating: int | None
    """0 to 5; None = not rated."""
    tags: list[str]
    note: str
    removed: float | None
    """When it was taken out of the gallery; None = it is in."""


@dataclass(frozen=True, slots=True)
class GalleryList:
    """Results."""

    items: list[GalleryItem]
    total: int
    """How many there are of these, shown or not."""
    damaged: list[str]
    """What is wrong with notes that cannot be read."""


@dataclass(frozen=True, slots=True)
class GalleryReport:
    """One result, with what its file says."""

    item: GalleryItem
    facts: dict[str, Any]
    """`width`, `height`, `fps`, `frames`, `seconds`, `codec`, `audio`; empty if the file cannot be read."""
    settings: dict[str, Any]
    """That its run was asked for."""
    made_by: dict[str, Any]
    """What the file itself says of how it was made."""
    same: bool | None
    """Whether the file is the one that was rated first; None = it was not rated, or is gone."""


@dataclass(frozen=True, slots=True)
class GalleryChange:
    """A result after a change."""

    item: GalleryItem


@dataclass(frozen=True, slots=True)
class RemovedItem:
    """A result that was taken out of the gallery or put back."""

    item: GalleryItem
    trash: str | None
    """Where its file lies now; None = where it was."""


@dataclass(frozen=True, slots=True)
class RecallReport:
    """How a file was made."""

    path: str
    said_by: str
    """`file`, or `run` where the file itself does not say."""
    tool: str
    options: dict[str, Any]
    sources: list[dict[str, Any]]
    """`path`, `sha256`."""
    prompt: dict[str, Any] | None
    """What was sent for it, or for the video that it was made of, in the words of a prompt."""
    unsaid: list[str]
    """What of that a stored prompt cannot say, such as weights that change over time."""
    weights: dict[str, Any] | None
    """Of what a model of this workspace drew: `model`, `step`, `weights` (their hash), and `there`: what they are
    called now, `NAME@STEP`, or None where they are gone."""
    command: str | None
    """What makes it again on this machine; of what was generated only where its weights are here and the prompt was
    stored."""
    saved: dict[str, Any] | None
    """`name`, `version`, `id` of the prompt that was stored."""


@dataclass(frozen=True, slots=True)
class GalleryComparePayload:
    """What to show beside what."""

    item: str
    original: str
    """Absolute path."""
    result: str
    """Absolute path."""
    out: str
    """Absolute path of the file to write."""


@operation(
    "light",
    effect="reads",
    noun="gallery",
    verb="list",
    examples=(
        "treadle gallery list",
        "treadle gallery list street night --rating 4 --order rating",
        "treadle gallery list --tag final --kind transfer --made 2026-11-01.. --json",
    ),
)
def list_(
    workspace: WorkspaceFolder,
    words: Annotated[list[str], "words that all stand in its prompt, name, tags, note or model; or its run"] = [],  # noqa: B006
    *,
    tag: Annotated[list[str], "only those with this tag; may be repeated"] = [],  # noqa: B006 - never changed
    rating: Annotated[int | None, "only those rated so or better"] = None,
    model: Annotated[str | None, "only those made by this model or backend"] = None,
    kind: Annotated[
        str | None, "only of this kind: `video`, `picture`, or that of the job, such as transfer.run"
    ] = None,
    made: Annotated[
        str | None, "made on this day, or between two: 2026-11-22, 2026-11-01..2026-11-30, 2026-11-01.."
    ] = None,
    order: Annotated[Literal["newest", "rating"], "what comes first"] = "newest",
    removed: Annotated[bool, "those that were taken out of the gallery instead"] = False,
    count: Annotated[int, "show at most so many"] = 50,
) -> GalleryList:
    """Show the videos and pictures that runs have made, with what was said of them."""
    if count < 1:
        raise UsageError(f"--count is {count}; it must be at least 1.")
    wanted = load("treadle.recipes.gallery:Wanted")(tuple(words), tuple(tag), rating, model, kind, made, removed)
    found = load("treadle.recipes.gallery:listed")(workspace, wanted, order, count)
    return GalleryList(**{**found, "items": [GalleryItem(**row) for row in found["items"]]})


@operation("light", effect="reads", noun="gallery", examples=("treadle gallery show g-1f0c2a9b3d",))
def show(workspace: WorkspaceFolder, item: Annotated[str, _ITEM]) -> GalleryReport:
    """Show one result: file, prompt, settings, what was said of it, and whether the file is still the same."""
    found = load("treadle.recipes.gallery:shown")(workspace, item)
    beside = {key: found.pop(key) for key in ("facts", "settings", "made_by", "same")}
    return GalleryReport(item=GalleryItem(**found), **beside)


@operation(
    "light",
    noun="gallery",
    examples=(
        "treadle gallery rate g-1f0c2a9b3d 4",
        'treadle gallery rate g-1f0c2a9b3d 2 --note "lamp flickers at the end"',
        "treadle gallery rate g-1f0c2a9b3d --clear",
    ),
)
def rate(
    workspace: WorkspaceFolder,
    item: Annotated[str, _ITEM],
    rating: Annotated[int | None, "0 (of no use) to 5 (as it should be)"] = None,
    *,
    note: Annotated[str | None, "a note in your words; empty = none"] = None,
    clear: Annotated[bool, "take the rating back"] = False,
) -> GalleryChange:
    """Say how good a result is, and why."""
    return GalleryChange(
        GalleryItem(**load("treadle.recipes.gallery:rate")(workspace, item, rating, note, clear=clear))
    )


@operation(
    "light",
    noun="gallery",
    examples=("treadle gallery tag g-1f0c2a9b3d final street", "treadle gallery tag g-1f0c2a9b3d --untag draft"),
)
def tag(
    workspace: WorkspaceFolder,
    item: Annotated[str, _ITEM],
    tags: Annotated[list[str], "words to find it by"] = [],  # noqa: B006 - never changed
    *,
    untag: Annotated[list[str], "a tag to take off; may be repeated"] = [],  # noqa: B006 - never changed
) -> GalleryChange:
    """Put tags on a result, or take them off."""
    return GalleryChange(GalleryItem(**load("treadle.recipes.gallery:tag")(workspace, item, tags, untag)))


@operation(
    "light",
    effect="removes",
    noun="gallery",
    examples=(
        "treadle gallery remove g-1f0c2a9b3d",
        "treadle gallery remove g-1f0c2a9b3d --file",
        "treadle gallery remove g-1f0c2a9b3d --restore",
    ),
)
def remove(
    workspace: WorkspaceFolder,
    item: Annotated[str, _ITEM],
    *,
    file: Annotated[bool, "move its file to the trash, too"] = False,
    restore: Annotated[bool, "put it back into the gallery"] = False,
) -> RemovedItem:
    """Take a result out of the gallery. Its run, its file and what was said of it stay; with --file the file goes."""
    row, trash = load("treadle.recipes.gallery:remove")(workspace, item, file=file, restore=restore)
    return RemovedItem(GalleryItem(**row), trash)


@operation(
    "light",
    noun="gallery",
    reads_unless=("save",),
    examples=("treadle gallery recall result.mp4", "treadle gallery recall result.mp4 --save dusk-again"),
)
def recall(
    workspace: WorkspaceFolder,
    file: Annotated[str, "a video that Treadle made, wherever it lies now, or the id of a result", NamesFile()],
    *,
    save: Annotated[str | None, "store the prompt that it was generated from under this name"] = None,
) -> RecallReport:
    """Read from a video how it was made: prompt and settings, or the command that makes it again."""
    return RecallReport(**load("treadle.recipes.gallery_recall:recall")(workspace, file, save))


@operation(
    "heavy",
    noun="gallery",
    examples=(
        "treadle gallery compare g-1f0c2a9b3d --out beside.mp4",
        "treadle gallery compare g-1f0c2a9b3d --out beside.png --original street.mp4",
    ),
)
def compare(
    workspace: WorkspaceFolder,
    item: Annotated[str, _ITEM],
    *,
    out: Annotated[Path, "file to write: .mp4, or .png for a picture of three moments"],
    original: Annotated[Path | None, "what to show it beside; none = the file it was made from"] = None,
    replace: Annotated[bool, "replace the file if it is there"] = False,
) -> JobRequest:
    """Put a result beside what it was made from, moment by moment."""
    target = out.expanduser().absolute()
    if target.suffix.lower() not in {".mp4", ".png", ".jpg", ".webp"}:
        raise UsageError(f"{out} is no name for the comparison; it must end in .mp4, .png, .jpg or .webp.")
    if target.exists() and not replace:
        raise UsageError(f"{out} exists already. Name another, or remove it first.")
    found, _ = load("treadle.recipes.gallery:find")(workspace, item)
    first = load("treadle.recipes.gallery:original")(found, original)
    for path in (first, found.path):
        if not path.is_file():
            raise UsageError(f"{path} does not exist or is no file.")
    payload = GalleryComparePayload(found.id, str(first), str(found.path), str(target))
    return JobRequest(workspace, "video:tools", "gallery.compare", asdict(payload), "light")
