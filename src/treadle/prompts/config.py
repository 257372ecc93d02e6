"""Settings of a request for a video: the one place of their defaults and limits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from treadle.config.spec import Spec

Strength = Literal["very_low", "low", "medium", "high", "very_high"]

DEFAULT_NEGATIVE = (
    "A recording of an old video game: cartoonish frames, raw flat textures, primitive geometry, fake lighting, "
    "pixelated low-quality computer graphics, flicker, subtitles and watermarks; unrealistic throughout."
)
"""What a video must not look like, unless a prompt says something else."""


class VideoSettings(Spec):
    """How a video is generated from a prompt and its control inputs."""

    seed: int = Field(1, ge=0, le=2**31 - 1, description="makes the video repeatable")
    steps: int = Field(35, ge=1, le=1000, description="denoising steps: more is slower, and finer up to a point")
    guidance: float = Field(5.0, ge=0, le=20, description="how closely the text is followed; 0 = hardly")
    sigma: float = Field(
        70.0, ge=0, le=200, description="noise that generation starts from; lower keeps more of the input's look"
    )
    fps: int = Field(24, ge=1, le=120, description="frames per second of the result")
    blur: Strength = Field("medium", description="how much the `vis` control is blurred: more leaves more freedom")
    edges: Strength = Field("medium", description="threshold of the `edge` control: higher keeps fewer edges")
    edge: float = Field(0.0, ge=0, le=10, description="weight of the edge control; 0 = not used")
    vis: float = Field(0.0, ge=0, le=10, description="weight of the blurred-picture control; 0 = not used")
    depth: float = Field(0.0, ge=0, le=10, description="weight of the depth control; 0 = not used")
    seg: float = Field(0.0, ge=0, le=10, description="weight of the segmentation control; 0 = not used")
