"""What can be set: every dotted key with its meaning, read from the classes themselves."""

from __future__ import annotations

import difflib
import types
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

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


@dataclass(frozen=True, slots=True)
class Known:
    """One key that exists: a leaf, or a mapping of further keys."""

    key: str
    description: str
    is_leaf: bool


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
        yield Known(key, _description(field, prefix, name), is_leaf=not below)
        seen: dict[str, Known] = {}
        for variant in below:
            for known in _of_class(variant, key):
                seen.setdefault(known.key, known)
        yield from seen.values()


def _description(field: FieldInfo, prefix: str, name: str) -> str:
    if field.description:
        return field.description
    if name == "name":
        return f"which kind of {prefix.rpartition('.')[2]}"
    return ""


def _specs(annotation: Any) -> Iterator[type[Spec]]:  # noqa: ANN401 - any annotation
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _specs(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from _specs(argument)
    elif isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation


def suggestion(key: str, known: Mapping[str, Known]) -> str:
    """Say what `key` may have been meant to be, or where the settings are listed.

    The same last word in another section comes first: `training.sequence_length` is `data.sequence_length`. Then the
    nearest whole key, then the nearest last word.
    """
    word = key.rpartition(".")[2]
    same_word = [other for other in known if "." in other and other.rpartition(".")[2] == word]
    whole = difflib.get_close_matches(key, [*known, *GROUPS], n=1, cutoff=0.75)
    words = {other.rpartition(".")[2]: other for other in known if known[other].is_leaf}
    near_word = [words[near] for near in difflib.get_close_matches(word, list(words), n=1, cutoff=0.75)]
    for found in (same_word, whole, near_word):
        if found:
            return f"Did you mean `{_nearest(key, found)}`?"
    return "`treadle config show` lists the settings."


def _nearest(key: str, choices: Iterable[str]) -> str:
    return max(choices, key=lambda choice: difflib.SequenceMatcher(None, key, choice).ratio())
