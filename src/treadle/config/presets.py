"""Presets: which there are, which are chosen, and which file and line set each of their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.base.names import did_you_mean
from treadle.config.schema import GROUPS, SECTIONS
from treadle.config.tree import BUILT_IN, Choice, Entry, Finding, Origin, merge, nested
from treadle.config.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from treadle.config.layers import Layer

PRIMARY = "settings"
"""Name of the file that names the default presets."""


def options(conf: Path, group: str) -> list[str]:
    """Names of the presets of one group."""
    return sorted(path.stem for path in (conf / group).glob("*.yaml"))


def shown(conf: Path, file: Path) -> str:
    """Name of a shipped file in origins and messages; the same on every machine."""
    return f"conf/{file.relative_to(conf).as_posix()}"


def chosen_presets(layers: Iterable[Layer], conf: Path) -> tuple[dict[str, Choice], list[Finding]]:
    """The preset of each group: what `conf/settings.yaml` names, unless a layer chose another one."""
    choices: dict[str, Choice] = {}
    findings: list[Finding] = []
    primary = conf / f"{PRIMARY}.yaml"
    tree = read_yaml(primary, BUILT_IN, shown(conf, primary))
    for item in (tree.children or {})["defaults"].value:
        for group, chosen in (item.children or {}).items():
            if chosen.value is not None:
                choices[group] = Choice(chosen.value, chosen.origin)
    for layer in layers:
        for group, choice in layer.choices.items():
            wrong = unknown_preset(group, choice, conf) if group in GROUPS else _unknown_group(group, choice)
            if wrong is None:
                choices[group] = choice
            else:
                findings.append(wrong)
    return choices, findings


def _unknown_group(group: str, choice: Choice) -> Finding:
    message = f"Unknown group of presets `{group}` {choice.origin.place()}.{did_you_mean(group, GROUPS)}"
    return Finding.at(choice.origin, f"{message} Known: {', '.join(GROUPS)}.")


def unknown_preset(group: str, choice: Choice, conf: Path) -> Finding | None:
    """Say so if `group` has no preset of the chosen name."""
    known = options(conf, group)
    if choice.name in known:
        return None
    place = choice.origin.place()
    if not known:
        message = f"`{group}` has no preset `{choice.name}` ({place}), nor any other. Set single keys, `{group}.KEY`."
        return Finding.at(choice.origin, message)
    near = did_you_mean(choice.name, known)
    return Finding.at(choice.origin, f"Unknown {group} `{choice.name}` {place}.{near} Known: {', '.join(known)}.")


def files_for_family(
    choices: Mapping[str, Choice], family: str | None, conf: Path
) -> tuple[dict[str, str | None], list[Finding]]:
    """Name the file of each chosen preset; a size is a shape, so each family may have its own, in `size/FAMILY/`.

    The plain sizes are those of gpt. A family without sizes gets none; one that lacks the chosen size is a finding.
    """
    names: dict[str, str | None] = {group: choice.name for group, choice in choices.items()}
    size = choices.get("size")
    if size is None or family in (None, "gpt"):
        return names, []
    known = options(conf / "size", family)
    names["size"] = f"{family}/{size.name}" if size.name in known else None
    if known and size.name not in known:
        place = size.origin.place()
        message = f"The family {family} has no size `{size.name}` {place}. Known: {', '.join(known)}."
        return names, [Finding.at(size.origin, message)]
    return names, []


def laid_over(files: Iterable[tuple[str, str]], conf: Path) -> tuple[Entry, list[Finding]]:
    """Lay preset files over each other, lowest first; each file comes with the section that it sets.

    Every value keeps the file and line that set it. What stands in the wrong preset is left out and found.
    """
    findings: list[Finding] = []
    laid = Entry({}, Origin(BUILT_IN))
    for file, section in files:
        group, _, name = file.partition("/")
        tree = read_yaml(conf / f"{file}.yaml", f"{group} {name}", f"conf/{file}.yaml")
        body = {key: value for key, value in (tree.children or {}).items() if key != "defaults"}
        if group != "size":
            wrong = _misplaced(body, group, section, tree.origin)
            findings += wrong.values()
            body = {key: value for key, value in body.items() if key not in wrong}
        kept = Entry(body, tree.origin)
        laid = merge(laid, nested(section, kept) if section else kept)
    return laid, findings


def _misplaced(body: Mapping[str, Entry], group: str, section: str, origin: Origin) -> dict[str, Finding]:
    """Find the keys that make a preset reach out of its own section; only `size` may."""
    if section != group:
        message = f"A preset of {group} sets {group}.* and nothing else; remove the `@package` line {origin.place()}."
        return dict.fromkeys(body, Finding.at(origin, message))
    found = {}
    for key, value in body.items():
        if key in SECTIONS:
            message = f"`{key}` {value.origin.place()} is another section; a preset of {group} sets only {group}.*"
            found[key] = Finding.at(value.origin, f"{message}. Move it to a preset of {key}, or to a run file.")
    return found
