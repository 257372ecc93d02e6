"""Shape of a model of clips. No torch, no numpy: forms, flags and `config show` read it."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from treadle.config.spec import Spec

PATCH: Final = 4
"""Pixels a side of what is one position."""


class VideoFlowConfig(Spec):
    """A small transformer over patches of a clip that learns to draw it out of noise (rectified flow)."""

    name: Literal["video_flow"] = "video_flow"
    layers: int = Field(4, ge=1, description="number of blocks")
    width: int = Field(128, ge=16, description="width of the residual stream, in channels")
    heads: int = Field(4, ge=1, description="number of attention heads")
    patch_frames: Literal[1, 2, 4] = Field(4, description="frames of one patch of 4 x 4 pixels")
    norm_epsilon: float = Field(1e-6, gt=0, description="added to the mean square in each norm")
    noise: float = Field(
        3.0, gt=0, description="deviation of the noise that clips are drawn out of; colours lie between -1 and 1"
    )
    control_dropout: float = Field(
        0.3, ge=0, lt=1, description="share of training clips without edges, and of those without a blurred picture"
    )
    phrase_dropout: float = Field(0.1, ge=0, lt=1, description="share of training clips without their phrases")
    known_frames: float = Field(
        0.35, ge=0, lt=1, description="share of training clips whose first frames are given, as where clips overlap"
    )

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
