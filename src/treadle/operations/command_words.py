"""A command in words, as it would be typed, to the arguments of its operation."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.operations.arguments import python_arguments
from treadle.operations.operation import operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.operations.operation import Operation, Parameter

_READ = {int: int, float: float, str: str, Path: Path}


def read_command(words: Sequence[str]) -> tuple[Operation, dict[str, Any]]:
    """The operation and arguments of a command such as `train bard --minutes 30`; raises `UsageError`."""
    if not words:
        raise UsageError("Give the command, such as: train bard --minutes 30")
    entry = operations().get(words[0])
    if entry is None:
        raise UsageError(f"Unknown command `{words[0]}`. See `treadle --help`.")
    places = [parameter for parameter in entry.parameters() if parameter.positional]
    flags = {
        "--" + parameter.name.replace("_", "-"): parameter
        for parameter in entry.parameters()
        if not parameter.positional and parameter.settings is None
    }
    given: dict[str, Any] = {}
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            _place(entry, places, given, word)
            continue
        name, equals, value = word.partition("=")
        if name not in flags:
            raise UsageError(f"`{entry.verb}` has no flag `{name}`. It has: {', '.join(flags)}.")
        parameter = flags[name]
        if _plain(parameter) is bool:
            given[parameter.name] = True
        elif equals or rest:
            _give(given, parameter, value if equals else rest.pop(0))
        else:
            raise UsageError(f"`{name}` needs a value: {parameter.help}.")
    return entry, python_arguments(entry, (), given)


def _place(entry: Operation, places: list[Parameter], given: dict[str, Any], word: str) -> None:
    for parameter in places:
        if typing.get_origin(parameter.type) is list or parameter.name not in given:
            _give(given, parameter, word)
            return
    raise UsageError(f"`{entry.verb}` takes no further word `{word}`.")


def _give(given: dict[str, Any], parameter: Parameter, word: str) -> None:
    try:
        value = _READ[_plain(parameter)](word)
    except ValueError as error:
        raise UsageError(f"`{word}` does not fit `{parameter.name}`: {parameter.help}.") from error
    if typing.get_origin(parameter.type) is list:
        given.setdefault(parameter.name, []).append(value)
    else:
        given[parameter.name] = value


def _plain(parameter: Parameter) -> Any:  # noqa: ANN401 - a type
    """The type of one value of a parameter."""
    type_ = parameter.type
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        choices = [choice for choice in typing.get_args(type_) if choice is not type(None)]
        return str if str in choices else choices[0]
    if typing.get_origin(type_) is list:
        return typing.get_args(type_)[0]
    return str if typing.get_origin(type_) is typing.Literal else type_
