"""The words of our own small models: one file with all requests, read by `recipes/local_tiny.py`.

A model is trained on clips of some frames and pixels. All is said frame by frame, and the program that has the model
cuts it into its clips; whoever knows the model tells this dialect how long they are, for what is decided clip by clip.
"""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.files import write_bytes
from treadle.video.transfer.clips import ClipPlan, clip_count, counted_seeds, planned
from treadle.video.transfer.dialects.inputs import ending, map_file, video_file
from treadle.video.transfer.dialects.written import Files, Written, WrittenRun, refuse
from treadle.video.transfer.weights import Mask, Steps
from treadle.video.transfer.weights_adaptive import measured
from treadle.video.transfer.weights_mask import CELL, weight_map

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from pathlib import Path

    from treadle.video.transfer.spec import Control, TransferSpec

CLIP = 8
"""Frames of a clip of a model with usual settings (`data.clip_frames`)."""
EDGE = 64
"""Cells of the larger side of a map of weights: no model sees more."""
MOST_GUIDANCE = 3.0
"""Beyond, small models exaggerate colours and lose the edges (docs/experiments.md)."""
USUAL: Mapping[str, float] = {"guidance": 1.5, "steps": 12}
"""Settings that suit its models, where nobody set others: the usual ones are those of large models, and with 32 steps
its clips are no better than with 8 (docs/experiments.md)."""
_KINDS = ("edge", "vis")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A mask as numbers, (T, H, W) in numpy's format."""

    weight: Mask
    frames: int
    size: tuple[int, int]
    """Width and height, in cells."""

    def about(self) -> str:
        """See `Derived`."""
        return f"weights of the mask {self.weight.path.name}"

    def write(self, path: Path) -> None:
        """Draw it."""
        width, height = self.size
        values = weight_map(self.weight, 0, self.frames, self.frames, (width * CELL, height * CELL))
        data = io.BytesIO()
        np.save(data, values.astype(np.float32), allow_pickle=False)
        write_bytes(path, data.getvalue())


class LocalTiny:
    """See `Dialect`."""

    name = "local-tiny"
    snaps = False

    def __init__(self, clip: int = CLIP) -> None:
        """The words for a model that draws `clip` frames at a time."""
        self.clip = clip

    def plan(self, spec: TransferSpec) -> ClipPlan:
        """Clips of the model; the seed of each is one more than that of the clip before."""
        overlap = min(spec.overlap, self.clip - 1)
        seeds = counted_seeds(spec.seed, clip_count(spec.frames, self.clip, overlap))
        return planned(spec.frames, self.clip, overlap, seeds)

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """Nothing: each request of a batch is made by itself, by a model that is loaded once."""
        del spec
        return self.name

    def write(self, specs: Sequence[TransferSpec], folder: str) -> Written:
        """See `Dialect`."""
        refuse(self.name, [reason for spec in specs for reason in _impossible(spec, self.clip)])
        files = Files(folder)
        items = [self._item(files, spec, number) for number, spec in enumerate(specs)]
        path = files.put_json("requests.json", items)
        outputs = tuple(f"outputs/{number}.mp4" for number in range(len(specs)))
        run = WrittenRun((path, f"{folder.rstrip('/')}/outputs"), outputs, 0, max(spec.frames for spec in specs))
        return Written(self.name, files.contents, (run,), tuple(dict.fromkeys(_unsaid(specs))), _remarks(specs))

    def _item(self, files: Files, spec: TransferSpec, number: int) -> dict[str, Any]:
        spec = measured(spec, self.plan(spec))
        video = video_file(spec, 0, spec.frames)
        return {
            "text": spec.text,
            "negative": spec.negative,
            "video": None if video is None else files.put(f"inputs/{number}-video{ending(video)}", video),
            "frames": spec.frames,
            "size": list(spec.size),
            "controls": [self._control(files, spec, control, number) for control in spec.controls],
            "seed": spec.seed,
            "steps": spec.steps,
            "guidance": spec.guidance,
            "sigma": spec.sigma,
            "fps": spec.fps,
            "overlap": spec.overlap,
        }

    def _control(self, files: Files, spec: TransferSpec, control: Control, number: int) -> dict[str, Any]:
        drawn = None if control.map is None else map_file(spec, control, 0, spec.frames)
        stem = f"inputs/{number}-{control.kind}"
        return {
            "kind": control.kind,
            "map": None if drawn is None else files.put(f"{stem}{ending(drawn)}", drawn),
            "strength": control.strength,
            "weights": self._weights(files, spec, control, f"{stem}-weights.npy"),
        }

    def _weights(self, files: Files, spec: TransferSpec, control: Control, name: str) -> list[float] | str:
        """One number for each frame, or the path of a file with one for each place, too."""
        weight = control.weight
        if isinstance(weight, Mask):
            scale = EDGE / max(spec.size)
            size = (max(1, round(spec.size[0] * scale)), max(1, round(spec.size[1] * scale)))
            return files.put(name, WeightFile(weight, spec.frames, size))
        if isinstance(weight, Steps):
            clips = self.plan(spec).clips
            return [_of_clip(weight, number, [clip.first for clip in clips]) for number in range(spec.frames)]
        return [float(value) for value in weight.over(0, spec.frames)]  # type: ignore[union-attr]  # measured above


DIALECT = LocalTiny()


def _of_clip(weight: Steps, frame: int, firsts: Sequence[int]) -> float:
    return weight.weights[sum(first <= frame for first in firsts) - 1]


def usual(spec: TransferSpec) -> TransferSpec:
    """The request with the settings that suit small models, where nobody set others."""
    changes: dict[str, Any] = {key: value for key, value in USUAL.items() if key not in spec.given}
    return dataclasses.replace(spec, **changes)


def _impossible(spec: TransferSpec, clip: int) -> list[str]:
    wrong = [kind for kind in spec.kinds if kind not in _KINDS]
    found = [f"Its models know {' and '.join(_KINDS)}, not {kind}." for kind in wrong]
    if spec.overlap > clip // 2:
        found.append(f"The model draws {clip} frames at a time; the overlap can be at most {clip // 2}.")
    if spec.video is None:
        found += [
            f"{one.kind} has no map, and there is no video to make it from." for one in spec.controls if not one.map
        ]
    return found


def _unsaid(specs: Sequence[TransferSpec]) -> list[str]:
    found = []
    for spec in specs:
        if spec.style is not None:
            found.append("style: no picture can give the look; say it in the text.")
        if spec.distilled:
            found.append("distilled: the model is small as it is.")
        if spec.video is None and "sigma" in spec.given:
            found.append(f"sigma={spec.sigma:g}: without a video, there is noise alone to begin from.")
    return found


def _remarks(specs: Sequence[TransferSpec]) -> tuple[str, ...]:
    much = sorted({spec.guidance for spec in specs if spec.guidance > MOST_GUIDANCE})
    if not much:
        return ()
    return (f"guidance={much[-1]:g} is for large models; small ones do best with 1 to {MOST_GUIDANCE:g}.",)
