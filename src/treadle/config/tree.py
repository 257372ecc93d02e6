"""Settings on their way to a class: plain values that know which layer, file and line set them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILT_IN = "built-in"
COMMAND_LINE = "command line"
CALL = "call"


@dataclass(frozen=True, slots=True)
class Origin:
    """What set a value: a layer such as `workspace` or `size small`, and the place where it is written."""

    layer: str
    file: str | None = None
    line: int | None = None

    def place(self) -> str:
        """Say the place as part of a sentence: `in treadle.yaml:3`, `on the command line`."""
        if self.file is not None:
            return f"in {self.file}" if self.line is None else f"in {self.file}:{self.line}"
        return {COMMAND_LINE: "on the command line", CALL: "in the call"}.get(self.layer, f"({self.layer})")

    def __str__(self) -> str:
        if self.file is None:
            return self.layer
        return f"{self.layer}, {self.file}" if self.line is None else f"{self.layer}, {self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with its origin: a mapping of entries, a list of entries, or one plain value."""

    value: Any
    origin: Origin

    @property
    def children(self) -> dict[str, Entry] | None:
        """The entries below, or nothing if this is a leaf."""
        return self.value if isinstance(self.value, dict) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """A preset that was chosen for a group, such as `small` for `size`, and what chose it."""

    name: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the settings, and where."""

    message: str
    file: str | None = None
    line: int | None = None

    @classmethod
    def at(cls, origin: Origin, message: str) -> Finding:
        """Make a finding about what stands at `origin`."""
        return cls(message, origin.file, origin.line)


def entry(value: Any, origin: Origin) -> Entry:  # noqa: ANN401 - any plain value
    """Give every part of a plain value the same origin."""
    if isinstance(value, dict):
        return Entry({str(key): entry(below, origin) for key, below in value.items()}, origin)
    if isinstance(value, list | tuple):
        return Entry([entry(item, origin) for item in value], origin)
    return Entry(value, origin)


def plain(tree: Entry) -> Any:  # noqa: ANN401 - any plain value
    """Take the origins off again."""
    if isinstance(tree.value, list):
        return [plain(item) for item in tree.value]
    children = tree.children
    return tree.value if children is None else {key: plain(below) for key, below in children.items()}


def leaves(tree: Entry, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield each leaf with its dotted key; a list is one leaf, and so is an empty mapping."""
    children = tree.children
    if not children:
        yield prefix, tree
        return
    for key, below in children.items():
        yield from leaves(below, f"{prefix}.{key}" if prefix else key)


def nested(dotted: str, value: Entry) -> Entry:
    """Put `value` under a dotted key: `a.b` -> `{a: {b: value}}`."""
    for key in reversed(dotted.split(".")):
        value = Entry({key: value}, value.origin)
    return value


def merge(lower: Entry, upper: Entry) -> Entry:
    """Lay `upper` over `lower`: mappings key by key, everything else as a whole.

    A mapping with another `name` is another thing (another optimizer, another family): it replaces the lower one, so
    that no setting of the one is left in the other.
    """
    below, above = lower.children, upper.children
    if below is None or above is None:
        return upper
    if "name" in below and "name" in above and below["name"].value != above["name"].value:
        return upper
    merged = dict(below)
    for key, value in above.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return Entry(merged, upper.origin)


def find(tree: Entry, path: tuple[str | int, ...]) -> tuple[list[str], Entry]:
    """Follow `path` as far as it is there, passing over parts that are not keys, such as the tags of unions.

    Returns the keys that were followed (without positions in lists) and the entry reached.
    """
    keys: list[str] = []
    here = tree
    for part in path:
        children = here.children
        if children is not None and part in children:
            keys.append(str(part))
            here = children[str(part)]
        elif isinstance(part, int) and isinstance(here.value, list) and part < len(here.value):
            here = here.value[part]
    return keys, here
