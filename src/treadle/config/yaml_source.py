"""Settings files: YAML with plain values only, each with its line. Nothing is executed, looked up or guessed.

Words such as `yes` and `on` stay words, `3e-4` is a number, and nothing is a date: the rules of YAML 1.2, which are
those of the flags as well. Anchors, tags, interpolations and keys set twice are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from treadle.base.errors import SettingsError
from treadle.config.tree import Entry, Finding, Origin

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 1_000_000  # bytes; no settings file is near it, a data file given by mistake is


class SourceError(SettingsError):
    """A settings file that cannot be read; the message begins with file and line."""

    def __init__(self, message: str, file: str, line: int | None = None) -> None:
        """Say what is wrong in `file`, with the line if one is at fault."""
        super().__init__(message)
        self.finding = Finding(message, file, line)


def read_yaml(path: Path, layer: str, shown: str | None = None) -> Entry:
    """Read a settings file; raises `SourceError` with file and line for anything that is not a plain mapping.

    `shown` is the name of the file in origins and messages, if not the path itself. An empty file is an empty mapping.
    """
    name = str(path) if shown is None else shown
    text = _text(path, name)
    try:
        node = _Loader(text).get_single_node()
        tree = Entry({}, Origin(layer, name, 1)) if node is None else _entry(node, Origin(layer, name, 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        message = f"{name}:{line} cannot be read: {error.problem or error.context}."
        raise SourceError(message, name, line) from error
    except yaml.YAMLError as error:
        raise SourceError(f"{name} cannot be read: {str(error).splitlines()[0]}.", name) from error
    except RecursionError as error:
        raise SourceError(f"{name} is nested too deeply for settings.", name) from error
    if tree.children is None:
        message = f"{name}:1 must be a mapping of settings, such as `training:` with lines below it."
        raise SourceError(message, name, 1)
    return tree


def _text(path: Path, name: str) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise SourceError(f"{name} is too large for a settings file ({path.stat().st_size:,} bytes).", name)
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SourceError(f"There is no settings file {name}.", name) from error
    except IsADirectoryError as error:
        raise SourceError(f"{name} is a folder, not a settings file.", name) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not UTF-8 text; save it as UTF-8.", name) from error
    except OSError as error:
        raise SourceError(f"Cannot read the settings file {name}: {error.strerror}.", name) from error


class _Loader(yaml.SafeLoader):
    """Composes plain nodes by the rules of YAML 1.2; anchors, aliases and tags are errors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own form

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's own form
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors (& and *) are not for settings", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags (!) are not for settings", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_TAG = "tag:yaml.org,2002:"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+[eE][-+]?[0-9]+)"
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), list(_first))


def _entry(node: yaml.Node, origin: Origin) -> Entry:
    if isinstance(node, yaml.SequenceNode):
        lines = [Origin(origin.layer, origin.file, item.start_mark.line + 1) for item in node.value]
        return Entry([_entry(item, line) for item, line in zip(node.value, lines, strict=True)], origin)
    if not isinstance(node, yaml.MappingNode):
        return Entry(_scalar(node), origin)
    found: dict[str, Entry] = {}
    for key_node, value_node in node.value:
        key = _key(key_node)
        line = key_node.start_mark.line + 1
        if key in found:
            problem = f"`{key}` is already set on line {found[key].origin.line}; keep one"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
        found[key] = _entry(value_node, Origin(origin.layer, origin.file, line))
    return Entry(found, origin)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != f"{_TAG}str":
        raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=node.start_mark)
    _refuse_interpolation(node)
    return str(node.value)


def _scalar(node: yaml.Node) -> str | bool | int | float | None:
    text = str(node.value)
    if node.tag == f"{_TAG}str":
        _refuse_interpolation(node)
        return text
    if node.tag == f"{_TAG}null":
        return None
    if node.tag == f"{_TAG}bool":
        return text.lower() == "true"
    return int(text.replace("_", "")) if node.tag == f"{_TAG}int" else float(text)


def _refuse_interpolation(node: yaml.Node) -> None:
    if "${" in str(node.value):
        problem = "`${...}` is not resolved in settings; write the value itself"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
