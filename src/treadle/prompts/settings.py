"""Settings given with a prompt, read and checked by the class that holds their defaults and limits."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from treadle.base.errors import SettingsError
from treadle.config.plain_reading import read_flag
from treadle.config.schema import known_keys
from treadle.config.tree import COMMAND_LINE, Origin, entry
from treadle.config.validation import joined, validate, without_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.config.spec import Spec

_SECTION = "prompt"


def read_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` pairs; a value that is no number, truth value or `null` is text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingsError(f"Cannot read the setting `{pair}`: write it as key=value, such as seed=7.")
        flag = read_flag(f"{key}={value}")
        settings[key] = value if flag is None else flag.value
    return settings


def checked(cls: type[Spec], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that differ from the defaults of `cls`; raises `SettingsError` that names all that is wrong."""
    several = {key for key, field in cls.model_fields.items() if typing.get_origin(field.annotation) is tuple}
    given = {key: [value] if key in several and isinstance(value, str) else value for key, value in settings.items()}
    tree = entry({_SECTION: given}, Origin(COMMAND_LINE))
    classes = {_SECTION: cls}
    known, findings = without_unknown(tree, known_keys(classes), whole=True)
    sections, wrong = validate(known, classes)
    if findings or wrong:
        raise SettingsError(joined([*findings, *wrong]).replace(f"`{_SECTION}.", "`"))
    values, defaults = sections[_SECTION].model_dump(mode="json"), cls().model_dump(mode="json")
    return {key: values[key] for key in settings if values[key] != defaults[key]}


def complete(cls: type[Spec], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings: those given, and the defaults of `cls` for the others."""
    return cls(**settings).model_dump(mode="json")
