"""What Hydra would say about plain flags and plain presets, without importing it: a third of a quick start.

Both functions answer None whenever the case is not plain, and then Hydra is asked. That their answers are Hydra's own
is tested over every shipped preset and over generated flags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.config.presets import PRIMARY, shown
from treadle.config.tree import BUILT_IN
from treadle.config.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from treadle.config.tree import Entry

_FLAG = re.compile(r"([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)=([A-Za-z0-9_.+-]+)")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)\.[0-9]+(?:e-?[0-9]+)?|[1-9][0-9]*e-?[0-9]+)")
_WORD = re.compile(r"[a-z][a-z0-9_]*(?:-[a-z0-9_]+)*")
_NOT_WORDS = frozenset({"true", "false", "null", "nan", "inf"})
_PACKAGE = re.compile(r"# @package (\S+)")


class UnreadableError(Exception):
    """Nobody can make sense of a flag or of the presets; the text is Hydra's reason."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag that was read: a key with its value, or why it cannot be used."""

    key: str
    value: Any
    problem: str | None = None


def read_flag(text: str) -> Flag | None:
    """Read `key=value` where the value is a plain number, truth value or word; None for anything else."""
    match = _FLAG.fullmatch(text)
    if match is None:
        return None
    key, value = match.groups()
    if value in ("true", "false"):
        return Flag(key, value == "true")
    if value == "null":
        return Flag(key, None)
    if _INTEGER.fullmatch(value):
        return Flag(key, int(value))
    if _FLOAT.fullmatch(value):
        return Flag(key, float(value))
    if _WORD.fullmatch(value) and value not in _NOT_WORDS:
        return Flag(key, value)
    return None


def preset_order(conf: Path, choices: Mapping[str, str | None]) -> list[tuple[str, str]] | None:
    """The files of the chosen presets, lowest first, each with the section that it sets.

    None where a preset brings further presets along, or stands in a group that the primary file does not name.
    """
    primary = conf / f"{PRIMARY}.yaml"
    items = (read_yaml(primary, BUILT_IN, shown(conf, primary)).children or {})["defaults"].value
    lines = [item.children for item in items if item.children is not None]
    if items[-1].value != "_self_" or len(lines) != len(items) - 1 or any(len(line) != 1 for line in lines):
        return None
    named: dict[str, Entry] = {group: chosen for line in lines for group, chosen in line.items()}
    if not choices.keys() <= named.keys():
        return None
    order = []
    for group, default in named.items():
        name = choices.get(group, default.value)
        if name is None:
            continue
        section = _section(conf / group / f"{name}.yaml", group)
        if section is None:
            return None
        order.append((f"{group}/{name}", section))
    return order


def _section(file: Path, group: str) -> str | None:
    """The section that a preset sets; empty for all of them, None for a preset that is not plain."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if any(line.startswith(("defaults", '"defaults', "'defaults", "{")) for line in lines):
        return None
    header = [line for line in lines if line.lstrip().startswith("# @package")]
    if not header:
        return None if any("@package" in line for line in lines) else group
    match = _PACKAGE.fullmatch(header[0])
    if len(header) > 1 or header[0] != lines[0] or match is None:
        return None
    return "" if match[1] == "_global_" else None
