"""What `config show` and `config check` answer with, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from treadle.base.errors import SettingsError
from treadle.config.compose import examine
from treadle.config.schema import GROUPS, SECTIONS, Value, known_keys, suggestion
from treadle.config.tree import Origin, entry, leaves, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.config.compose import Sources
    from treadle.config.schema import Known
    from treadle.config.settings import Settings
    from treadle.config.tree import Finding


@dataclass(frozen=True, slots=True)
class Row:
    """One setting, or the preset chosen for a group."""

    key: str
    value: Any
    origin: Origin
    description: str
    takes: Value = field(default_factory=Value)
    """What may be given for it; a preset is a text."""


def rows(settings: Settings, key: str | None = None) -> list[Row]:
    """List the chosen presets and every setting; with `key`, that one, or all below it.

    Raises `SettingsError` with a suggestion if there is no such key.
    """
    known = keys_of(settings)
    found = [
        Row(group, settings.choices[group].name, settings.choices[group].origin, f"chosen preset of {group}")
        for group in GROUPS
        if group in settings.choices
    ]
    for dotted, leaf in leaves(entry(settings.values(), Origin(""))):
        about = known.get(dotted)
        described, takes = ("", None) if about is None else (about.description, about.value)
        found.append(Row(dotted, plain(leaf), settings.origins[dotted], described, takes or Value()))
    if key is None:
        return found
    wanted = [row for row in found if row.key == key or row.key.startswith(f"{key}.")]
    if not wanted:
        raise SettingsError(f"Unknown setting `{key}`. {suggestion(key, known)}")
    return wanted


def keys_of(settings: Settings) -> Mapping[str, Known]:
    """Every key that can be set beside these settings, with its meaning."""
    return known_keys({name: type(settings.section(name)) for name in SECTIONS})


def check(sources: Sources) -> list[Finding]:
    """Everything that is wrong in the files and flags of `sources`, each with file and line; empty if all is well."""
    return examine(sources).findings
