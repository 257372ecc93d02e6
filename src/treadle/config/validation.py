"""From a tree of plain values to the closed classes, with every complaint in words and with its place."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from treadle.config.schema import known_keys, suggestion
from treadle.config.tree import BUILT_IN, Entry, Finding, find, leaves, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from treadle.config.schema import Known
    from treadle.config.spec import Spec


def without_unknown(tree: Entry, known: Mapping[str, Known], *, whole: bool = False) -> tuple[Entry, list[Finding]]:
    """Take out of one layer's sections the keys that no class has; each becomes a finding with its place.

    With `whole` the complete dotted key is named, as it was typed; else the topmost part that does not exist.
    """
    findings: list[Finding] = []
    kept = _without_unknown(tree, "", known, findings, whole)
    return kept, findings


def _without_unknown(
    tree: Entry, prefix: str, known: Mapping[str, Known], findings: list[Finding], whole: bool
) -> Entry:
    children = tree.children
    if children is None or (prefix and known[prefix].is_leaf):
        return tree
    kept: dict[str, Entry] = {}
    for name, below in children.items():
        key = f"{prefix}.{name}" if prefix else name
        if key in known:
            kept[name] = _without_unknown(below, key, known, findings, whole)
            continue
        for shown, at in leaves(below, key) if whole else [(key, below)]:
            message = f"Unknown setting `{shown}` {at.origin.place()}. {suggestion(shown, known)}"
            findings.append(Finding.at(at.origin, message))
    return Entry(kept, tree.origin)


def validate(tree: Entry, classes: Mapping[str, type[Spec]]) -> tuple[dict[str, Spec], list[Finding]]:
    """Make each section from its part of `tree`; a section with findings is left out."""
    sections: dict[str, Spec] = {}
    findings: list[Finding] = []
    known = known_keys(classes)
    for name, cls in classes.items():
        part = (tree.children or {}).get(name) or Entry({}, tree.origin)
        found = list(_not_finite(part, name))
        if not found:
            try:
                sections[name] = cls.model_validate_json(json.dumps(plain(part)), strict=True)
            except ValidationError as error:
                found = [_finding(detail, name, part, known) for detail in error.errors(include_url=False)]
        findings.extend(found)
    return sections, findings


def _not_finite(part: Entry, section: str) -> Iterator[Finding]:
    for key, leaf in leaves(part, section):
        for item in leaf.value if isinstance(leaf.value, list) else [leaf]:
            if isinstance(item.value, float) and not math.isfinite(item.value):
                message = f"`{key}` cannot be {_shown(item)} {item.origin.place()}: it must be a finite number."
                yield Finding.at(item.origin, message)


def _finding(detail: ErrorDetails, section: str, part: Entry, known: Mapping[str, Known]) -> Finding:
    keys, here = find(part, detail["loc"])
    kind = detail["type"]
    if kind == "union_tag_invalid":
        keys, here = [*keys, "name"], (here.children or {}).get("name", here)
    key = ".".join([section, *keys])
    place = here.origin.place()
    if kind == "extra_forbidden":
        return Finding.at(here.origin, f"Unknown setting `{key}` {place}. {_belongs(key, keys, part, known)}")
    if kind == "missing":
        return Finding.at(here.origin, f"`{key}.{detail['loc'][-1]}` is not set {place}, and it has no default.")
    if kind == "value_error":  # a class's own rule, in our own words
        text = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
        where = _mentioned(text, key, here) if here.children is not None else f" ({here.origin.place()})"
        return Finding.at(here.origin, f"`{key}` does not fit: {text}{where}.")
    described = known[key].description if key in known else ""
    meaning = f" `{key}` is: {described}." if described else ""
    return Finding.at(here.origin, f"`{key}` cannot be {_shown(here)} {place}: {_reason(detail, key, here)}.{meaning}")


def _belongs(key: str, keys: list[str], part: Entry, known: Mapping[str, Known]) -> str:
    if key not in known:
        return suggestion(key, known)
    holder = key.rpartition(".")[0]
    name = (find(part, tuple(keys[:-1]))[1].children or {}).get("name")
    variant = "the chosen one" if name is None else f"`{name.value}`"
    return f"`{holder}.name` is {variant}, which has no such setting."


def _mentioned(text: str, key: str, here: Entry) -> str:
    """Name the places of the fields that a rule's message speaks of."""
    words = set(re.findall(r"\w+", text))
    places = [
        f"{key}.{name} {leaf.origin.place()}"
        for name, leaf in (here.children or {}).items()
        if name in words and leaf.origin.layer != BUILT_IN
    ]
    return f" ({', '.join(places)})" if places else ""


def _reason(detail: ErrorDetails, key: str, here: Entry) -> str:
    kind = detail["type"]
    if kind == "string_type":
        return "it must be text; put quotes around it"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"it has settings of its own; set them one by one, such as `{key}.name`"
    if kind == "union_tag_invalid":
        return f"it must be {str(detail['ctx']['expected_tags']).replace(', ', ' or ')}"
    if kind == "int_from_float" or (kind == "int_type" and isinstance(here.value, float)):
        return "it must be a whole number, written without a fraction"
    text = str(detail["msg"]).replace("Input should be", "it must be").replace("a valid integer", "a whole number")
    return text[:1].lower() + text[1:]


def _shown(here: Entry) -> str:
    value: Any = plain(here)
    if value is None:
        return "empty (null)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def joined(findings: Iterable[Finding]) -> str:
    """One finding a line."""
    return "\n".join(dict.fromkeys(finding.message for finding in findings))
