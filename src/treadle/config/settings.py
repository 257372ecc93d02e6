"""The settings of one piece of work: complete, frozen, and each value knows what set it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import SettingsError
from treadle.config.schema import SECTIONS, section_classes
from treadle.config.tree import BUILT_IN, Choice, Origin, entry, find, leaves
from treadle.config.validation import joined, validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.config.spec import Spec
    from treadle.data.config import DataSettings
    from treadle.generation.config import GenerationSettings
    from treadle.training.config import TrainingSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """The four sections after all layers, with the origin of every leaf and the presets that were chosen."""

    family: Spec
    data: DataSettings
    training: TrainingSettings
    generation: GenerationSettings
    origins: Mapping[str, Origin]
    """Dotted key of each leaf, such as `training.batch_size`, to what set it."""
    choices: Mapping[str, Choice]
    """Group, such as `size`, to the chosen preset; a group without a preset is absent."""

    @property
    def size(self) -> str | None:
        """Name of the chosen size."""
        choice = self.choices.get("size")
        return None if choice is None else choice.name

    def section(self, name: str) -> Spec:
        """The section called `name`."""
        found: Spec = getattr(self, name)
        return found

    def values(self) -> dict[str, Any]:
        """The four sections as plain JSON values."""
        return {name: self.section(name).model_dump(mode="json") for name in SECTIONS}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values, for `spec.yaml` and checkpoints; `from_dict` is its inverse."""
        return {
            **self.values(),
            "origins": {key: _short(origin) for key, origin in self.origins.items()},
            "choices": {group: {"name": made.name, **_short(made.origin)} for group, made in self.choices.items()},
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], source: str = "the stored settings") -> Settings:
        """Rebuild settings that `to_dict` wrote; nothing is filled in, so what ran is what is read.

        `source` names the file in errors. Raises `SettingsError` for anything missing, unknown or out of range.
        """
        wanted = {*SECTIONS, "origins", "choices"}
        if set(stored) != wanted:
            odd = ", ".join(sorted(wanted.symmetric_difference(stored)))
            raise SettingsError(f"{source} does not hold complete settings (missing or unknown: {odd}).")
        tree = entry({name: stored[name] for name in SECTIONS}, Origin("stored", source))
        name = find(tree, ("family", "name"))[1]
        sections, findings = validate(tree, section_classes(str(name.value)))
        if findings:
            raise SettingsError(joined(findings))
        origins = {key: Origin(**origin) for key, origin in stored["origins"].items()}
        choices = {
            group: Choice(made["name"], Origin(made["layer"], made.get("file"), made.get("line")))
            for group, made in stored["choices"].items()
        }
        return build(sections, origins, choices)


def build(sections: Mapping[str, Any], origins: Mapping[str, Origin], choices: Mapping[str, Choice]) -> Settings:
    """Put validated sections together; a leaf without an origin has its built-in default."""
    made = Settings(**sections, origins={}, choices=dict(choices))
    complete = {key: origins.get(key, Origin(BUILT_IN)) for key, _ in leaves(entry(made.values(), Origin("")))}
    return Settings(**sections, origins=complete, choices=dict(choices))


def _short(origin: Origin) -> dict[str, Any]:
    return {key: value for key, value in asdict(origin).items() if value is not None}
