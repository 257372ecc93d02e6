"""Operations of the noun transfer that make videos: run, upscale."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.jobs.request import JobRequest
from treadle.operations.operation import NamesFile, SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

Backend = Literal["transfer1-cli", "transfer1-server", "transfer25-cli", "diffusers", "local-tiny"]
_SETTINGS = SettingsSection("transfer", "treadle.video.transfer.backends.config:RunSettings")
_HOST = "name of a host, local = this machine, any = the one that is free, has the model loaded, and has room"
_BACKEND = "what makes the videos"
_SET = "NAME=VALUE: a setting that differs from the prompt's, such as seed=7 or steps=20; may be repeated"
_WEIGHTS = "CONTROL=WEIGHT: a number, points in time such as '0:0.2 48:0.8', adaptive, or a mask; may be repeated"


@dataclass(frozen=True, slots=True)
class TransferPayload:
    """What to make, where and with what."""

    backend: Backend
    host: str
    requests: tuple[dict[str, Any], ...]
    """Each with `spec`, a complete request, and `prompt`, the stored one that it came from, or None."""
    batch: bool
    settings: dict[str, Any]
    """Fields of `RunSettings`."""
    unsaid: tuple[str, ...] = ()
    """What the target cannot be told of the requests: known, and said, before anything is queued."""

    @property
    def enlarges(self) -> bool:
        """Whether a video is to be enlarged, which only the large models can."""
        return any("upscale" in one["spec"]["controls"] for one in self.requests)

    @property
    def notes(self) -> tuple[str, ...]:
        """The same in words for people."""
        return tuple(f"Not said to the target: {line}" for line in self.unsaid)


@operation(
    "heavy",
    noun="transfer",
    examples=(
        "treadle transfer run dusk --host gpu1",
        "treadle transfer run dusk dawn rain --host any --batch --detach",
        "treadle transfer run dusk --weights edge=0.8 --weights 'vis=0:0.2 48:0.8' --set seed=7",
        "treadle transfer run street.json --host local --backend local-tiny --model shapes",
    ),
)
def run(
    workspace: WorkspaceFolder,
    prompts: Annotated[
        list[str], "names of stored prompts, or files of requests (.json)", NamesFile(names_others=True)
    ],
    *,
    host: Annotated[str, _HOST] = "any",
    backend: Annotated[Backend, _BACKEND] = "transfer1-cli",
    weights: Annotated[list[str], _WEIGHTS, NamesFile(behind="=")] = [],  # noqa: B006 - never changed
    set: Annotated[list[str], _SET] = [],  # noqa: A002, B006 - the flag's name; never changed
    batch: Annotated[
        bool, "make those together, with the model loaded once, that differ in text, video, controls only"
    ] = False,
    strict: Annotated[bool, "refuse what cannot be said to the target wholly, instead of leaving a part out"] = False,
    settings: Annotated[dict[str, Any], _SETTINGS] = {},  # noqa: B006 - never changed
) -> JobRequest:
    """Have videos made that follow control maps, on a host with a GPU or by a small model here.

    Files are sent once and checked by their hashes; what runs on the host goes on when the connection or this machine
    does not, and is followed again by the next worker. Results lie in the run's folder, with their settings inside.
    """
    requests = load("treadle.recipes.transfer_requests:resolved")(workspace, prompts, weights, set, backend)
    payload = TransferPayload(backend, host, tuple(requests), batch, dict(settings))
    return _request(workspace, "run", payload, strict=strict)


@operation(
    "heavy",
    noun="transfer",
    examples=(
        "treadle transfer upscale street.mp4 --host gpu1",
        "treadle transfer upscale street.mp4 walk.mp4 --host any --weight 0.7 --set seed=7",
    ),
)
def upscale(
    workspace: WorkspaceFolder,
    videos: Annotated[list[Path], "video files"],
    *,
    host: Annotated[str, _HOST] = "any",
    backend: Annotated[Literal["transfer1-cli", "transfer1-server"], _BACKEND] = "transfer1-cli",
    weight: Annotated[float, "how closely the result keeps to the video"] = 0.5,
    text: Annotated[str | None, "what is to be seen; none = the text that the video was made from"] = None,
    set: Annotated[list[str], _SET] = [],  # noqa: A002, B006 - the flag's name; never changed
    settings: Annotated[dict[str, Any], _SETTINGS] = {},  # noqa: B006 - never changed
) -> JobRequest:
    """Have videos enlarged to three times their width and height, in pieces, by the model for that."""
    if not videos:
        raise UsageError("Name at least one video.")
    requests = load("treadle.recipes.transfer_requests:enlarged")(videos, weight, text, set)
    payload = TransferPayload(backend, host, tuple(requests), batch=False, settings=dict(settings))
    return _request(workspace, "upscale", payload)


@dataclass(frozen=True, slots=True)
class AdjustReport:
    """What of a transfer was changed on the way."""

    job: int
    changes: dict[str, Any]
    """All changes so far, by setting."""


@operation(
    "light",
    noun="transfer",
    examples=(
        "treadle transfer adjust 12 --set guidance=4",
        "treadle transfer adjust 12 --set steps=20 --set sigma=60",
    ),
)
def adjust(
    workspace: WorkspaceFolder,
    job: Annotated[int, "number of the job, waiting or running"],
    *,
    set: Annotated[list[str], "NAME=VALUE: guidance, steps or sigma; may be repeated"],  # noqa: A002 - the flag's name
) -> AdjustReport:
    """Change settings of a transfer while it goes on: what has begun keeps them, the next clip or launch takes them.

    A target that makes all clips of a video in one go takes them with its next launch; by `diffusers`, guidance
    changes with the next clip.
    """
    return AdjustReport(job, load("treadle.recipes.transfer_requests:adjust")(workspace, job, set))


def _request(workspace: WorkspaceFolder, verb: str, payload: TransferPayload, *, strict: bool = False) -> JobRequest:
    """A job of the host's queue; `any` becomes the host that suits best now."""
    unsaid: tuple[str, ...] = load("treadle.recipes.transfer_requests:unsaid")(workspace, payload)
    if strict and unsaid:
        raise UsageError(f"{payload.backend} cannot be told all of this. {' '.join(unsaid)}")
    chosen: TransferPayload = load("treadle.recipes.transfer_place:placed")(workspace, replace(payload, unsaid=unsaid))
    queue = f"host:{chosen.host}"
    return JobRequest(workspace, queue, f"transfer.{verb}", asdict(chosen), "light", notes=chosen.notes)
