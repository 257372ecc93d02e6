"""The words of NVIDIA's cosmos-transfer1: a JSON file of controls, and for batches a line of JSON for each video.

All settings stand in the JSON file and none among the arguments, because `--seed=5` there would not count against it
while `--seed 5` would. What else its program does with what it is given, and how that is met here:

- Its automatic edge maps ignore the threshold: maps of edges and blurs are drawn here and sent.
- A weight map is stretched over the 121 frames of the first clip, whatever its length: maps are padded to 121 frames,
  and where weights change beyond one clip, each clip is a run of its own.
- A weight of the number 0 counts as 1 beside a map: it is sent as the text "0.0".
- An empty negative text crashes it: a blank is sent.
- In batches, what one item leaves unsaid is taken from the shared file: the shared file says nothing but kinds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import UsageError
from treadle.video.transfer.clips import ClipPlan, clip_count, counted_seeds, planned, snapped
from treadle.video.transfer.dialects.inputs import ending, map_file, rate_remarks, video_file
from treadle.video.transfer.dialects.written import Files, Written, WrittenRun, refuse
from treadle.video.transfer.weights import Adaptive, Mask, Schedule, Steps
from treadle.video.transfer.weights_adaptive import measured
from treadle.video.transfer.weights_file import torch_file
from treadle.video.transfer.weights_mask import WeightFile, is_picture, weight_map

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.clips import Clip
    from treadle.video.transfer.spec import Control, TransferSpec

CLIP, OVERLAP = 121, 1
"""Frames that the model makes at a time, and by how many the next clip begins earlier."""
MOST_FRAMES = 5000
"""The program reads no further."""
PURE_NOISE = 80.0
"""From this sigma on the model begins from noise alone."""
_DRIVING = ("hdmap", "lidar")
_STRENGTHS = {"edge": "canny_threshold", "vis": "blur_strength"}
"""What it calls the strengths of maps; of no effect, since the maps are drawn here, but true."""
_PROGRAM = ("cosmos_transfer1/diffusion/inference/transfer.py",)


class Transfer1:
    """See `Dialect`."""

    name = "transfer1"
    snaps = True

    def plan(self, spec: TransferSpec) -> ClipPlan:
        """Clips of 121 frames, one every 120; the seed counts up."""
        seeds = counted_seeds(spec.seed, clip_count(spec.frames, CLIP, OVERLAP))
        return planned(spec.frames, CLIP, OVERLAP, seeds)

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """Everything but text, video and controls; a request of several runs, or without a video, stands alone."""
        if spec.video is None or spec.kinds == ("upscale",) or len(_pieces(spec, self.plan(spec))) > 1:
            return None
        numbers = (spec.seed, spec.steps, spec.guidance, spec.sigma, spec.fps)
        return (self.name, spec.kinds, spec.negative, *numbers, spec.distilled)

    def write(self, specs: Sequence[TransferSpec], folder: str) -> Written:
        """See `Dialect`."""
        specs = [measured(spec, self.plan(spec)) for spec in specs]
        refuse(self.name, [reason for spec in specs for reason in _impossible(spec)])
        if len(specs) > 1:
            return self._batch(specs, folder)
        spec = specs[0]
        files, runs = Files(folder), []
        pieces = _pieces(spec, self.plan(spec))
        for piece in pieces:
            mark = f"_{piece.number:03d}" if len(pieces) > 1 else ""
            value = {**_shared_keys(spec, piece.seed), "prompt": spec.text, "video_save_name": f"output{mark}"}
            value |= {_STRENGTHS[one.kind]: one.strength for one in spec.controls if one.strength is not None}
            video = video_file(spec, piece.first, piece.frames)
            if video is not None:
                value["input_video_path"] = files.put(f"inputs/video{mark}{ending(video)}", video)
            for control in spec.controls:
                value[control.kind] = _control(files, spec, control, piece, mark)
            path = files.put_json(f"spec{mark}.json", value)
            arguments = ("--controlnet_specs", path, "--video_save_folder", f"{folder.rstrip('/')}/outputs")
            runs.append(WrittenRun(arguments, (f"outputs/output{mark}.mp4",), piece.first, piece.frames))
        unsaid, remarks = _unsaid(spec), _remarks(spec, len(pieces))
        return Written(self.name, files.contents, tuple(runs), unsaid, remarks, _PROGRAM)

    def _batch(self, specs: Sequence[TransferSpec], folder: str) -> Written:
        first = specs[0]
        keys = {self.shared(spec) for spec in specs}
        if None in keys or len(keys) > 1:
            refuse(self.name, ["These requests differ in what a batch shares; send them one by one."])
        files, rows = Files(folder), []
        for number, spec in enumerate(specs):
            piece = _pieces(spec, self.plan(spec))[0]
            video = video_file(spec, 0, spec.frames)
            rows.append(
                {
                    "visual_input": video and files.put(f"inputs/video_{number}{ending(video)}", video),
                    "prompt": spec.text,
                    "control_overrides": {
                        control.kind: _control(files, spec, control, piece, f"_{number}") for control in spec.controls
                    },
                }
            )
        value = {**_shared_keys(first, first.seed), "prompt": first.text, "input_video_path": rows[0]["visual_input"]}
        value.update({control.kind: {"control_weight": 1.0} for control in first.controls})
        path, batch = files.put_json("spec.json", value), files.put_lines("batch.jsonl", rows)
        outputs = f"{folder.rstrip('/')}/outputs"
        arguments = ("--controlnet_specs", path, "--batch_input_path", batch, "--video_save_folder", outputs)
        made = tuple(f"outputs/video_{number}/output.mp4" for number in range(len(specs)))
        run = WrittenRun(arguments, made, 0, max(spec.frames for spec in specs))
        unsaid = dict.fromkeys(line for spec in specs for line in _unsaid(spec))
        return Written(self.name, files.contents, (run,), tuple(unsaid), _remarks(first, 1), _PROGRAM)


DIALECT = Transfer1()


def _shared_keys(spec: TransferSpec, seed: int | None) -> dict[str, Any]:
    value: dict[str, Any] = {
        "negative_prompt": spec.negative or " ",
        "seed": seed,
        "num_steps": spec.steps,
        "guidance": spec.guidance,
        "sigma_max": spec.sigma,
        "fps": spec.fps,
        "num_input_frames": OVERLAP,
    }
    if spec.distilled:
        value["use_distilled"] = True
    if set(spec.kinds) & set(_DRIVING):
        value["is_av_sample"] = True
    return value


def _control(files: Files, spec: TransferSpec, control: Control, piece: Clip, mark: str) -> dict[str, Any]:
    value: dict[str, Any] = {"control_weight": _weight(files, spec, control, piece, mark)}
    drawn = map_file(spec, control, piece.first, piece.frames)
    if drawn is not None:
        value["input_control"] = files.put(f"inputs/{control.kind}{mark}{ending(drawn)}", drawn)
    if control.subject is not None:
        value["input_control_prompt"] = control.subject
    if control.weight_subject is not None:
        value["control_weight_prompt"] = control.weight_subject
    return value


def _weight(files: Files, spec: TransferSpec, control: Control, piece: Clip, mark: str) -> float | str:
    weight = control.weight
    if isinstance(weight, Steps):
        return _number(weight.weights[piece.number])
    if isinstance(weight, Adaptive):
        raise UsageError(f"The weight of {control.kind} must be measured before it is sent.")
    # A request in one run may have several clips here only if its weights are the same for all of them.
    count = min(piece.frames, CLIP)
    if isinstance(weight, Schedule) and np.ptp(course := weight.over(piece.first, count)) == 0:
        return _number(float(course[0]))
    name = f"inputs/{control.kind}_weight{mark}.pt"
    if isinstance(weight, Schedule):
        return files.put(name, torch_file(weight_map(weight, piece.first, count, CLIP, (8, 8))))
    return files.put(name, WeightFile(weight, piece.first, count, CLIP, snapped(*spec.size)))


def _number(weight: float) -> float | str:
    return float(weight) or "0.0"


def _pieces(spec: TransferSpec, plan: ClipPlan) -> tuple[Clip, ...]:
    """The runs of a request: one, or one for each clip where weights change in ways that one run cannot carry."""
    changing = len(plan.clips) > 1 and any(_changes(control) for control in spec.controls)
    if changing:
        return plan.clips
    whole = planned(spec.frames, spec.frames, 0, [spec.seed]).clips[0]
    return (whole,)


def _changes(control: Control) -> bool:
    weight = control.weight
    if isinstance(weight, Mask):
        return weight.inside.constant is None or not is_picture(weight.path)
    return not isinstance(weight, Schedule | Steps) or weight.constant is None


def _impossible(spec: TransferSpec) -> list[str]:
    found = []
    if not 2 <= spec.frames <= MOST_FRAMES:
        found.append(f"It makes 2 to {MOST_FRAMES} frames, not {spec.frames}.")
    if spec.video is None and spec.sigma < PURE_NOISE:
        found.append(
            f"Without a video it begins from noise alone: set sigma={PURE_NOISE:g} or more, not {spec.sigma:g}."
        )
    driving = set(spec.kinds) & set(_DRIVING)
    if driving and set(spec.kinds) - driving:
        found.append("hdmap and lidar belong to the model for driving, which knows no other control.")
    if spec.distilled and spec.kinds != ("edge",):
        found.append("Its distilled model knows the edge control alone.")
    if "upscale" in spec.kinds and not (
        isinstance(spec.controls[0].weight, Schedule) and spec.controls[0].weight.constant is not None
    ):
        found.append("The weight of upscale is one number.")
    return found


def _unsaid(spec: TransferSpec) -> tuple[str, ...]:
    found = []
    if spec.style is not None:
        found.append("style: no picture can give the look; say it in the text.")
    if spec.overlap != OVERLAP:
        found.append(f"overlap={spec.overlap}: each clip is conditioned on {OVERLAP} frame of the one before.")
    if spec.distilled:
        ignored = [key for key in ("negative", "guidance", "sigma") if key in spec.given]
        found += [f"{key}: the distilled model has no use for it." for key in ignored]
    return tuple(found)


def _remarks(spec: TransferSpec, runs: int) -> tuple[str, ...]:
    found = rate_remarks(spec)
    if runs > 1:
        found.append(
            f"The weights change beyond one clip, so each of the {runs} clips is a run of its own. None sees "
            "the end of the one before: look at the seams (`treadle video coherence`)."
        )
    if spec.video is not None and spec.sigma >= PURE_NOISE:
        found.append(f"With sigma={spec.sigma:g} the video itself is not used, only its control maps.")
    return tuple(found)
