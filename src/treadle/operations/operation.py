"""The operation decorator and the table that doors read.

An operation is one typed function. Its name, kind, docstring and signature are all that a door needs: the CLI verb,
the `Workspace` method and the HTTP schema come from here. Modules of operations import only the standard library and
light rooms, so that `treadle --help` may read them all.
"""

from __future__ import annotations

import importlib
import inspect
import keyword
import pkgutil
import typing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Function = TypeVar("_Function", bound="Callable[..., Any]")
Kind = Literal["light", "heavy", "following", "interactive"]
"""`light` returns its report; `heavy` returns a `JobRequest`, which doors put into its queue; `following` returns a
`QueuedJob` that is there already; `interactive` yields a stream of events."""

_PACKAGE = "treadle.operations"
_OF_PATHS = frozenset("/\\~")

Effect = Literal["reads", "changes", "removes"]
"""What calling it does to the workspace; `removes` takes something away that cannot be had back by another call."""


@dataclass(frozen=True, slots=True)
class SettingsSection:
    """Marks a parameter that takes settings by name; doors flatten the fields of one section into it."""

    section: str
    """Prefix of the settings, such as `generation`."""
    fields_of: str
    """Dotted name of the closed class whose fields become flags."""


@dataclass(frozen=True, slots=True)
class NamesFile:
    """Marks a parameter whose text, or each of its texts, may name a file; doors look at it as at a `Path`."""

    behind: str = ""
    """The file is named behind this sign, such as the `=` of `KIND=PATH`; empty = the whole text is the name."""
    kept: bool = False
    """Whether the file is needed later, too, and not by this call alone."""
    names_others: bool = False
    """Whether the file may name others itself: who is confined to some files may not give one."""

    def split(self, text: str) -> tuple[str, str]:
        """What stands before the name of the file, and that name; empty where the text names none."""
        before, sign, name = text.partition(self.behind) if self.behind else ("", "", text)
        return before + sign, name


def leads_elsewhere(name: str) -> bool:
    """Whether a text that may name a file can mean one beyond the current folder; plain names and ids cannot."""
    return not _OF_PATHS.isdisjoint(name)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation, as doors see it."""

    name: str
    type: Any
    """A plain type: str, int, float, bool, Path, `X | None`, `list[X]`, Literal."""
    default: Any
    help: str
    positional: bool
    settings: SettingsSection | None
    names_file: NamesFile | None = None

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is inspect.Parameter.empty


JOB_OPTIONS: Final = tuple(
    Parameter(name, type_, default, help_, positional=False, settings=None)
    for name, type_, default, help_ in (
        ("detach", bool, False, "do not wait for the job; it goes on in the background"),
        ("priority", int, 0, "jobs of a higher priority go first in their queue"),
        ("attempts", int, 1, "how often the job may fail before it is given up"),
        ("after", list[int], [], "id of a job that must be done first; may be repeated"),
        ("task", str | None, None, "task of the notes that the job is for; its run writes there what came of it"),
    )
)
"""What every heavy operation takes besides its own parameters; doors act on it, the operation does not see it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the table."""

    noun: str | None
    verb: str
    kind: Kind
    function: Callable[..., Any]
    needs_workspace: bool
    examples: tuple[str, ...]
    effect: Effect = "changes"
    for_assistants: bool = True
    """Whether assistants may be offered it; false for what starts servers and programs."""
    reads_unless: tuple[str, ...] = ()
    """Parameters without which it only reads, whatever its effect is with them; empty = none makes that difference."""

    def effect_of(self, arguments: Mapping[str, Any]) -> Effect:
        """What a call with these arguments does."""
        reads = bool(self.reads_unless) and not any(arguments.get(name) for name in self.reads_unless)
        return "reads" if reads else self.effect

    @property
    def name(self) -> str:
        """`verb`, or `noun.verb`."""
        return self.verb if self.noun is None else f"{self.noun}.{self.verb}"

    @property
    def method(self) -> str:
        """Name as a Python method: `config_show`; `import_`, since Python keeps some words to itself."""
        found = self.name.replace(".", "_").replace("-", "_")
        return f"{found}_" if keyword.iskeyword(found) else found

    @property
    def takes_workspace(self) -> bool:
        """Whether the function has a parameter `workspace`; one that does not need it may be called with None."""
        return "workspace" in inspect.signature(self.function).parameters

    @property
    def summary(self) -> str:
        """First sentence of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def description(self) -> str:
        """The whole docstring."""
        return inspect.getdoc(self.function) or ""

    def parameters(self) -> list[Parameter]:
        """The parameters after `workspace`, with their types resolved; those of every job at the end."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        found = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name == "workspace":
                continue
            type_ = hints[name]
            extras: list[Any] = []
            if typing.get_origin(type_) is typing.Annotated:
                type_, *extras = typing.get_args(type_)
            found.append(
                Parameter(
                    name=name,
                    type=type_,
                    default=parameter.default,
                    help=next((extra for extra in extras if isinstance(extra, str)), ""),
                    positional=parameter.kind is not inspect.Parameter.KEYWORD_ONLY,
                    settings=next((extra for extra in extras if isinstance(extra, SettingsSection)), None),
                    names_file=next((extra for extra in extras if isinstance(extra, NamesFile)), None),
                )
            )
        return [*found, *JOB_OPTIONS] if self.kind == "heavy" else found

    def request_schema(self) -> dict[str, Any]:
        """JSON schema of the request, as the HTTP door and assistants see it."""
        from pydantic import Field, create_model

        fields: dict[str, Any] = {}
        for parameter in self.parameters():
            if parameter.settings is not None:
                fields[parameter.name] = (load(parameter.settings.fields_of), Field(default=None))
                continue
            default = ... if parameter.required else parameter.default
            fields[parameter.name] = (parameter.type, Field(default=default, description=parameter.help))
        request = create_model(f"{self.method}_request", **fields)
        schema: dict[str, Any] = request.model_json_schema()
        return schema


def operation(
    kind: Kind,
    *,
    noun: str | None = None,
    verb: str | None = None,
    needs_workspace: bool = True,
    examples: tuple[str, ...] = (),
    effect: Effect = "changes",
    for_assistants: bool = True,
    reads_unless: tuple[str, ...] = (),
) -> Callable[[_Function], _Function]:
    """Enter a function in the table. The verb is its name unless given; `examples` are whole command lines."""

    def enter(function: _Function) -> _Function:
        name = verb or function.__name__.removesuffix("_").replace("_", "-")
        entry = Operation(noun, name, kind, function, needs_workspace, examples, effect, for_assistants, reads_unless)
        setattr(function, "__operation__", entry)  # noqa: B010
        return function

    return enter


@cache
def operations() -> Mapping[str, Operation]:
    """The table: all operations of this package by name, in the order of their files and lines."""
    table: dict[str, Operation] = {}
    for module in _modules():
        table |= _entries(module)
    return table


@cache
def find_operation(name: str) -> Operation | None:
    """One entry of the table, without importing the modules that cannot hold it; None if there is no such operation.

    A command is felt to start at once if it reads its own operation and not all of them.
    """
    noun, _, verb = name.rpartition(".")
    function = verb.replace("-", "_").encode()
    marks = (b"def %s(" % function, b"def %s_(" % function, b'verb="%s"' % verb.encode())
    for module in _modules():
        try:
            text = (Path(importlib.import_module(_PACKAGE).__path__[0]) / f"{module}.py").read_bytes()
        except OSError:  # not installed as plain files
            return operations().get(name)
        if any(mark in text for mark in marks) and (not noun or b'noun="%s"' % noun.encode() in text):
            found = _entries(module).get(name)
            if found is not None:
                return found
    return None


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__)]


def _entries(module: str) -> dict[str, Operation]:
    found = {}
    for value in vars(importlib.import_module(f"{_PACKAGE}.{module}")).values():
        entry = getattr(value, "__operation__", None)
        if isinstance(entry, Operation) and entry.function.__module__.endswith(f".{module}"):
            found[entry.name] = entry
    return found
