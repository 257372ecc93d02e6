"""From an operation's signature to the arguments and flags of its verb."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from treadle.operations.operation import Operation, Parameter, SettingsSection

_PLAIN: dict[Any, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    Path: click.Path(path_type=Path),
}

_JSON_HELP = "Answer with JSON on standard output; an error is {ok: false, error, kind, exit_code}."


def operation_parameters(entry: Operation) -> list[click.Parameter]:
    """All arguments and flags of a verb, `--workspace` and `--json` included."""
    found: list[click.Parameter] = []
    for parameter in entry.parameters():
        if parameter.settings is not None:
            found += _settings_options(parameter.name, parameter.settings)
        elif parameter.positional:
            found.append(_argument(parameter))
        else:
            found.append(_option(parameter))
    if entry.takes_workspace:
        found.append(
            click.Option(
                ["--workspace"],
                type=click.Path(path_type=Path),
                help="Folder of the workspace; else TREADLE_WORKSPACE, else the nearest parent with treadle.yaml.",
            )
        )
    found.append(click.Option(["--json", "as_json"], is_flag=True, help=_JSON_HELP))
    return found


def _argument(parameter: Parameter) -> click.Parameter:
    many = typing.get_origin(parameter.type) is list
    inner = typing.get_args(parameter.type)[0] if many else _without_none(parameter.type)
    # A default, even None, would count as a value: click then takes what is missing for given, here and in options.
    optional = {} if many or parameter.required else {"default": parameter.default}
    return click.Argument(
        [parameter.name],
        type=_click_type(inner),
        nargs=-1 if many else 1,
        required=parameter.required,
        metavar=_metavar(parameter, many=many),
        **optional,
    )


def _metavar(parameter: Parameter, *, many: bool) -> str:
    if parameter.name == "overrides":
        return "[KEY=VALUE]..."
    shown = parameter.name.removesuffix("s").upper() if many else parameter.name.upper()
    shown = shown if parameter.required else f"[{shown}]"
    return f"{shown}..." if many else shown


def _option(parameter: Parameter) -> click.Parameter:
    flag = "--" + parameter.name.replace("_", "-")
    inner = _without_none(parameter.type)
    if inner is bool:
        return click.Option([flag, parameter.name], is_flag=True, default=parameter.default, help=_help(parameter.help))
    if typing.get_origin(inner) is list:
        many = _click_type(typing.get_args(inner)[0])
        return click.Option([flag, parameter.name], type=many, multiple=True, help=_help(parameter.help))
    optional = {} if parameter.required else {"default": parameter.default}
    return click.Option(
        [flag, parameter.name],
        type=_click_type(inner),
        required=parameter.required,
        show_default=parameter.default not in (None, "", False) and not parameter.required,
        help=_help(parameter.help),
        **optional,
    )


def _settings_options(name: str, section: SettingsSection) -> list[click.Parameter]:
    """One flag for each field of a section of settings; only those given are passed on."""
    options: list[click.Parameter] = []
    for field_name, field in load(section.fields_of).model_fields.items():
        inner = _without_none(field.annotation)
        many = typing.get_origin(inner) in (tuple, list)
        shown = f"; default {field.default}" if field.default not in (None, "", ()) else ""
        single = _without_none(typing.get_args(inner)[0]) if many else inner
        options.append(
            click.Option(
                ["--" + field_name.replace("_", "-"), f"{name}__{field_name}"],
                type=click.BOOL if single is bool else _click_type(single),
                multiple=many,
                default=None,
                help=_help(f"{field.description}{shown}"),
            )
        )
    return options


def collect(entry: Operation, values: dict[str, Any]) -> dict[str, Any]:
    """Turn what click parsed into the operation's keyword arguments."""
    arguments: dict[str, Any] = {}
    for parameter in entry.parameters():
        if parameter.settings is not None:
            prefix = f"{parameter.name}__"
            given = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
            arguments[parameter.name] = {key: value for key, value in given.items() if value not in (None, ())}
        else:
            value = values[parameter.name]
            arguments[parameter.name] = list(value) if isinstance(value, tuple) else value
    return arguments


def _click_type(inner: Any) -> click.ParamType[Any]:  # noqa: ANN401 - a type annotation
    if typing.get_origin(inner) is Literal:
        return click.Choice([str(choice) for choice in typing.get_args(inner)])
    return _PLAIN[inner]


def _without_none(type_: Any) -> Any:  # noqa: ANN401 - a type annotation
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        choices = [choice for choice in typing.get_args(type_) if choice is not type(None)]
        return str if str in choices else choices[0]  # every word of a command line is a text
    if typing.get_origin(type_) is typing.Annotated:
        return typing.get_args(type_)[0]
    return type_


def _help(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
