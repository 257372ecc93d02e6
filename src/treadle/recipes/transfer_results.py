"""What a launch made becomes results of the run: videos that carry how they were made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from treadle.base.files import locked, read_json, write_json
from treadle.base.hashing import hash_file
from treadle.recipes.transfer_launch import is_video
from treadle.video import frames, origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from treadle.jobs.context import RunContext
    from treadle.operations.transfer import TransferPayload
    from treadle.recipes.transfer_work import LaunchRecord, Work
    from treadle.store.workspace import WorkspaceFolder
    from treadle.video.frames import Frame
    from treadle.video.transfer.dialects.written import Written
    from treadle.video.transfer.spec import TransferSpec

_WARM = "warm.json"
_OF_WEIGHTS = ("model", "model_id", "step", "weights")
"""What `local_tiny_models.weights_of` tells."""


def take(
    context: RunContext,
    payload: TransferPayload,
    specs: Sequence[TransferSpec],
    work: Work,
    launch: LaunchRecord,
    written: Written,
) -> list[int]:
    """Enter the videos of a launch into the run's outputs; returns the items that it has made (a piece of)."""
    folder, run = work.folder(launch), written.runs[launch.piece]
    made = [place for place, output in enumerate(run.outputs) if is_video(folder / output)]
    share = launch.seconds / max(1, len(made))
    for place in made:
        number = launch.items[place]
        item = work.items[number]
        item.seconds += share
        source = folder / run.outputs[place]
        if launch.piece < len(written.runs) - 1:
            continue
        name = f"{item.name}.mp4"
        about = made_by(payload, number, specs[number], written)
        about["options"] |= _told(source)
        if len(written.runs) == 1:
            item.sha256 = hash_file(source)
            origin.embed(source, context.run.outputs / name, about)
        else:
            _join(context, work, written, number, about)
        item.state, item.video = "done", name
        context.emit("item_done", item=number, name=item.name, video=name, seconds=item.seconds)
    return [launch.items[place] for place in made]


def made_by(payload: TransferPayload, number: int, spec: TransferSpec, written: Written) -> dict[str, Any]:
    """What is stored in the file: with it, the video can be made again."""
    maps = [control.map.path for control in spec.controls if control.map is not None]
    sources = [*([spec.video.path] if spec.video else []), *maps]
    request = payload.requests[number]
    return {
        "tool": "transfer run",
        "sources": [origin.described(source) for source in sources],
        "options": {
            "backend": payload.backend,
            "host": payload.host,
            "dialect": written.dialect,
            "model": payload.settings.get("model"),
        },
        "spec": spec.to_json(),
        **({"prompt": request["prompt"]} if request.get("prompt") else {}),
    }


def _told(source: Path) -> dict[str, Any]:
    """What a video says of the weights that made it: programs of our own know them, others say nothing."""
    options = frames.probe(source).made_by.get("options")
    known = options if isinstance(options, dict) else {}
    return {key: known[key] for key in _OF_WEIGHTS if key in known}


def _join(context: RunContext, work: Work, written: Written, number: int, about: dict[str, Any]) -> None:
    """Put the clips of a request that took several runs after one another."""
    pieces = zip(work.pieces(number), written.runs, strict=True)
    sources = [work.folder(launch) / run.outputs[0] for launch, run in pieces]
    target = context.run.outputs / f"{work.items[number].name}.mp4"
    with frames.FrameWriter(target, frames.rate(sources[0]), quality="high", made_by=about) as writer:
        for frame in _joined(sources):
            writer.write(frame)
    work.items[number].sha256 = hash_file(target)


def _joined(sources: Sequence[Path]) -> Iterator[Frame]:
    """All frames; the first of a clip repeats the last of the one before."""
    for place, source in enumerate(sources):
        for count, frame in enumerate(frames.read_frames(source)):
            if count or not place:
                yield frame


def remember_warm(workspace: WorkspaceFolder, host: str, key: str, work: Work) -> None:
    """Note for which requests a model is loaded on a host, for those who choose among hosts."""
    if any(launch.loaded_seconds is not None or launch.saved_seconds is not None for launch in work.launches):
        path = workspace.root / "hosts" / host / _WARM
        with locked(workspace.root / "hosts" / ".warm.lock"):
            write_json(path, {"key": key, "time": time.time()})


def warm_key(workspace: WorkspaceFolder, host: str, within: float) -> str | None:
    """For which requests a model was loaded on a host not longer than `within` seconds ago."""
    path = workspace.root / "hosts" / host / _WARM
    found = read_json(path) if path.is_file() else None
    return str(found["key"]) if found and time.time() - float(found["time"]) < within else None
