"""Arguments from Python code: converted to what an operation declares, or refused with the remedy."""

from __future__ import annotations

import inspect
import numbers
import os
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from treadle.operations.operation import Operation, SettingsSection

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", Path: "a path"}


def python_signature(entry: Operation) -> inspect.Signature:
    """The signature of an operation as a method; the fields of a section of settings are keywords without default."""
    shown = []
    for parameter in entry.parameters():
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if parameter.positional else inspect.Parameter.KEYWORD_ONLY
        shown.append(inspect.Parameter(parameter.name, kind, default=parameter.default, annotation=parameter.type))
        if parameter.settings is not None:
            shown += [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=..., annotation=field.annotation)
                for name, field in _fields(parameter.settings).items()
            ]
    if entry.kind != "light":
        event = inspect.Parameter(
            "on_event", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="(Event) -> None"
        )
        shown.append(event)
    return inspect.Signature(shown)


def python_arguments(entry: Operation, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Match values to the parameters of `entry` and convert them; raises `UsageError` that names what is wrong."""
    parameters = {parameter.name: parameter for parameter in entry.parameters()}
    given = {**_named_by_place(entry, positional, named), **named}
    arguments: dict[str, Any] = {}
    for parameter in parameters.values():
        if parameter.settings is not None:
            fields = _fields(parameter.settings)
            flat = {name: given.pop(name) for name in list(given) if name in fields and name not in parameters}
            section = {**_converted(entry, parameter.name, dict, given.pop(parameter.name, {})), **flat}
            arguments[parameter.name] = _settings(entry, parameter.settings, section)
        elif parameter.name in given:
            value = given.pop(parameter.name)
            arguments[parameter.name] = _converted(entry, parameter.name, parameter.type, value)
        elif parameter.required:
            raise UsageError(f"`{entry.method}` needs `{parameter.name}`: {parameter.help}.")
    for name in given:
        raise _unknown(entry, name)
    return arguments


def _named_by_place(entry: Operation, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    places = [parameter.name for parameter in entry.parameters() if parameter.positional]
    if len(positional) > len(places):
        known = ", ".join(places) or "none"
        raise UsageError(
            f"`{entry.method}` got {len(positional)} values without a name; those it takes: {known}. "
            "Give the others by name."
        )
    found = dict(zip(places, positional, strict=False))
    for name in found:
        if name in named:
            raise UsageError(f"`{entry.method}` got `{name}` twice: by its place and by its name.")
    return found


def _settings(entry: Operation, section: SettingsSection, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check settings by the class that declares them; a single text for a field of many becomes one of many."""
    from pydantic import ValidationError

    fields = _fields(section)
    found = {}
    for name, value in given.items():
        if name not in fields:
            raise _unknown(entry, name)
        type_ = fields[name].annotation
        if typing.get_origin(type_) in (tuple, list):
            found[name] = (value,) if isinstance(value, str) else value
        else:
            found[name] = _converted(entry, name, type_, value)
    try:
        load(section.fields_of).model_validate(found)
    except ValidationError as error:
        wrong = error.errors()[0]
        said = wrong["msg"][:1].lower() + wrong["msg"][1:]
        raise UsageError(f"`{entry.method}`: `{wrong['loc'][0]}`: {said}, not {_shown(wrong['input'])}.") from error
    return found


def _unknown(entry: Operation, name: str) -> UsageError:
    known = list(python_signature(entry).parameters)
    near = did_you_mean(name, known) or (f" It takes: {', '.join(known)}." if known else " It takes none.")
    return UsageError(f"`{entry.method}` has no parameter `{name}`.{near}")


def _converted(entry: Operation, name: str, type_: Any, value: Any) -> Any:  # noqa: ANN401 - a type and any value
    try:
        return _fitted(type_, value)
    except TypeError:
        raise UsageError(f"`{entry.method}`: `{name}` must be {_wanted(type_)}, not {_shown(value)}.") from None


def _fitted(type_: Any, value: Any) -> Any:  # noqa: ANN401 - a type and any value
    """Convert `value` where nothing is lost; raises `TypeError` otherwise."""
    origin = typing.get_origin(type_)
    if origin in (types.UnionType, typing.Union):
        return _fitted_choice(typing.get_args(type_), value)
    if origin is Literal:
        if value not in typing.get_args(type_):
            raise TypeError
        return value
    if origin is list:
        values = [value] if isinstance(value, str | os.PathLike) else value
        if not isinstance(values, list | tuple):
            raise TypeError
        return [_fitted(typing.get_args(type_)[0], inner) for inner in values]
    return _PLAIN[origin or type_](value)


def _fitted_choice(choices: Sequence[Any], value: Any) -> Any:  # noqa: ANN401 - any value
    if value is None and type(None) in choices:
        return None
    for choice in choices:
        if choice is not type(None):
            try:
                return _fitted(choice, value)
            except TypeError:
                continue
    raise TypeError


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError
    return float(value)


def _whole(value: object) -> int:
    number = _number(value)
    if not number.is_integer():
        raise TypeError
    return int(value) if isinstance(value, numbers.Integral) else int(number)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise TypeError
    return Path(value)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError
    return value


_PLAIN: dict[Any, Callable[[object], Any]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    Path: _path,
    dict: _table,
}


def _wanted(type_: Any) -> str:  # noqa: ANN401 - a type annotation
    origin = typing.get_origin(type_)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("None" if choice is type(None) else _wanted(choice) for choice in typing.get_args(type_))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(type_))
    if origin is list:
        return f"{_WORDS[typing.get_args(type_)[0]]} or a list of them"
    return _WORDS.get(origin or type_, "a dict of settings by name")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields(section: SettingsSection) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = load(section.fields_of).model_fields
    return fields
