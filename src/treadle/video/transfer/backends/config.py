"""Settings of a transfer run besides its requests. No numpy, no video library: forms and flags read them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from treadle.config.spec import Spec


class RunSettings(Spec):
    """How a transfer is carried out."""

    batch_size: int = Field(
        1,
        ge=0,
        le=64,
        description="with --batch, videos that the target computes at once; 0 = as many as the GPU's free memory "
        "holds. With more than 1 they no longer equal single ones: the target draws their noise together",
    )
    tries: int = Field(3, ge=1, le=20, description="how often to start after trouble on the host that passes by itself")
    pause_seconds: float = Field(
        5.0, ge=0, le=3600, description="pause before the second start; twice as long before each further one"
    )
    patience_seconds: float = Field(
        1800.0, ge=0, le=604800, description="how long to look for a host that is away; what runs there goes on"
    )
    room_gb: float = Field(2.0, ge=0, description="free disk without which nothing is begun on a host")
    idle_seconds: float = Field(
        900.0, ge=0, le=86400, description="how long a loaded model waits for the next request (transfer1-server)"
    )
    memory_gb: float | None = Field(
        None, gt=0, description="a loaded model that holds more than this goes after its request; none = no limit"
    )
    model: str | None = Field(None, description="model that makes the videos, where the backend knows several")
    verify: Literal["quick", "all", "none"] = Field(
        "quick",
        description="what of the checkpoints that the requests need is compared before anything is sent: quick = "
        "names, sizes, and the content of files whose time has changed since the manifest was made; all = all "
        "content; none = nothing",
    )
