"""The only importer of Hydra: its grammar of flags, and its order of presets. Importing it takes 0.15 s.

`plain_reading` answers the common cases with the same result; `compose` asks there first.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, OverrideType, Sweep
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.version import VersionBase

from treadle.config.plain_reading import Flag, UnreadableError
from treadle.config.presets import PRIMARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_HYDRA = threading.Lock()  # Hydra keeps its state in one global object


def read_flag(text: str) -> Flag:
    """Read one flag by Hydra's grammar; raises `UnreadableError`."""
    try:
        override = OverridesParser.create().parse_override(text)
        value = override.value()
    except (HydraException, RecursionError) as error:
        raise UnreadableError(str(error).splitlines()[0]) from error
    key = override.key_or_group
    if override.type is not OverrideType.CHANGE or override.package is not None or not key:
        return Flag(key, None, "write it as key=value, without `+`, `~` or `@`: all settings exist already")
    if isinstance(value, Sweep):
        problem = f"it gives several values at once. Write a list as {key}=[1,2], text in quotes as '{key}=\"a,b\"'"
        return Flag(key, None, problem)
    return Flag(key, value)


def read_sweep(text: str) -> tuple[str, list[str]]:
    """Read `key=a,b`, `key=range(1,5)` or `key=choice(a,b)`: the key, and each value as a flag would give it.

    Raises `UnreadableError`; ranges without steps (`interval`) and `glob` name no values.
    """
    try:
        override = OverridesParser.create().parse_override(text)
        swept = override.is_sweep_override()
        if swept and override.is_interval_sweep():
            raise UnreadableError("an interval names no values; give some, such as `0.1,0.2`, or `range(0,1,0.25)`")
        if isinstance(override.value(), Glob):
            raise UnreadableError("only choices (`a,b`) and `range(start,stop,step)` make a grid")
        values = list(override.sweep_string_iterator()) if swept else [text.partition("=")[2]]
    except (HydraException, RecursionError) as error:
        raise UnreadableError(str(error).splitlines()[0]) from error
    key = override.key_or_group
    if override.type is not OverrideType.CHANGE or override.package is not None or not key:
        raise UnreadableError("write it as key=value,value, without `+`, `~` or `@`")
    return key, values


def preset_order(conf: Path, choices: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """The files that the defaults lists name, lowest first, each with the section that it sets."""
    overrides = [f"{group}={'null' if name is None else name}" for group, name in choices.items()]
    try:
        with _own_hydra(conf):
            loader = GlobalHydra.instance().config_loader()
            order = loader.compute_defaults_list(PRIMARY, overrides, RunMode.RUN).defaults
    except (HydraException, yaml.YAMLError) as error:
        raise UnreadableError(str(error)) from error
    return [
        (one.config_path, one.package) for one in order if not one.primary and not one.config_path.startswith("hydra/")
    ]


@contextlib.contextmanager
def _own_hydra(conf: Path) -> Iterator[None]:
    """Initialise Hydra for our presets, and leave the state of a program that uses both as it was."""
    with _HYDRA:
        outer, version = GlobalHydra.instance().hydra, VersionBase.instance().getbase()
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(conf), job_name="treadle", version_base="1.3"):
                yield
        finally:
            GlobalHydra.instance().hydra = outer
            VersionBase.instance().version_base = version
