"""The layers that people write: workspace, model, run file, flags. Each becomes values and choices of presets.

All files have one shape, that of `conf/experiment`:

    defaults:                      # choices of presets; `size: tiny` on a line of its own is short for the same
      - override /size: tiny
      - override /family: gpt2
    training:                      # values, by section
      batch_size: 12

In `treadle.yaml` and `model.yaml` this stands under the key `settings`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from treadle.config.schema import EXPERIMENT, GROUPS, SECTIONS
from treadle.config.tree import Choice, Entry, Finding, Origin, merge
from treadle.config.yaml_source import SourceError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_OVERRIDE = re.compile(r"override /(\w+)")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer says: values by section, and presets by group. `typed` if each key was typed out in full."""

    tree: Entry
    choices: dict[str, Choice] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    typed: bool = False


def read_layer(path: Path, layer: str, *, under: str | None = None, shown: str | None = None) -> Layer:
    """Read a settings file; with `under`, only what stands under that key. What is wrong becomes a finding."""
    name = str(path) if shown is None else shown
    try:
        tree = read_yaml(path, layer, name)
    except SourceError as error:
        return Layer(Entry({}, Origin(layer, name)), findings=[error.finding])
    if under is None:
        return from_tree(tree)
    outside = list(_outside(tree, under))
    found = from_tree((tree.children or {}).get(under) or Entry({}, tree.origin))
    return Layer(found.tree, found.choices, outside + found.findings)


def _outside(tree: Entry, under: str) -> Iterable[Finding]:
    for key, value in (tree.children or {}).items():
        if key != under and difflib.get_close_matches(key, [under], cutoff=0.8):
            yield Finding.at(value.origin, f"Unknown key `{key}` {value.origin.place()}. Did you mean `{under}`?")
        elif key in SECTIONS and value.children is not None:
            place = value.origin.place()
            yield Finding.at(value.origin, f"`{key}` {place} stands outside `{under}`. Move it below `{under}:`.")


def from_tree(body: Entry, *, typed: bool = False) -> Layer:
    """Sort what a layer says into values and choices."""
    layer = Layer(Entry({}, body.origin), typed=typed)
    if body.value is None:
        return layer
    if body.children is None:
        layer.findings.append(Finding.at(body.origin, f"The settings {body.origin.place()} must be a mapping."))
        return layer
    values: dict[str, Entry] = {}
    for key, value in body.children.items():
        if key == "defaults" and not typed:
            _read_defaults(value, layer)
        elif (key in GROUPS or (typed and key == EXPERIMENT)) and isinstance(value.value, str):
            _choose(layer, key, value.value, value.origin)
        elif key in SECTIONS and value.value is None and not typed:
            continue  # a section whose lines are all commented out
        elif key in SECTIONS and value.children is None:
            message = f"`{key}` {value.origin.place()} must be the name of a preset, or a mapping of settings."
            layer.findings.append(Finding.at(value.origin, message))
        elif key in GROUPS and key not in SECTIONS:
            message = f"`{key}` {value.origin.place()} is chosen by name, such as `{key}: small`; it has no settings."
            layer.findings.append(Finding.at(value.origin, message))
        else:
            values[key] = value
    return Layer(Entry(values, body.origin), layer.choices, layer.findings, typed)


def _read_defaults(value: Entry, layer: Layer) -> None:
    items = value.value if isinstance(value.value, list) else [value]
    for position, item in enumerate(items):
        if item.value == "_self_":
            if position != len(items) - 1:
                message = f"`_self_` {item.origin.place()} must come last: a file's values stand above its presets."
                layer.findings.append(Finding.at(item.origin, message))
            continue
        key, chosen = next(iter(item.children.items()), ("", item)) if item.children else ("", item)
        match = _OVERRIDE.fullmatch(key)
        if match is None or not isinstance(chosen.value, str) or len(item.children or {}) != 1:
            message = f"Cannot read this line of `defaults` {item.origin.place()}: write `override /size: tiny`."
            layer.findings.append(Finding.at(item.origin, message))
        else:
            _choose(layer, match[1], chosen.value, chosen.origin)


def _choose(layer: Layer, group: str, name: str, origin: Origin) -> None:
    earlier = layer.choices.get(group)
    if earlier is not None and earlier.name != name and not layer.typed:
        message = (
            f"`{group}` is chosen twice: {earlier.name} {earlier.origin.place()}, {name} {origin.place()}. Keep one."
        )
        layer.findings.append(Finding.at(origin, message))
    layer.choices[group] = Choice(name, origin)


def stacked(layers: Iterable[Layer], origin: Origin) -> Layer:
    """Join the parts of one layer in order, the last word winning, as with repeated flags."""
    joined = Layer(Entry({}, origin), typed=True)
    tree = joined.tree
    for layer in layers:
        tree = merge(tree, layer.tree)
        joined.choices.update(layer.choices)
        joined.findings.extend(layer.findings)
    return Layer(tree, joined.choices, joined.findings, typed=True)
