"""From an operation's parameters to the fields of a form: label, help, unit, limits, choices, what is fixed and why."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from treadle.operations.operation import operations
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from treadle.operations.operation import Parameter

Kind = Literal["text", "integer", "number", "choice", "checkbox", "list", "password"]
_UNIT = re.compile(r"\b(?:in|of) (seconds|minutes|hours|days|bytes|MB|GB|tokens|steps|epochs|nats|pixels)\b")
_NAMED_UNITS = {"minutes": "min", "seconds": "s", "steps": "steps", "epochs": "epochs", "days": "d", "tokens": "tokens"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    name: str
    label: str
    help: str
    kind: Kind
    default: Any = None
    value: Any = None
    unit: str = ""
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: str = "any"
    choices: tuple[str, ...] = ()
    fixed: bool = False
    reason: str = ""
    """Why it is fixed."""
    placeholder: str = ""


def fields_of(
    operation: str,
    values: Mapping[str, Any] | None = None,
    *,
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
    fixed: Mapping[str, str] | None = None,
) -> list[Field]:
    """The fields of an operation's form, in the order of its parameters or of `only`.

    `values` are shown in place of defaults; `fixed` maps names to the reason why they cannot be changed.
    """
    entry = operations()[operation]
    found: dict[str, Field] = {}
    for parameter in entry.parameters():
        if parameter.name == "detach":
            continue
        if parameter.settings is not None:
            for field in setting_fields_of(load(parameter.settings.fields_of)):
                found.setdefault(field.name, field)
        else:
            found[parameter.name] = _of_parameter(parameter)
    names = [name for name in (found if only is None else only) if name not in set(without)]
    given, reasons = values or {}, fixed or {}
    return [
        replace(
            found[name],
            value=given.get(name, found[name].default),
            fixed=name in reasons,
            reason=reasons.get(name, ""),
        )
        for name in names
    ]


def setting_fields_of(settings: Any, values: Mapping[str, Any] | None = None) -> list[Field]:  # noqa: ANN401 - a class
    """The fields of a class of settings, with `values` in place of the defaults."""
    made = [_of_setting(name, info) for name, info in settings.model_fields.items()]
    return [replace(one, value=(values or {}).get(one.name, one.default)) for one in made]


def _of_parameter(parameter: Parameter) -> Field:
    kind, choices = _kind(parameter.name, parameter.type)
    default = None if parameter.required else parameter.default
    return Field(
        name=parameter.name,
        label=_label(parameter.name),
        help=_sentence(parameter.help),
        kind=kind,
        default=list(default) if isinstance(default, list) else default,
        unit=_unit(parameter.name, parameter.help),
        required=parameter.required,
        step="1" if kind == "integer" else "any",
        choices=choices,
        placeholder="one a line" if kind == "list" else "",
    )


def _of_setting(name: str, info: Any) -> Field:  # noqa: ANN401 - pydantic's FieldInfo
    kind, choices = _kind(name, info.annotation)
    limits = {key: getattr(one, key) for one in info.metadata for key in ("ge", "gt", "le", "lt") if hasattr(one, key)}
    default = list(info.default) if isinstance(info.default, tuple) else info.default
    return Field(
        name=name,
        label=_label(name),
        help=_sentence(info.description or ""),
        kind=kind,
        default=default,
        unit=_unit(name, info.description or ""),
        minimum=limits.get("ge", limits.get("gt")),
        maximum=limits.get("le", limits.get("lt")),
        step="1" if kind == "integer" else "any",
        choices=choices,
        placeholder="one a line" if kind == "list" else "",
    )


def _kind(name: str, type_: Any) -> tuple[Kind, tuple[str, ...]]:  # noqa: ANN401 - a type annotation
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        inner = [one for one in typing.get_args(type_) if one is not type(None)]
        return _kind(name, inner[0])
    if typing.get_origin(type_) is typing.Literal:
        return "choice", tuple(str(choice) for choice in typing.get_args(type_))
    if typing.get_origin(type_) in (list, tuple):
        return "list", ()
    if name == "password":
        return "password", ()
    kinds: dict[Any, Kind] = {int: "integer", float: "number", bool: "checkbox", str: "text", Path: "text"}
    return kinds.get(type_, "text"), ()


def _label(name: str) -> str:
    words = name.replace("_", " ").replace(".", " ")
    return words[:1].upper() + words[1:]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _unit(name: str, text: str) -> str:
    found = _UNIT.search(text)
    return _NAMED_UNITS.get(name.rpartition("_")[2]) or (found[1] if found else "")
