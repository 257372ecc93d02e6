"""The one place where settings are composed.

Precedence, lowest first; a higher layer wins for each single key:

1. built-in: the defaults of the classes, then the chosen presets in the order of `schema.GROUPS`;
2. workspace: `treadle.yaml`, under `settings`;
3. model: `model.yaml`, under `settings`;
4. run file: `--config FILE`, or `experiment=NAME` for one of `conf/experiment`;
5. command line: `key=value`, in Hydra's grammar for values, and choices such as `size=tiny`; the call, in Python.

A preset may be chosen in any layer, the highest choice counts, and its values always rank as built-in. A preset sets
its own section only. `size` is the exception (`# @package _global_`): a size is a shape together with the window, batch
and rates that fit it, which stand in three sections; a family may have its own sizes, in `conf/size/FAMILY`. No other
layer of defaults hides anywhere: `conf/settings.yaml` names the presets and sets nothing. Hydra reads the choices and
flags and orders the presets (`hydra_reading`; what it would say about plain ones is known without it, `plain_reading`);
the merging is `tree.merge`, for a value must keep its line, and naming another optimizer must not keep the old one's
rates.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import SettingsError
from treadle.base.names import did_you_mean
from treadle.config import plain_reading
from treadle.config.layers import Layer, from_tree, read_layer, stacked
from treadle.config.plain_reading import UnreadableError
from treadle.config.presets import chosen_presets, files_for_family, laid_over, shown, unknown_preset
from treadle.config.schema import EXPERIMENT, families, known_keys, section_classes
from treadle.config.settings import Settings, build
from treadle.config.tree import (
    BUILT_IN,
    CALL,
    COMMAND_LINE,
    Choice,
    Entry,
    Finding,
    Origin,
    entry,
    find,
    leaves,
    merge,
    nested,
)
from treadle.config.validation import joined, validate, without_unknown
from treadle.config.yaml_source import SourceError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    from treadle.config.spec import Spec

CONF = Path(__file__).resolve().parent.parent / "conf"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings come from; what is not given is not there."""

    workspace_file: Path | None = None
    model_file: Path | None = None
    run_file: Path | None = None
    flags: Sequence[str] = ()
    """`key=value` and `group=preset`, as typed."""
    size: str | None = None
    """The flag `--size`, the same as `size=NAME` before all other flags."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values of a call in Python, by dotted or nested keys; they stand above the flags."""
    conf: Path = CONF
    """Folder of the presets."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Settings, or what is wrong with them."""

    settings: Settings | None
    findings: list[Finding]


def compose(sources: Sources) -> Settings:
    """Compose all layers; raises `SettingsError` with everything that is wrong, one line each."""
    composition = examine(sources)
    if composition.settings is None:
        raise SettingsError(joined(composition.findings))
    return composition.settings


def examine(sources: Sources) -> Composition:
    """Compose all layers without raising: the findings of every file and flag together."""
    layers = _read_layers(sources)
    findings = [finding for layer in layers for finding in layer.findings]
    choices, wrong = chosen_presets(layers, sources.conf)
    findings += wrong
    names, wrong = files_for_family(choices, _family_name(layers, choices, sources.conf), sources.conf)
    findings += wrong
    presets, wrong = _presets(names, sources.conf)
    findings += wrong
    trees = [presets, *(layer.tree for layer in layers)]
    classes, wrong = _classes(trees)
    findings += wrong
    if classes is None:
        return Composition(None, list(dict.fromkeys(findings)))
    known = known_keys(classes)
    merged = _built_in(classes)
    for tree, typed in zip(trees, [False, *(layer.typed for layer in layers)], strict=True):
        kept, wrong = without_unknown(tree, known, whole=typed)
        findings += wrong
        merged = merge(merged, kept)
    sections, wrong = validate(merged, classes)
    findings += wrong
    if findings:
        return Composition(None, list(dict.fromkeys(findings)))
    origins = {key: leaf.origin for key, leaf in leaves(merged)}
    return Composition(build(sections, origins, choices), [])


def _read_layers(sources: Sources) -> list[Layer]:
    typed = [stacked(_flag_layers(sources), Origin(COMMAND_LINE)), stacked(_call_layers(sources), Origin(CALL))]
    experiment = None
    for layer in typed:
        experiment = layer.choices.pop(EXPERIMENT, experiment)
    layers = []
    if sources.workspace_file is not None:
        layers.append(read_layer(sources.workspace_file, "workspace", under="settings"))
    if sources.model_file is not None:
        layers.append(read_layer(sources.model_file, "model", under="settings"))
    if experiment is not None:
        layers.append(_experiment(experiment, sources))
    if sources.run_file is not None:
        layers.append(read_layer(sources.run_file, "run file"))
    return [*layers, *typed]


def _experiment(choice: Choice, sources: Sources) -> Layer:
    if sources.run_file is not None:
        message = f"`experiment={choice.name}` and the file {sources.run_file} are both run files. Give one of them."
        return Layer(Entry({}, choice.origin), findings=[Finding(message)])
    wrong = unknown_preset(EXPERIMENT, choice, sources.conf)
    if wrong is not None:
        return Layer(Entry({}, choice.origin), findings=[wrong])
    file = sources.conf / "experiment" / f"{choice.name}.yaml"
    return read_layer(file, f"experiment {choice.name}", shown=shown(sources.conf, file))


def _call_layers(sources: Sources) -> Iterable[Layer]:
    origin = Origin(CALL)
    for key, value in sources.values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            message = f"`{key}` cannot be a {type(value).__name__} in the call: give text, a number, a list or a dict."
            yield Layer(Entry({}, origin), findings=[Finding(message)])
        else:
            yield from_tree(nested(key, entry(value, origin)), typed=True)


def _flag_layers(sources: Sources) -> list[Layer]:
    origin = Origin(COMMAND_LINE)
    size = [] if sources.size is None else [Layer(Entry({}, origin), {"size": Choice(sources.size, origin)})]
    return [*size, *(_flag(text, origin) for text in sources.flags)]


def _flag(text: str, origin: Origin) -> Layer:
    nothing = Entry({}, origin)
    try:
        flag = plain_reading.read_flag(text) or _hydra().read_flag(text)
    except UnreadableError as error:
        return Layer(nothing, findings=[Finding(_unreadable(text, error))])
    problem = flag.problem
    if problem is None and "${" in text:
        problem = "`${...}` is not resolved in settings; write the value itself"
    if problem is not None:
        return Layer(nothing, findings=[Finding(f"Cannot use `{text}` on the command line: {problem}.")])
    return from_tree(nested(flag.key.replace("/", "."), entry(flag.value, origin)), typed=True)


def _hydra() -> ModuleType:
    """Hydra, for what is not plain."""
    from treadle.config import hydra_reading

    return hydra_reading


def _unreadable(text: str, error: Exception) -> str:
    key, equals, value = text.partition("=")
    if not equals:
        return f"Cannot use `{text}` on the command line: write it as key=value, such as training.batch_size=12."
    return (
        f"Cannot read the value of `{text}` on the command line ({error}). "
        f"If it is text, put double quotes around it inside single ones: '{key}=\"{value.strip(chr(34))}\"'."
    )


def _family_name(layers: Iterable[Layer], choices: Mapping[str, Choice], conf: Path) -> str | None:
    """The family that these layers will make: the highest `family.name`, else that of the chosen preset."""
    found = None
    if "family" in choices:
        with contextlib.suppress(SourceError):  # found again, and told, when the presets are laid
            tree = read_yaml(conf / "family" / f"{choices['family'].name}.yaml", BUILT_IN)
            found = (tree.children or {}).get("name")
    for layer in layers:
        keys, named = find(layer.tree, ("family", "name"))
        found = named if len(keys) == 2 else found
    return found.value if found is not None and isinstance(found.value, str) else None


def _presets(names: Mapping[str, str | None], conf: Path) -> tuple[Entry, list[Finding]]:
    """Lay the named presets over each other in Hydra's order; a preset that cannot be read is a finding."""
    nothing = Entry({}, Origin(BUILT_IN))
    try:
        for group, name in names.items():  # before Hydra does, whose complaints have no place in our words
            if name is not None:
                read_yaml(conf / group / f"{name}.yaml", group, f"conf/{group}/{name}.yaml")
        order = plain_reading.preset_order(conf, names)
        return laid_over(_hydra().preset_order(conf, names) if order is None else order, conf)
    except SourceError as error:
        return nothing, [error.finding]
    except UnreadableError as error:
        return nothing, [Finding(f"The presets cannot be composed: {error}")]


def _classes(trees: Iterable[Entry]) -> tuple[dict[str, type[Spec]] | None, list[Finding]]:
    """The classes of the sections; that of the family goes by the highest `family.name`."""
    name = Entry(None, Origin(BUILT_IN))
    for tree in trees:
        keys, found = find(tree, ("family", "name"))
        name = found if len(keys) == 2 else name
    known = families()
    if not isinstance(name.value, str) or name.value not in known:
        near = did_you_mean(str(name.value), known.names())
        message = f"Unknown family `{name.value}` {name.origin.place()}.{near} Known: {', '.join(known.names())}."
        return None, [Finding.at(name.origin, message)]
    return section_classes(name.value), []


def _built_in(classes: Mapping[str, type[Spec]]) -> Entry:
    return entry({name: cls().model_dump(mode="json") for name, cls in classes.items()}, Origin(BUILT_IN))
