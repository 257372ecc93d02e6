"""Generated pages of the reference: `python -m treadle.cli.reference [--check] FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.base.files import write_text
from treadle.cli.main import application
from treadle.operations.operation import operations
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.operations.operation import Operation

_GENERATED = "<!-- Written by scripts/docs; edit the code instead. -->\n"
_WIDTH = 96


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    return {"commands.md": _commands(), "settings.md": _settings()}


def _commands() -> str:
    parts = ["# Commands\n", _GENERATED, "Every command is also a method of `treadle.Workspace`.\n"]
    parts += [_command(entry) for entry in sorted(operations().values(), key=lambda entry: entry.name)]
    return "\n".join(parts)


def _command(entry: Operation) -> str:
    context = click.Context(application, info_name="treadle", help_option_names=["-h", "--help"])
    group: click.Group = application
    for noun in (entry.noun or "").split("."):
        found = group.get_command(context, noun) if noun else group
        if not isinstance(found, click.Group):
            raise TypeError(f"{entry.noun} groups no verbs")
        group, context = found, click.Context(found, info_name=noun, parent=context) if noun else context
    command = group.get_command(context, entry.verb)
    if command is None:
        raise TypeError(f"{entry.name} has no command")
    own = click.Context(command, info_name=entry.verb, parent=context, terminal_width=_WIDTH, max_content_width=_WIDTH)
    signature = ", ".join(
        parameter.name if parameter.required else f"{parameter.name}={parameter.default!r}"
        for parameter in entry.parameters()
    )
    title = f"treadle {entry.name.replace('.', ' ')}"
    return f"## {title}\n\n```text\n{command.get_help(own)}\n```\n\nPython: `workspace.{entry.method}({signature})`\n"


def _settings() -> str:
    schema = load("treadle.config.schema:known_keys")
    sections = load("treadle.config.schema:section_classes")
    families = load("treadle.models.catalog:FAMILIES").names()
    parts = ["# Settings\n", _GENERATED]
    for family in families:
        classes = sections(family)
        parts.append(f"## Family `{family}`\n")
        parts.append(_table({"family": classes["family"]}, schema))
    rest = {name: cls for name, cls in sections(families[0]).items() if name != "family"}
    for name, cls in rest.items():
        parts.append(f"## `{name}`\n")
        parts.append(_table({name: cls}, schema))
    return "\n".join(parts)


def _table(classes: dict[str, type], schema: object) -> str:
    rows = ["| setting | default | meaning |", "|---|---|---|", *_rows(classes, schema)]
    return "\n".join(rows) + "\n"


def _rows(classes: dict[str, type], schema: object) -> Iterator[str]:
    if not callable(schema):
        raise TypeError("the schema of settings is a function")
    for section, cls in classes.items():
        defaults = cls().model_dump(mode="json")
        for known in schema(classes).values():
            if known.is_leaf:
                value = _at({section: defaults}, known.key.split("."))
                yield f"| `{known.key}` | {value} | {known.description.replace('|', chr(92) + '|')} |"


def _at(tree: object, path: list[str]) -> str:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return ""
        tree = tree[key]
    return "none" if tree is None else f"`{tree}`"


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which ones are out of date."""
    check = "--check" in arguments
    folder = Path(next(argument for argument in arguments if argument != "--check"))
    stale = []
    for name, text in pages().items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            write_text(path, text)
    if check and stale:
        click.echo(f"Out of date in {folder}: {', '.join(stale)}. Run scripts/docs.", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
