"""Settings of maps that files or models give. No numpy, no video library: forms and flags read them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from treadle.config.spec import Spec


class MapSettings(Spec):
    """How given maps are read, and what a model is shown."""

    near: Literal["bright", "dark"] = Field(
        "bright",
        description="depth: what near is in the maps given, or by the model: bright (large), or dark, as where depths "
        "are distances; in the control it is always bright",
    )
    pixels: Literal["imagenet", "unit", "signed", "bytes"] = Field(
        "imagenet",
        description="what the model expects: ImageNet's mean and spread taken out, 0 to 1, -1 to 1, or 0 to 255",
    )
    side: int = Field(518, ge=32, le=4096, description="longer side of what the model sees, if it takes any size")
