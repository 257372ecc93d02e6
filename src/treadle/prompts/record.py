"""A prompt: one immutable version of a stored request for generation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.errors import DataError
from treadle.base.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Purpose = Literal["text", "video"]
INPUT_KINDS = ("video", "image", "edge", "vis", "depth", "seg", "keypoint", "mask")
"""What a file given with a prompt can be: the material, or a control map made from it."""
_KEYS = frozenset(
    {
        "name",
        "version",
        "parent",
        "purpose",
        "text",
        "negative",
        "inputs",
        "settings",
        "tags",
        "made_by",
        "created",
        "id",
    }
)


@dataclass(frozen=True, slots=True)
class PromptInput:
    """A file that goes with a prompt; the hash tells whether it is still the one that was meant."""

    kind: str
    path: str
    """Absolute."""
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to generate: text, negative text, inputs and settings. A change makes a new version with this as parent."""

    name: str
    version: int
    """Counts from 1."""
    parent: int | None
    """The version that this one was made from."""
    purpose: Purpose
    text: str
    negative: str | None
    """None = the default one, where the purpose has one; empty = none at all."""
    inputs: tuple[PromptInput, ...]
    settings: Mapping[str, Any]
    """Only what differs from the defaults."""
    tags: tuple[str, ...]
    made_by: Mapping[str, Any] = field(default_factory=dict)
    """Who wrote the text: a person (empty), `template` with its `answers`, or `enhanced_by`."""
    created: float = 0.0
    """Seconds since 1970."""

    @property
    def id(self) -> str:
        """Hash of what decides the result; name, tags, version and time stand outside."""
        return hash_json(
            {
                "purpose": self.purpose,
                "text": self.text,
                "negative": self.negative,
                "inputs": [{"kind": one.kind, "sha256": one.sha256} for one in self.inputs],
                "settings": dict(self.settings),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the file."""
        return {**asdict(self), "id": self.id}

    @classmethod
    def from_json(cls, value: Any, path: Path) -> Prompt:  # noqa: ANN401 - whatever the file holds
        """Read what `to_json` wrote; raises `DataError` naming `path` if anything was changed or is missing."""
        if not isinstance(value, dict) or set(value) != _KEYS:
            raise DataError(f"{path} is not a version of a prompt; remove it or restore it from a copy.")
        plain = {key: value[key] for key in _KEYS - {"id"}}
        try:
            inputs = tuple(PromptInput(**one) for one in plain["inputs"])
            prompt = cls(**{**plain, "inputs": inputs, "tags": tuple(plain["tags"])})
            intact = prompt.id == value["id"]
        except (TypeError, ValueError) as error:
            raise DataError(f"{path} is not a version of a prompt ({error}).") from error
        if not intact:
            raise DataError(
                f"{path} was changed by hand: its content no longer has the hash it was stored under. "
                "Versions do not change; make a new one with `treadle prompt edit`."
            )
        return prompt
