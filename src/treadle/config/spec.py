"""The base of every settings class: frozen, closed, described."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Immutable settings; an unknown key, a wrong type or a lossy number is an error, never a guess."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
