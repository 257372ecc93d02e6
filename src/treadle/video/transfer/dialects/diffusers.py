"""The words of the pipeline `Cosmos2_5_TransferPipeline` of the library diffusers: the arguments of one call.

There is no program to give arguments to; whoever makes the call reads `call.json`. One control, one weight, no mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.base.errors import UsageError
from treadle.video.transfer.clips import ClipPlan, clip_count, planned, snapped
from treadle.video.transfer.dialects.inputs import ending, map_file, rate_remarks
from treadle.video.transfer.dialects.written import Files, Written, WrittenRun, refuse
from treadle.video.transfer.weights import Schedule, Steps
from treadle.video.transfer.weights_adaptive import measured

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.spec import TransferSpec

CLIP = 93
_KINDS = ("edge", "vis", "depth", "seg")


class Diffusers:
    """See `Dialect`."""

    name = "diffusers"
    snaps = True

    def plan(self, spec: TransferSpec) -> ClipPlan:
        """Clips of 93 frames; one stream of noise runs through all of them."""
        count = clip_count(spec.frames, CLIP, spec.overlap)
        return planned(spec.frames, CLIP, spec.overlap, [spec.seed, *[None] * (count - 1)])

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """None: one call makes one video."""
        del spec
        return None

    def write(self, specs: Sequence[TransferSpec], folder: str) -> Written:
        """See `Dialect`."""
        if len(specs) > 1:
            refuse(self.name, ["One call makes one video; send the requests one by one."])
        spec = measured(specs[0], self.plan(specs[0]))
        refuse(self.name, _impossible(spec))
        files, control = Files(folder), spec.controls[0]
        drawn = map_file(spec, control, 0, spec.frames)
        if drawn is None:
            raise UsageError(f"diffusers makes no map of {control.kind}; give one.")
        width, height = snapped(*spec.size)
        call = {
            "controls": files.put(f"inputs/{control.kind}{ending(drawn)}", drawn),
            "controls_conditioning_scale": _weight(spec),
            "prompt": spec.text,
            "negative_prompt": spec.negative,
            "height": height,
            "width": width,
            "num_frames": spec.frames,
            "num_frames_per_chunk": CLIP,
            "num_inference_steps": spec.steps,
            "guidance_scale": float(spec.guidance),
            "num_ar_conditional_frames": spec.overlap,
        }
        path = files.put_json("call.json", {"call": call, "control": control.kind, "seed": spec.seed, "fps": spec.fps})
        run = WrittenRun((path, f"{folder.rstrip('/')}/outputs"), ("outputs/output.mp4",), 0, spec.frames)
        return Written(self.name, files.contents, (run,), _unsaid(spec), _remarks(spec))


DIALECT = Diffusers()


def _weight(spec: TransferSpec) -> float | None:
    weight = spec.controls[0].weight
    return weight.constant if isinstance(weight, Schedule | Steps) else None


def _impossible(spec: TransferSpec) -> list[str]:
    found = []
    if len(spec.controls) > 1:
        found.append(f"It takes one control, not {len(spec.controls)} ({', '.join(spec.kinds)}).")
    control = spec.controls[0]
    if control.kind not in _KINDS:
        found.append(f"It knows {', '.join(_KINDS)}, not {control.kind}.")
    if _weight(spec) is None:
        found.append(f"The weight of {control.kind} must be one number for the whole video; it is {control.weight}.")
    if control.weight_subject is not None:
        found.append("A weight cannot follow a subject (`weight_subject`).")
    if spec.distilled:
        found.append("It has no distilled model.")
    if spec.frames <= spec.overlap:
        found.append(f"Of {spec.frames} frames it makes none at an overlap of {spec.overlap}.")
    return found


def _unsaid(spec: TransferSpec) -> tuple[str, ...]:
    found = []
    if spec.style is not None:
        found.append("style: no picture can give the look; say it in the text.")
    if 0 < spec.guidance <= 1:
        found.append(f"guidance={spec.guidance:g}: it counts from more than 1 on, and is none below.")
    if "sigma" in spec.given:
        found.append(f"sigma={spec.sigma:g}: it begins from noise alone.")
    return tuple(found)


def _remarks(spec: TransferSpec) -> tuple[str, ...]:
    return ("Of the input, only the control map is sent.", *rate_remarks(spec))
