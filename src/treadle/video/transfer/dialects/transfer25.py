"""The words of NVIDIA's cosmos-transfer2.5: a JSON file for each video, or lines of JSON for a batch.

Its parser is strict about settings, but lets misspelled keys of controls pass. What it does otherwise:

- An empty negative text fails, or in a batch takes that of the video before: a blank is sent.
- Weights reach from 0 to 1, and are scaled down together by the target only where one of them has a mask, place by
  place: without masks they are sent as they are scaled, with masks as they were given.
- The frame rate of the result is that of the input without its fraction.
- A mask is read as yes or no; weights cannot change inside a clip.
- It knows files by their endings, and makes a picture, no video, of a single frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.video.transfer.clips import ClipPlan, chained_seeds, clip_count, planned
from treadle.video.transfer.dialects.inputs import MaskVideo, Piece, ending, map_file, video_file
from treadle.video.transfer.dialects.written import Files, Written, WrittenRun, refuse
from treadle.video.transfer.weights import Mask, Schedule, clip_weight, normalised
from treadle.video.transfer.weights_adaptive import measured

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.clips import Clip
    from treadle.video.transfer.dialects.written import Content
    from treadle.video.transfer.spec import Control, TransferSpec

CLIP = 93
"""Frames that the model makes at a time."""
MOST_GUIDANCE = 7
PURE_NOISE = 200.0
_KINDS = ("edge", "vis", "depth", "seg")
_OVERLAPS = (0, 1, 2)
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_PICTURES = (".png", ".jpg", ".jpeg")
_PROGRAM = ("examples/inference.py",)


class Transfer25:
    """See `Dialect`."""

    name = "transfer25"
    snaps = True

    def plan(self, spec: TransferSpec) -> ClipPlan:
        """Clips of 93 frames; the seed of each is drawn with that of the one before."""
        count = clip_count(spec.frames, CLIP, spec.overlap)
        return planned(spec.frames, CLIP, spec.overlap, chained_seeds(spec.seed, count))

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """The kinds of controls: with others in the batch, another model would be used, with another result."""
        if len(_pieces(spec, self.plan(spec))) > 1:
            return None
        return (self.name, frozenset(spec.kinds))

    def write(self, specs: Sequence[TransferSpec], folder: str) -> Written:
        """See `Dialect`."""
        specs = [measured(spec, self.plan(spec)) for spec in specs]
        refuse(self.name, [reason for spec in specs for reason in _impossible(spec, self.plan(spec))])
        files = Files(folder)
        unsaid = tuple(dict.fromkeys(line for spec in specs for line in _unsaid(spec)))
        remarks = _remarks(specs[0], len(_pieces(specs[0], self.plan(specs[0]))))
        if len(specs) > 1:
            keys = {self.shared(spec) for spec in specs}
            if None in keys or len(keys) > 1:
                refuse(self.name, ["These requests have other controls; send them one by one."])
            rows = []
            for number, spec in enumerate(specs):
                piece = _pieces(spec, self.plan(spec))[0]
                rows.append(_sample(files, spec, piece, spec.seed, f"video_{number}", f"_{number}"))
            outputs = tuple(f"outputs/{row['name']}.mp4" for row in rows)
            path = files.put_lines("batch.jsonl", rows)
            run = WrittenRun(_arguments(path, folder), outputs, 0, max(spec.frames for spec in specs))
            return Written(self.name, files.contents, (run,), unsaid, remarks, _PROGRAM)
        spec, runs = specs[0], []
        plan = self.plan(spec)
        pieces = _pieces(spec, plan)
        for piece in pieces:
            mark = f"_{piece.number:03d}" if len(pieces) > 1 else ""
            before = plan.clips[piece.number - 1].seed if piece.number else None
            seed = spec.seed if before is None else before
            row = _sample(files, spec, piece, seed, f"output{mark}", mark)
            path = files.put_json(f"spec{mark}.json", row)
            runs.append(
                WrittenRun(_arguments(path, folder), (f"outputs/{row['name']}.mp4",), piece.first, piece.frames)
            )
        return Written(self.name, files.contents, tuple(runs), unsaid, remarks, _PROGRAM)


DIALECT = Transfer25()


def _arguments(path: str, folder: str) -> tuple[str, ...]:
    return ("-i", path, "-o", f"{folder.rstrip('/')}/outputs")


def _sample(files: Files, spec: TransferSpec, piece: Clip, seed: int, name: str, mark: str) -> dict[str, Any]:
    video = _known(video_file(spec, piece.first, piece.frames), piece)
    value: dict[str, Any] = {
        "name": name,
        "prompt": spec.text,
        "negative_prompt": spec.negative or " ",
        "video_path": video and files.put(f"inputs/video{mark}{ending(video)}", video),
        "seed": seed,
        "guidance": int(spec.guidance),
        "num_steps": spec.steps,
        "num_conditional_frames": spec.overlap,
        "num_video_frames_per_chunk": CLIP,
        "max_frames": piece.frames,
    }
    if spec.sigma < PURE_NOISE:
        value["sigma_max"] = str(spec.sigma)
    if spec.style is not None:
        value["image_context_path"] = files.put(f"inputs/style{mark}{spec.style.suffix.lower()}", spec.style)
    shared = spec.overlap if piece.number else 0  # frames that stand in the clip before with its weights
    span = piece.first + shared, piece.frames - shared
    asked = [clip_weight(control.weight, piece.number, *span) for control in spec.controls]
    weights = np.array(asked) if _masked(spec) else normalised(np.array(asked))
    for control, weight in zip(spec.controls, weights, strict=True):
        value[control.kind] = _control(files, spec, control, piece, mark) | {"control_weight": round(float(weight), 6)}
    return value


def _control(files: Files, spec: TransferSpec, control: Control, piece: Clip, mark: str) -> dict[str, Any]:
    value: dict[str, Any] = {}
    drawn = _known(map_file(spec, control, piece.first, piece.frames), piece)
    if drawn is not None:
        value["control_path"] = files.put(f"inputs/{control.kind}{mark}{ending(drawn)}", drawn)
    if control.kind == "edge" and control.strength is not None:
        value["preset_edge_threshold"] = control.strength
    if control.kind == "vis" and control.strength is not None:
        value["preset_blur_strength"] = control.strength
    if control.subject is not None:
        value["control_prompt"] = control.subject
    if control.weight_subject is not None:
        value["mask_prompt"] = control.weight_subject
    if isinstance(control.weight, Mask):
        mask = MaskVideo(control.weight.path, spec.source.path, piece.first, piece.frames)
        value["mask_path"] = files.put(f"inputs/{control.kind}_mask{mark}.mp4", mask)
    return value


def _known(content: Content | None, piece: Clip) -> Content | None:
    """A video whose ending the target does not know is copied, frame by frame, into one that it does."""
    unknown = isinstance(content, Path) and ending(content) not in _VIDEOS
    return Piece(content, piece.first, piece.frames) if isinstance(content, Path) and unknown else content


def _masked(spec: TransferSpec) -> bool:
    """Whether a weight holds in some places only."""
    return any(isinstance(control.weight, Mask) or control.weight_subject for control in spec.controls)


def _pieces(spec: TransferSpec, plan: ClipPlan) -> tuple[Clip, ...]:
    for control in spec.controls:
        constant = control.weight.inside.constant if isinstance(control.weight, Mask) else _constant(control)
        if constant is None and len(plan.clips) > 1:
            return plan.clips
    return (planned(spec.frames, spec.frames, 0, [spec.seed]).clips[0],)


def _constant(control: Control) -> float | None:
    return getattr(control.weight, "constant", None)


def _impossible(spec: TransferSpec, plan: ClipPlan) -> list[str]:
    found = []
    if spec.video is None:
        found.append("It needs a video.")
    strange = [kind for kind in spec.kinds if kind not in _KINDS]
    if strange:
        found.append(f"It knows {', '.join(_KINDS)}, not {', '.join(strange)}.")
    if spec.guidance != int(spec.guidance) or spec.guidance > MOST_GUIDANCE:
        found.append(f"Its guidance is a whole number from 0 to {MOST_GUIDANCE}, not {spec.guidance:g}.")
    if spec.overlap not in _OVERLAPS:
        found.append(f"Its clips are conditioned on 0, 1 or 2 frames (overlap), not {spec.overlap}.")
    if spec.style is not None and spec.style.suffix.lower() not in _PICTURES:
        found.append(f"Its style picture is PNG or JPEG, not {spec.style.name}.")
    if spec.frames == 1:
        found.append("Of a single frame it makes a picture, not a video.")
    if spec.style is not None and "vis" in spec.kinds:
        found.append("A style picture and the control vis both give the look; leave one out.")
    if spec.distilled:
        found.append("Its distilled model is an experiment there and is not used.")
    if spec.overlap != 1 and len(_pieces(spec, plan)) > 1:
        found.append(f"Clips with weights of their own share one frame: overlap=1, not {spec.overlap}.")
    for control in spec.controls:
        found += _impossible_weight(control, plan, masked=_masked(spec))
    return found


def _impossible_weight(control: Control, plan: ClipPlan, *, masked: bool) -> list[str]:
    weight, found = control.weight, []
    most = max(clip_weight(weight, clip.number, clip.first, clip.frames) for clip in plan.clips)
    if masked and most > 1:
        found.append(
            f"Beside a weight that holds in some places only, {control.kind} reaches from 0 to 1, not to {most:g}."
        )
    course = weight.inside if isinstance(weight, Mask) else weight
    spans = [course.over(clip.first, clip.frames) for clip in plan.clips] if isinstance(course, Schedule) else []
    if any(np.ptp(span[plan.overlap if number else 0 :]) > 1e-9 for number, span in enumerate(spans)):
        found.append(
            f"The weight of {control.kind} changes inside a clip of {CLIP} frames, and there it cannot change."
        )
    if isinstance(weight, Mask) and weight.outside:
        found.append(f"Outside of a mask its weight is 0, not {weight.outside:g} ({control.kind}).")
    return found


def _unsaid(spec: TransferSpec) -> tuple[str, ...]:
    rate = int(spec.source.fps)
    if "fps" in spec.given and spec.fps != rate:
        return (f"fps={spec.fps}: the result has the rate of the input, {rate}.",)
    return ()


def _remarks(spec: TransferSpec, runs: int) -> tuple[str, ...]:
    rate = spec.source.fps
    found = ["The result is scaled back to the size of the input, and has its frame rate."]
    if rate != int(rate):
        found.append(f"Its clock knows whole frames a second: {int(rate)} where the input has {rate:g}.")
    if spec.sigma < PURE_NOISE:
        found.append(f"sigma={spec.sigma:g} is of {PURE_NOISE:g}, which is noise alone and this target's own default.")
    if runs > 1:
        found.append(f"The weights change, so each of the {runs} clips is a run of its own and begins anew.")
    if any(isinstance(control.weight, Mask) for control in spec.controls):
        found.append("Masks are read as yes or no: from half of white on, yes.")
    return tuple(found)
