"""What can be said of a host when it is added, with units."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from treadle.config.spec import Spec


class HostSettings(Spec):
    """How a host is used. Folders are on the host; relative ones count from the home folder there."""

    root: str = Field("treadle", min_length=1, description="folder for everything of ours there")
    checkpoints: str = Field("", description="folder there with the checkpoints; ROOT/checkpoints unless given")
    code: str = Field("", description="folder there with the target's code, for runs without an image")
    python: str = Field("python3", min_length=1, description="the Python there that runs that code")
    gpus: int = Field(1, ge=1, le=16, description="GPUs that a run uses")
    runtime: Literal["auto", "podman", "docker", "none"] = Field(
        "auto", description="what runs containers there; auto = docker or podman, whichever answers"
    )
    runtime_flags: tuple[str, ...] = Field(
        (), description="a word for the runtime before its verb, such as --log-level=error; may be repeated"
    )
    run_flags: tuple[str, ...] = Field(
        (),
        description="a word for every container, such as --gpus=all; may be repeated; unless given, what the GPUs found"
        " there need",
    )
    slots: int = Field(1, ge=1, le=64, description="runs at a time")
    price: float = Field(0.0, ge=0, description="what an hour of it costs")
    keepalive: float = Field(10.0, gt=0, le=300, description="seconds between two signs of life; three missed = cut")

    @field_validator("root", "checkpoints", "code")
    @classmethod
    def _is_a_plain_folder(cls, value: str) -> str:
        if any(sign in value for sign in "\0\n:"):
            raise ValueError("a folder on a host has neither `:` nor a line break in its name")
        return value.removeprefix("~/")
