"""What was asked of a job, in the words that people read: the same for every door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_APART: Final = frozenset({"settings", "unit", "amount", "model"})
"""Keys that stand elsewhere: the snapshot of settings, the length, the owner of the job."""
_LENGTHS: Final = {"epochs": "epochs", "steps": "steps", "minutes": "min"}
_FEW: Final = 20
"""Files and the like that are named before the rest is counted."""


def asked(payload: Mapping[str, Any]) -> dict[str, str]:
    """Name and value of all that was asked, the length first; what is empty is left out."""
    unit = payload.get("unit")
    length = {"length": f"{payload['amount']:,.12g} {_LENGTHS[unit]}"} if unit in _LENGTHS else {}
    rest = {key: value for key, value in payload.items() if key not in _APART and value not in (None, [], {}, "")}
    return length | {key.replace("_", " "): said(value) for key, value in rest.items()}


def said(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value in a line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _FEW:,} more" if len(value) > _FEW else ""
        return ", ".join(map(said, value[:_FEW])) + more
    if isinstance(value, dict):
        return _named(value)
    return str(value)


def _named(tree: Mapping[str, Any]) -> str:
    """A tree in a line: its name, where it or its only tree has one; else what stands in it."""
    named = next((one["name"] for one in (tree, *tree.values()) if isinstance(one, dict) and one.get("name")), None)
    return str(named) if named else ", ".join(f"{key} {said(value)}" for key, value in tree.items())
