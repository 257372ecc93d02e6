"""Treadle: a local-first workshop for generative models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treadle.base.errors import TreadleError
    from treadle.operations.api import Workspace

__version__ = "0.1.0"
__all__ = ["TreadleError", "Workspace", "__version__"]

_EXPORTS = {"TreadleError": "treadle.base.errors", "Workspace": "treadle.operations.api"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attributes have any type
    """Import what is exported when it is first used."""
    if name in _EXPORTS:
        import importlib

        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'treadle' has no attribute {name!r}")
