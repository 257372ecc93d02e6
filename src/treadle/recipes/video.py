"""Work on videos: read frame by frame, change, write; and say how far it is."""

from __future__ import annotations

import dataclasses
import time
from fractions import Fraction
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, MissingExtraError
from treadle.base.files import new_folder, read_json, write_json
from treadle.base.hashing import hash_file
from treadle.recipes import video_maps, video_pictures
from treadle.recipes.frame_counting import Counted
from treadle.recipes.pictures import check_target

try:
    from treadle.video import chunks, controls, frames, interpolation, measures, origin, steadying
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"av", "cv2", "PIL"}:
        raise
    raise MissingExtraError("Videos need an optional part: pip install 'treadle[video]'.") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from treadle.jobs.context import RunContext
    from treadle.operations.video import VideoPayload
    from treadle.video.frames import Frame

CLIP, STRIDE = 121, 120
"""Frames that Cosmos-Transfer 1 makes at a time, and by how many the next clip begins later."""
_SAME_RATE = 0.01
"""Frames a second by which headers round."""
_MOST_SEAMS = 20
_PLAN = "chunks.json"


def probe(path: Path) -> dict[str, Any]:
    """What a file says of its video, and how many clips it would be."""
    found = dataclasses.asdict(frames.probe(path.expanduser()))
    clips = max(1, -(-(found["frames"] - 1) // STRIDE))
    return {**found, "clips": clips, "waste": max(0.0, 1 - found["frames"] / (clips * STRIDE + 1))}


def run(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    """Carry out one tool; returns what came of it."""
    began = time.monotonic()
    answer = _TOOLS[payload.tool](context, payload)
    return {
        "tool": payload.tool,
        "out": payload.out,
        "outcome": "done",
        "seconds": round(time.monotonic() - began, 2),
        **answer,
    }


def _controls(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    source, options = Path(payload.sources[0]), payload.options
    if "given" in options:
        told: dict[str, Any] = {}
        use = video_maps.MapUse(source, Path(payload.sources[1]), options)
        drawn = video_maps.drawn(use, lambda passes, done: _watched(context, source, passes, done), told)
        return {**options, **_written(payload, drawn, frames.rate(source)), **told}
    draw = controls.edge_map if options["control"] == "edge" else controls.blurred
    made = (draw(frame, options["strength"]) for frame in _watched(context, source))
    return {**options, **_written(payload, made, frames.rate(source))}


def _interpolate(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    source = Path(payload.sources[0])
    if payload.options.get("check"):
        return {"check": dataclasses.asdict(interpolation.check(_watched(context, source)))}
    fps, wanted = frames.rate(source), Fraction(payload.options["to"]).limit_denominator(1001)
    made = interpolation.interpolated(_watched(context, source), fps, wanted)
    return {"from_fps": float(fps), "to_fps": float(wanted), **_written(payload, made, wanted, sound=source)}


def _smooth(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    source = Path(payload.sources[0])
    fps = frames.rate(source)
    path, cuts = steadying.camera_path(_watched(context, source, passes=2))
    sigma = float(fps) * payload.options["seconds"] / 2
    made = steadying.steadied(_watched(context, source, passes=2, done=1), path, cuts, sigma)
    written = _written(payload, made, fps, sound=source)
    shake = float(abs(path[:, :2] - steadying.smoothed(path[:, :2], sigma)).mean()) if len(path) else 0.0
    return {"scenes": len(cuts), "shake": shake, **written}


def _deflicker(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    source = Path(payload.sources[0])
    fps = frames.rate(source)
    path, cuts = steadying.brightness_path(_watched(context, source, passes=2))
    factors = steadying.gains(path, cuts, float(fps) * payload.options["seconds"] / 2)
    made = steadying.deflickered(_watched(context, source, passes=2, done=1), factors)
    changed = int((factors != 1).any(axis=1).sum())
    greatest = float(abs(factors - 1).max(initial=0))
    return {"scenes": len(cuts), "changed": changed, "greatest": greatest, **_written(payload, made, fps, sound=source)}


def _chunk(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    source, options, target = Path(payload.sources[0]), payload.options, _target(payload)
    about = {"source": _described(source), "length": options["length"], "overlap": options["overlap"]}
    if (target / _PLAN).is_file() and about.items() <= (done := read_json(target / _PLAN)).items():
        # An attempt before this one was killed when the folder was there, but not yet its answer.
        return {**_lengths(about), "chunks": len(done["chunks"]), "frames": done["frames"]}
    if target.exists():
        raise DataError(f"{target} exists already. Name another folder, or remove it first.")
    fps = frames.rate(source)
    total = sum(1 for _ in _watched(context, source, passes=2))
    plan = chunks.planned(total, options["length"], options["overlap"])
    with new_folder(target) as folder:
        _cut(_watched(context, source, passes=2, done=1), plan, folder, fps, payload)
        rows = [{"file": _name(number), **dataclasses.asdict(chunk)} for number, chunk in enumerate(plan)]
        write_json(folder / _PLAN, {"format": 1, **about, "frames": total, "fps": str(fps), "chunks": rows})
    return {**_lengths(about), "chunks": len(plan), "frames": total}


def _lengths(about: dict[str, Any]) -> dict[str, Any]:
    return {key: about[key] for key in ("length", "overlap")}


def _cut(source: Iterable[Frame], plan: list[chunks.Chunk], folder: Path, fps: Fraction, payload: VideoPayload) -> None:
    """Write each frame into the pieces that have it: two at most, since they overlap by at most half."""
    writers: dict[int, frames.FrameWriter] = {}
    begins = {chunk.begin: index for index, chunk in enumerate(plan)}
    made_by, quality = _made_by(payload), payload.options["quality"]
    try:
        for number, frame in enumerate(source):
            if number in begins:
                index = begins[number]
                about = {**made_by, "chunk": index}
                writers[index] = frames.FrameWriter(folder / _name(index), fps, quality=quality, made_by=about)
            for index in list(writers):
                writers[index].write(frame)
                if plan[index].end == number + 1:
                    writers.pop(index).__exit__(None, None, None)
    except BaseException as error:
        for writer in writers.values():
            writer.__exit__(type(error), error, error.__traceback__)
        raise


def _stitch(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    folder, options = Path(payload.sources[0]), payload.options
    plan, fps, names = _read_plan(folder)
    # The pieces are read once, and the whole once more to see how even it is.
    counted = Counted(context, sum(chunk.end - chunk.begin for chunk in plan) + plan[-1].end)
    pieces = [counted(_exactly(folder / name, chunk)) for name, chunk in zip(names, plan, strict=True)]
    met: list[chunks.Seam] = []
    made = chunks.stitched(pieces, plan, options["join"], match=options["match"], seams=met)
    written = _written(payload, made, fps)
    seen = measures.coherence(counted(frames.read_frames(_target(payload))))
    z = seen.z_scores()
    rows = [{**dataclasses.asdict(seam), "z": float(z[max(0, seam.frame - 2) : seam.frame + 2].max())} for seam in met]
    return {"seams": rows, "drift": seen.drift(), **written}


def _coherence(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    source = Path(payload.sources[0])
    _check_picture(payload)
    found = measures.coherence(_watched(context, source))
    if payload.out is not None:
        video_pictures.coherence(found, float(frames.rate(source)), Path(payload.out))
    seams = [{"frame": place, "z": z} for place, z in found.seams()[:_MOST_SEAMS]]
    count = len(found.colours)
    mean = sum(found.difference) / max(1, len(found.difference))
    return {"frames": count, "cuts": found.cuts, "seams": seams, "drift": found.drift(), "difference": mean}


def _compare(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    first, second = (Path(source) for source in payload.sources)
    _check_picture(payload)
    _check_alike(first, second)
    rows: list[tuple[float, float]] = []
    equal = True
    for a, b in zip_longest(_watched(context, first), frames.read_frames(second)):
        if a is None or b is None:
            raise DataError(f"{first} and {second} are of different length: one ends after frame {len(rows)}.")
        if a.shape != b.shape:
            sizes = [f"{one.shape[1]}x{one.shape[0]}" for one in (a, b)]
            raise DataError(f"{first} is {sizes[0]} and {second} is {sizes[1]}; bring them to one size first.")
        equal = equal and bool((a == b).all())
        rows.append((measures.psnr(a, b), measures.ssim(a, b)))
    if payload.out is not None:
        video_pictures.comparison(rows, float(frames.rate(first)), Path(payload.out))
    psnrs, ssims = zip(*rows, strict=True)
    worst = min(range(len(rows)), key=lambda place: psnrs[place])
    return {
        "frames": len(rows),
        "psnr": {"mean": sum(psnrs) / len(rows), "least": min(psnrs)},
        "ssim": {"mean": sum(ssims) / len(rows), "least": min(ssims)},
        "worst_frame": worst,
        "equal": equal,
    }


def _check_alike(first: Path, second: Path) -> None:
    """Compare what both files say of themselves before anything is read; that may be a few frames off."""
    one, other = frames.probe(first), frames.probe(second)
    if abs(one.frames - other.frames) <= max(2, one.frames // 50):
        return
    message = f"{first} has {one.frames} frames and {second} has {other.frames}; frame by frame needs equally many."
    if abs(one.fps - other.fps) > _SAME_RATE:
        rate = f"--to {one.fps:g} --out FILE.mp4"
        message += f" They have {one.fps:g} and {other.fps:g} a second: treadle video interpolate {second} {rate}"
    else:
        message += " Compare the longer one with what it was made from, or cut both to the same frames first."
    raise DataError(message)


def _from_images(context: RunContext, payload: VideoPayload) -> dict[str, Any]:
    files = frames.image_files(Path(payload.sources[0]))
    counted = Counted(context, len(files))
    fps = Fraction(payload.options["fps"]).limit_denominator(1001)
    return _written(payload, counted(frames.read_images(files)), fps)


_TOOLS: dict[str, Callable[[RunContext, VideoPayload], dict[str, Any]]] = {
    "controls": _controls,
    "interpolate": _interpolate,
    "smooth": _smooth,
    "deflicker": _deflicker,
    "chunk": _chunk,
    "stitch": _stitch,
    "coherence": _coherence,
    "compare": _compare,
    "from-images": _from_images,
}


def _watched(context: RunContext, path: Path, passes: int = 1, done: int = 0) -> Iterator[Frame]:
    """The frames of a video; `done` of the `passes` over it are over."""
    count = frames.probe(path).frames
    return Counted(context, count, passes=passes, done=done)(frames.read_frames(path))


def _written(payload: VideoPayload, made: Iterable[Frame], fps: Fraction, sound: Path | None = None) -> dict[str, Any]:
    target = _target(payload)
    with frames.FrameWriter(
        target, fps, quality=payload.options["quality"], made_by=_made_by(payload), sound=sound
    ) as writer:
        for frame in made:
            writer.write(frame)
    return {"frames": writer.frames, "fps": float(fps), "bytes": target.stat().st_size}


def _target(payload: VideoPayload) -> Path:
    if payload.out is None:
        raise DataError("The request is damaged: it does not say where to write.")
    return Path(payload.out)


def _made_by(payload: VideoPayload) -> dict[str, Any]:
    """What is stored in the file: with it, the file can be made again."""
    described = [_described(Path(source)) for source in payload.sources]
    return {"tool": f"video {payload.tool}", "sources": described, "options": dict(payload.options)}


def _described(source: Path) -> dict[str, Any]:
    if source.is_dir():
        plan = source / _PLAN
        return {"path": str(source), "sha256": hash_file(plan) if plan.is_file() else None}
    return origin.described(source)


def _name(number: int) -> str:
    return f"chunk_{number:03d}.mp4"


def _read_plan(folder: Path) -> tuple[list[chunks.Chunk], Fraction, list[str]]:
    """What `chunk` wrote; raises `DataError` for a plan that is not whole or leads out of its folder."""
    plan = read_json(folder / _PLAN)
    try:
        rows = [chunks.Chunk(int(row["begin"]), int(row["end"])) for row in plan["chunks"]]
        names = [str(row["file"]) for row in plan["chunks"]]
        fps = Fraction(plan["fps"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{folder / _PLAN} is not a plan of pieces ({error}).") from error
    whole = bool(rows) and rows[0].begin == 0 and fps > 0
    for before, after in pairwise(rows):
        whole = whole and before.begin < after.begin <= before.end < after.end
    if not whole or any(Path(name).name != name for name in names):
        raise DataError(f"{folder / _PLAN} is not a plan of pieces: they do not follow each other.")
    return rows, fps, names


def _exactly(path: Path, chunk: chunks.Chunk) -> Iterator[Frame]:
    """The frames of a piece, which must be as many as planned."""
    wanted, number = chunk.end - chunk.begin, 0
    for frame in frames.read_frames(path):
        number += 1
        if number > wanted:
            break
        yield frame
    if number != wanted:
        more = "more" if number > wanted else f"only {number}"
        raise DataError(f"{path} has {more} frames where {wanted} were planned; make it again.")


def _check_picture(payload: VideoPayload) -> None:
    """Say before any work is done if the picture could not be written."""
    if payload.out is not None:
        check_target(Path(payload.out))
