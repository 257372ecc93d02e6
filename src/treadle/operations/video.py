"""Operations of the noun video: what can be done to videos on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.request import JobRequest
from treadle.operations.operation import SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

Tool = Literal[
    "controls", "interpolate", "smooth", "deflicker", "chunk", "stitch", "coherence", "compare", "from-images"
]
_VIDEO = "a video file"
_OUT = "file to write (.mp4)"
_REPLACE = "replace the file if it is there"
_QUALITY = "how exactly to store the frames: good for the eye, high for further work, lossless bit for bit"
_MAPS = SettingsSection("maps", "treadle.video.config:MapSettings")
_Quality = Literal["good", "high", "lossless"]


@dataclass(frozen=True, slots=True)
class VideoPayload:
    """What to do with which video."""

    tool: Tool
    sources: tuple[str, ...]
    """Absolute paths."""
    out: str | None
    """Absolute path of the file or folder to write."""
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a file says of its video."""

    path: str
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    codec: str
    pixel_format: str
    audio: bool
    bytes: int
    made_by: dict[str, Any]
    """Tool, sources with hashes and settings, for files that Treadle made."""
    clips: int
    """Of 121 frames, as Cosmos-Transfer 1 makes them, one every 120 frames."""
    waste: float
    """Share of the last clip that would be generated for nothing."""


@operation("light", effect="reads", noun="video", needs_workspace=False, examples=("treadle video probe street.mp4",))
def probe(workspace: WorkspaceFolder | None, video: Annotated[Path, _VIDEO]) -> ProbeReport:
    """Show size, rate, length and codec of a video, and how it was made if Treadle made it."""
    del workspace
    return ProbeReport(**load("treadle.recipes.video:probe")(video))


@operation(
    "heavy",
    noun="video",
    examples=(
        "treadle video controls street.mp4 edge --out street-edges.mp4",
        "treadle video controls street.mp4 vis --strength high --out street-blur.mp4",
        "treadle video controls street.mp4 depth --maps distances.npy --near dark --out street-depth.mp4",
        "treadle video controls street.mp4 depth --model depth.onnx --out street-depth.mp4",
        "treadle video controls street.mp4 seg --model classes.onnx --side 512 --pixels unit --out street-seg.mp4",
    ),
)
def controls(
    workspace: WorkspaceFolder,
    video: Annotated[Path, _VIDEO],
    control: Annotated[
        Literal["edge", "vis", "depth", "seg"],
        "which map: edges, colours and shapes without detail, depth, or what belongs together",
    ],
    *,
    out: Annotated[Path, _OUT],
    strength: Annotated[
        Literal["very_low", "low", "medium", "high", "very_high"] | None,
        "edge: higher keeps fewer edges; vis: higher keeps less detail; none = medium",
    ] = None,
    maps: Annotated[Path | None, "depth, seg: a video, a folder of pictures, or an array (.npy) of the maps"] = None,
    model: Annotated[Path | None, "depth, seg: a model in one file (.onnx) that makes the maps"] = None,
    settings: Annotated[dict[str, Any], _MAPS] = {},  # noqa: B006 - never changed
    quality: Annotated[_Quality, _QUALITY] = "high",
    replace: Annotated[bool, _REPLACE] = False,
) -> JobRequest:
    """Make a control map of a video: what a generated one shall keep of it. The strengths are Cosmos-Transfer's.

    Maps of depth and of segments come from files, or from a model in a file, which runs in a process with limits.
    """
    options: dict[str, Any] = {"control": control, "strength": strength or "medium", "quality": quality}
    files = [video]
    if control in {"depth", "seg"}:
        if strength is not None:
            raise UsageError(f"A strength means nothing for `{control}`; leave out --strength.")
        files.append(_given(maps, model, control))
        options = {"control": control, "given": "maps" if model is None else "model", "quality": quality}
        options |= _map_settings(control, settings, model is not None)
    elif maps is not None or model is not None or settings:
        raise UsageError(
            f"A map of `{control}` is computed from the video; leave out --maps, --model and what is theirs."
        )
    return _job(workspace, "controls", files, _new(out, replace=replace), options)


@operation(
    "heavy",
    noun="video",
    examples=(
        "treadle video interpolate street.mp4 --to 60 --out street-60.mp4",
        "treadle video interpolate street.mp4 --check",
    ),
)
def interpolate(
    workspace: WorkspaceFolder,
    video: Annotated[Path, _VIDEO],
    *,
    to: Annotated[float | None, "frames per second of the result"] = None,
    out: Annotated[Path | None, _OUT] = None,
    check: Annotated[
        bool, "write nothing; leave out every second frame, predict it from its neighbours, and say how well"
    ] = False,
    quality: Annotated[_Quality, _QUALITY] = "good",
    replace: Annotated[bool, _REPLACE] = False,
) -> JobRequest:
    """Give a video another frame rate by following what moves. At a cut the nearer frame is repeated."""
    if check:
        if to is not None or out is not None:
            raise UsageError("With --check nothing is written; leave out --to and --out.")
        return _job(workspace, "interpolate", [video], None, {"check": True})
    if to is None or out is None:
        raise UsageError("Say the new rate and where to write: --to 60 --out FILE.mp4, or try it with --check.")
    if not 1 <= to <= 1000:
        raise UsageError(f"The rate is {to:g}; it must be 1 to 1000 frames a second.")
    return _job(workspace, "interpolate", [video], _new(out, replace=replace), {"to": to, "quality": quality})


@operation("heavy", noun="video", examples=("treadle video smooth walk.mp4 --out walk-steady.mp4 --seconds 1.5",))
def smooth(
    workspace: WorkspaceFolder,
    video: Annotated[Path, _VIDEO],
    *,
    out: Annotated[Path, _OUT],
    seconds: Annotated[float, "how slowly the camera may move: time over which its path is smoothed"] = 1.0,
    quality: Annotated[_Quality, _QUALITY] = "good",
    replace: Annotated[bool, _REPLACE] = False,
) -> JobRequest:
    """Steady a shaking camera, each scene by itself. The picture is enlarged as far as that needs, at most 10 %."""
    options = {"seconds": _positive("seconds", seconds), "quality": quality}
    return _job(workspace, "smooth", [video], _new(out, replace=replace), options)


@operation("heavy", noun="video", examples=("treadle video deflicker lamp.mp4 --out lamp-even.mp4",))
def deflicker(
    workspace: WorkspaceFolder,
    video: Annotated[Path, _VIDEO],
    *,
    out: Annotated[Path, _OUT],
    seconds: Annotated[float, "changes of brightness that take longer than this stay"] = 0.5,
    quality: Annotated[_Quality, _QUALITY] = "good",
    replace: Annotated[bool, _REPLACE] = False,
) -> JobRequest:
    """Even out brightness and colour that flicker from frame to frame. Frames without flicker stay as they are."""
    options = {"seconds": _positive("seconds", seconds), "quality": quality}
    return _job(workspace, "deflicker", [video], _new(out, replace=replace), options)


@operation(
    "heavy",
    noun="video",
    examples=(
        "treadle video chunk long.mp4 --out pieces",
        "treadle video chunk long.mp4 --length 93 --overlap 8 --out pieces",
    ),
)
def chunk(
    workspace: WorkspaceFolder,
    video: Annotated[Path, _VIDEO],
    *,
    out: Annotated[Path, "new folder for the pieces and their plan"],
    length: Annotated[int, "frames of a piece; 121 is what Cosmos-Transfer 1 makes at a time"] = 121,
    overlap: Annotated[int, "frames that a piece shares with the one before"] = 8,
    quality: Annotated[_Quality, _QUALITY] = "high",
) -> JobRequest:
    """Cut a long video into pieces that overlap, with a plan that `video stitch` reads."""
    _check_plan(length, overlap)
    return _job(
        workspace,
        "chunk",
        [video],
        _new(out, replace=False),
        {"length": length, "overlap": overlap, "quality": quality},
    )


@operation(
    "heavy",
    noun="video",
    examples=(
        "treadle video stitch pieces --out whole.mp4",
        "treadle video stitch pieces --join cut --no-match --out whole.mp4",
    ),
)
def stitch(
    workspace: WorkspaceFolder,
    pieces: Annotated[Path, "folder that `video chunk` made, its pieces replaced by what was generated of them"],
    *,
    out: Annotated[Path, _OUT],
    join: Annotated[
        Literal["blend", "cut"],
        "fade into each other, or leave out the overlap that was generated from the piece before",
    ] = "blend",
    no_match: Annotated[bool, "leave the colours of each piece as they are"] = False,
    quality: Annotated[_Quality, _QUALITY] = "good",
    replace: Annotated[bool, _REPLACE] = False,
) -> JobRequest:
    """Put pieces together again and say how well they meet: differences where they overlap, seams, drift of colour."""
    if not (pieces.expanduser() / "chunks.json").is_file():
        raise NotFoundError(f"{pieces} has no chunks.json; name a folder that `treadle video chunk` made.")
    options = {"join": join, "match": not no_match, "quality": quality}
    payload = VideoPayload("stitch", (str(_absolute(pieces)),), str(_new(out, replace=replace)), options)
    return _request(workspace, payload)


@operation(
    "heavy",
    effect="reads",
    noun="video",
    examples=("treadle video coherence street.mp4", "treadle video coherence street.mp4 --plot street.png --json"),
)
def coherence(
    workspace: WorkspaceFolder,
    video: Annotated[Path, _VIDEO],
    *,
    plot: Annotated[Path | None, "draw the measures over time into this picture (.png)"] = None,
) -> JobRequest:
    """Find cuts, seams (jumps and steps of brightness that stand out from their neighbours) and drift of colour."""
    return _job(workspace, "coherence", [video], None if plot is None else _absolute(plot), {})


@operation(
    "heavy",
    effect="reads",
    noun="video",
    examples=("treadle video compare before.mp4 after.mp4", "treadle video compare a.mp4 b.mp4 --plot difference.png"),
)
def compare(
    workspace: WorkspaceFolder,
    first: Annotated[Path, _VIDEO],
    second: Annotated[Path, "another one, of the same size"],
    *,
    plot: Annotated[Path | None, "draw the measures over time into this picture (.png)"] = None,
) -> JobRequest:
    """Compare two videos frame by frame: PSNR, SSIM, and where they differ most."""
    return _job(workspace, "compare", [first, second], None if plot is None else _absolute(plot), {})


@operation(
    "heavy", noun="video", examples=("treadle video from-images frames/ --fps 24 --out film.mp4",), verb="from-images"
)
def from_images(
    workspace: WorkspaceFolder,
    folder: Annotated[Path, "folder of pictures; frame2 comes before frame10"],
    *,
    out: Annotated[Path, _OUT],
    fps: Annotated[float, "pictures per second"] = 24.0,
    quality: Annotated[_Quality, _QUALITY] = "good",
    replace: Annotated[bool, _REPLACE] = False,
) -> JobRequest:
    """Make a video of a folder of pictures of one size."""
    if not folder.expanduser().is_dir():
        raise NotFoundError(f"{folder} is not a folder of pictures.")
    options = {"fps": _positive("fps", fps), "quality": quality}
    payload = VideoPayload("from-images", (str(_absolute(folder)),), str(_new(out, replace=replace)), options)
    return _request(workspace, payload)


def _given(maps: Path | None, model: Path | None, control: str) -> Path:
    """The file or folder that maps come from; raises `UsageError` unless there is just one."""
    if (maps is None) == (model is None):
        raise UsageError(
            f"Say where the maps of `{control}` come from: --maps FILE or --model FILE.onnx"
            + ("." if maps is None else ", not both.")
        )
    found = maps or model
    if found is None or not found.expanduser().exists():
        raise NotFoundError(f"{found} does not exist.")
    return found


def _map_settings(control: str, given: dict[str, Any], by_model: bool) -> dict[str, Any]:
    """Those settings that mean something here, complete; raises `UsageError` for others that were given."""
    meant = {"near": control == "depth", "pixels": by_model, "side": by_model}
    for key in given:
        if not meant.get(key, True):
            raise UsageError(f"--{key} means nothing here; it is for {'depth' if key == 'near' else 'models'}.")
    load("treadle.prompts.settings:checked")(load(_MAPS.fields_of), given)
    complete = load(_MAPS.fields_of)(**given).model_dump(mode="json")
    return {key: complete[key] for key, used in meant.items() if used}


def _check_plan(length: int, overlap: int) -> None:
    """Raise `UsageError` for pieces that cannot be."""
    if length < 2 or not 0 <= overlap <= length // 2:
        raise UsageError(f"Pieces of {length} frames with an overlap of {overlap}: give at most half of the length.")


def _job(
    workspace: WorkspaceFolder, tool: Tool, videos: list[Path], out: Path | None, options: dict[str, Any]
) -> JobRequest:
    for place, video in enumerate(videos):
        if not video.expanduser().is_file() and not (place and tool == "controls"):  # maps may be a folder
            raise NotFoundError(f"{video} does not exist or is no file.")
    sources = tuple(str(_absolute(video)) for video in videos)
    return _request(workspace, VideoPayload(tool, sources, None if out is None else str(out), options))


def _request(workspace: WorkspaceFolder, payload: VideoPayload) -> JobRequest:
    return JobRequest(workspace, "video:tools", f"video.{payload.tool}", asdict(payload), "light")


def _new(out: Path, *, replace: bool) -> Path:
    """Where to write; what is there already stays unless told otherwise."""
    target = _absolute(out)
    if target.exists() and not replace:
        raise UsageError(f"{out} exists already. Name another, or remove it first.")
    return target


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _positive(name: str, value: float) -> float:
    if not 0 < value <= 3600:
        raise UsageError(f"{name} is {value:g}; it must be more than 0 and at most 3600.")
    return value
