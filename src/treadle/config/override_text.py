"""Settings written as overrides, so that the override grammar reads them back as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def overrides_of(section: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """One `section.key=value` for each setting."""
    return tuple(f"{section}.{key}={_value(value)}" for key, value in settings.items())


def _value(value: Any) -> str:  # noqa: ANN401 - any plain setting
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value(inner) for inner in value) + "]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
