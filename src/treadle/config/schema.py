"""What can be set: every dotted key with its meaning, read from the classes themselves."""

from __future__ import annotations

import difflib
import types
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from treadle.config.spec import Spec
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

    from treadle.registry.catalogue import Catalogue

FAMILIES = "treadle.models.catalog:FAMILIES"
CLASSES = {
    "data": "treadle.data.config:DataSettings",
    "training": "treadle.training.config:TrainingSettings",
    "generation": "treadle.generation.config:GenerationSettings",
}
SECTIONS = ("family", *CLASSES)
GROUPS = ("family", "size", "data", "training", "generation")
"""Groups of presets, in the order in which they are laid over each other."""
EXPERIMENT = "experiment"
"""Group of the shipped run files; one is chosen like a preset, on the command line or in a call."""


Kind = Literal["integer", "number", "choice", "checkbox", "text"]


@dataclass(frozen=True, slots=True)
class Value:
    """What may be given for a setting, as a form needs to know it."""

    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    """Whether `none` is a value."""


@dataclass(frozen=True, slots=True)
class Known:
    """One key that exists: a leaf, or a mapping of further keys."""

    key: str
    description: str
    is_leaf: bool
    value: Value | None = None
    """What a leaf may be."""


def families() -> Catalogue:
    """The catalogue of families; a room above this one, so it is reached by its name."""
    found: Catalogue = load(FAMILIES)
    return found


def section_classes(family: str) -> dict[str, type[Spec]]:
    """Map each section to its closed class; raises `UsageError` for a family that does not exist."""
    chosen: type[Spec] = families().get(family).config_class()
    return {"family": chosen, **{section: load(dotted) for section, dotted in CLASSES.items()}}


def known_keys(classes: Mapping[str, type[Spec]]) -> dict[str, Known]:
    """Every key of every section by its dotted name; a choice of classes gives the keys of all of them."""
    return {known.key: known for section, cls in classes.items() for known in _of_section(section, cls)}


@cache
def _of_section(section: str, cls: type[Spec]) -> tuple[Known, ...]:
    title = (cls.__doc__ or "").strip().splitlines()[:1]
    return (Known(section, title[0] if title else section, is_leaf=False), *_of_class(cls, section))


def _of_class(cls: type[Spec], prefix: str) -> Iterator[Known]:
    for name, field in cls.model_fields.items():
        key = f"{prefix}.{name}"
        below = list(dict.fromkeys(_specs(field.annotation)))
        value = None if below else value_of(field.annotation, field.metadata)
        yield Known(key, _description(field, prefix, name), is_leaf=not below, value=value)
        seen: dict[str, Known] = {}
        for variant in below:
            for known in _of_class(variant, key):
                seen.setdefault(known.key, known)
        yield from seen.values()


def _description(field: FieldInfo, prefix: str, name: str) -> str:
    kind = f"which kind of {prefix.rpartition('.')[2]}" if name == "name" else ""
    return field.description or kind


def value_of(annotation: Any, metadata: Iterable[Any] = ()) -> Value:  # noqa: ANN401 - any annotation
    """What a field of this type takes; a type of several kinds is a text, which the settings' grammar reads."""
    bounds = {name: getattr(one, name) for one in metadata for name in ("ge", "gt", "le", "lt") if hasattr(one, name)}
    optional = False
    if get_origin(annotation) in {Union, types.UnionType}:
        inner = [one for one in get_args(annotation) if one is not type(None)]
        optional = len(inner) < len(get_args(annotation))
        if len(inner) > 1:
            return Value(optional=optional)
        annotation = inner[0]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return Value("choice", tuple(str(choice) for choice in get_args(annotation)), optional=optional)
    kinds: dict[Any, Kind] = {int: "integer", float: "number", bool: "checkbox"}
    kind: Kind = kinds.get(annotation, "text")
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return Value(kind, (), low, high, optional)


def _specs(annotation: Any) -> Iterator[type[Spec]]:  # noqa: ANN401 - any annotation
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from _specs(argument)
    elif isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation


def suggestion(key: str, known: Mapping[str, Known]) -> str:
    """Say what `key` may have been meant to be, or where the settings are listed.

    The same last word in another section comes first: `training.layers` is `family.layers`. Then a last word that is
    nearly the same, then the nearest whole key.
    """
    choices = [*known, *(group for group in GROUPS if group not in known)]
    words: dict[str, list[str]] = {}
    for choice in choices:
        words.setdefault(choice.rpartition(".")[2], []).append(choice)
    word = key.rpartition(".")[2]
    found = words.get(word)
    if not found:
        found = [choice for near in difflib.get_close_matches(word, words, n=3, cutoff=0.75) for choice in words[near]]
    found = found or difflib.get_close_matches(key, choices, n=1, cutoff=0.75)
    return f"Did you mean `{_nearest(key, found)}`?" if found else "`treadle config show` lists the settings."


def _nearest(key: str, choices: Iterable[str]) -> str:
    return max(choices, key=lambda choice: difflib.SequenceMatcher(None, key, choice).ratio())
