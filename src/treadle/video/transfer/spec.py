"""One request for a transferred video, complete and checked: nothing in it is left to a target's defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.hashing import hash_json

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.video.transfer.weights import Weight

ControlKind = Literal["edge", "vis", "depth", "seg", "keypoint", "upscale", "hdmap", "lidar"]
KINDS: tuple[ControlKind, ...] = ("edge", "vis", "depth", "seg", "keypoint", "upscale", "hdmap", "lidar")
STRENGTHS = ("very_low", "low", "medium", "high", "very_high")
NegativeFrom = Literal["default", "prompt", "spec"]


@dataclass(frozen=True, slots=True)
class Material:
    """A video, or a control map, as its file says."""

    path: Path
    width: int
    height: int
    frames: int
    fps: float
    """Frames per second."""


@dataclass(frozen=True, slots=True)
class Control:
    """What of the input the result shall keep, and how strictly."""

    kind: ControlKind
    weight: Weight
    map: Material | None = None
    """None = made from the video: edge and vis here, others by the target."""
    strength: str | None = None
    """Preset of the maps `edge` and `vis`; None for others."""
    subject: str | None = None
    """`seg` only: what to find in the video, in words; None = the text of the request."""
    weight_subject: str | None = None
    """`seg` only: the weight counts where this is found, and is 0 elsewhere."""


@dataclass(frozen=True, slots=True)
class TransferSpec:
    """Everything that decides a transferred video."""

    name: str
    text: str
    negative: str
    """What must not be seen; empty = nothing in particular."""
    negative_from: NegativeFrom
    """Whose negative text won."""
    video: Material | None
    """None = only control maps."""
    frames: int
    """How many of the input are used, from the first on."""
    controls: tuple[Control, ...]
    style: Path | None
    """A picture that gives the look, where the target can take one."""
    seed: int
    steps: int
    guidance: float
    sigma: float
    """Noise that generation starts from."""
    fps: int
    """Frames per second of the result."""
    overlap: int = 1
    """Frames of a clip that the next one is conditioned on."""
    distilled: bool = False
    """A faster variant of the model, where there is one."""
    given: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """Keys that somebody set: one that a target has no place for is told as unsaid, a default only in passing."""

    @property
    def kinds(self) -> tuple[ControlKind, ...]:
        """The kinds of its controls, in order: with the checkpoint, the key of a model that is kept warm."""
        return tuple(control.kind for control in self.controls)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the input."""
        source = self.source
        return source.width, source.height

    @property
    def source(self) -> Material:
        """The video, or the first control map where there is none."""
        maps = (control.map for control in self.controls if control.map is not None)
        return self.video or next(maps)  # reading refuses a request with neither

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **{key.name: getattr(self, key.name) for key in dataclasses.fields(self) if key.name != "given"},
            "video": None if self.video is None else _material(self.video),
            "controls": [_control(control) for control in self.controls],
            "style": None if self.style is None else str(self.style),
        }

    @property
    def id(self) -> str:
        """Hash of what was asked for, paths included; the hashes of the files are the stage's."""
        return hash_json(self.to_json())


def _material(material: Material) -> dict[str, Any]:
    return {**dataclasses.asdict(material), "path": str(material.path)}


def _control(control: Control) -> dict[str, Any]:
    weight = {"kind": type(control.weight).__name__.lower(), **dataclasses.asdict(control.weight)}
    if "path" in weight:
        weight["path"] = str(weight["path"])
    return {
        "kind": control.kind,
        "weight": weight,
        "map": None if control.map is None else _material(control.map),
        "strength": control.strength,
        "subject": control.subject,
        "weight_subject": control.weight_subject,
    }
