"""The identities of a product's modules, classes and functions: what was replaced since they were first seen."""

from __future__ import annotations

import functools
import operator
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_CODE = (
    types.FunctionType,
    classmethod,
    staticmethod,
    property,
    functools.cached_property,
    functools._lru_cache_wrapper,  # noqa: SLF001 - the type has no public name
)
_MISSING = object()


class WatchedModule(types.ModuleType):
    """A module of the product during tests: its functions, classes and modules cannot be assigned from outside."""

    def __setattr__(self, name: str, value: object) -> None:
        """Ask first, then set."""
        ask = _asked.get(None)
        if ask is not None:
            ask(self, name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        """Ask first, then delete."""
        ask = _asked.get(None)
        if ask is not None:
            ask(self, name, _MISSING)
        super().__delattr__(name)


_asked: dict[None, Callable[[object, str, object], None]] = {}
"""Who is asked before an attribute of a watched module changes; set by the plugin while tests run."""


def ask_before_setting(ask: Callable[[object, str, object], None] | None) -> None:
    """Let `ask` be called with owner, name and value before a watched module changes; None = nobody."""
    _asked.clear()
    if ask is not None:
        _asked[None] = ask


@dataclass(frozen=True, slots=True)
class _Member:
    owner: Any
    name: str
    value: object
    code: object
    label: str

    def state(self) -> str:
        """What happened to it; empty if nothing."""
        now = vars(self.owner).get(self.name, _MISSING)
        if now is not self.value:
            return "was removed" if now is _MISSING else "was replaced"
        return "got another body" if _code_of(self.value) is not self.code else ""

    def restore(self) -> None:
        """Put the original back."""
        if isinstance(self.owner, types.ModuleType):
            vars(self.owner)[self.name] = self.value
        else:
            type.__setattr__(self.owner, self.name, self.value)
        function = _function_of(self.value)
        if function is not None and isinstance(self.code, types.CodeType):
            function.__code__ = self.code


@dataclass(slots=True)
class Identities:
    """The product as it was when each of its modules was first seen."""

    products: Collection[str]
    modules: dict[str, types.ModuleType] = field(default_factory=dict)
    classes: set[type] = field(default_factory=set)
    _members: list[_Member] = field(default_factory=list)
    _others: set[str] = field(default_factory=set)
    """Names of modules that are not of the product."""
    _getters: list[Callable[[str], object]] = field(default_factory=list)
    """What looks up each member now. A test is followed by two looks at many thousands of members, so that they are
    held in columns that can be compared without a line of Python for each."""
    _names: list[str] = field(default_factory=list)
    _values: list[object] = field(default_factory=list)
    _functions: dict[types.FunctionType, types.CodeType] = field(default_factory=dict)

    def is_product(self, module: str) -> bool:
        """Whether a module of this name belongs to the product."""
        return module.split(".", 1)[0] in self.products

    def learn(self) -> None:
        """Remember the modules that were imported since the last time."""
        for name in sys.modules.keys() - self.modules.keys() - self._others:
            module = sys.modules.get(name)
            if not self.is_product(name) or not isinstance(module, types.ModuleType):
                self._others.add(name)
                continue
            if getattr(getattr(module, "__spec__", None), "_initializing", False):
                continue  # still being imported
            self.modules[name] = module
            if type(module) is types.ModuleType:
                module.__class__ = WatchedModule
            self._learn_members(module, name)

    def _learn_members(self, owner: Any, label: str) -> None:  # noqa: ANN401 - a module or a class
        for name, value in list(vars(owner).items()):
            if isinstance(value, type) and self.is_product(value.__module__) and value not in self.classes:
                self.classes.add(value)
                self._learn_members(value, f"{value.__module__}.{value.__qualname__}")
            if isinstance(value, (type, *_CODE)):
                self._remember(_Member(owner, name, value, _code_of(value), f"{label}.{name}"))

    def _remember(self, member: _Member) -> None:
        self._members.append(member)
        self._getters.append(vars(member.owner).get)
        self._names.append(member.name)
        self._values.append(member.value)
        function = _function_of(member.value)
        if function is not None:
            self._functions.setdefault(function, function.__code__)

    def replaced(self) -> list[str]:
        """What is no longer itself, said in words; the originals are put back."""
        found = []
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                found.append(f"the module {name} was {'swapped' if name in sys.modules else 'removed'}")
                sys.modules[name] = module
        for member in () if self._all_are_themselves() else self._members:
            state = member.state()
            if state:
                found.append(f"{member.label} {state}")
                member.restore()
        return found

    def _all_are_themselves(self) -> bool:
        now = map(operator.call, self._getters, self._names)
        codes = map(operator.attrgetter("__code__"), self._functions)
        return all(map(operator.is_, now, self._values)) and all(map(operator.is_, codes, self._functions.values()))

    def is_code_of_the_product(self, owner: object, name: str) -> bool:
        """Whether an attribute is a function, class or module of the product that was seen before."""
        if issubclass(type(owner), types.ModuleType):  # `isinstance` asks for `__class__`, which may warn
            known = self.modules.get(vars(owner).get("__name__", "")) is owner
            value = vars(owner).get(name)
            return known and isinstance(value, (type, types.ModuleType, *_CODE))
        if issubclass(type(owner), type):
            return owner in self.classes and isinstance(vars(owner).get(name), (type, *_CODE))
        holders = [one for one in type(owner).__mro__ if name in vars(one)]
        methods = (types.FunctionType, classmethod, staticmethod)
        return bool(holders) and holders[0] in self.classes and isinstance(vars(holders[0])[name], methods)


def is_code(value: object) -> bool:
    """Whether a value is a function or a class, of whomever."""
    return isinstance(value, (type, types.BuiltinFunctionType, types.MethodType, *_CODE))


def _code_of(value: object) -> object:
    function = _function_of(value)
    return None if function is None else function.__code__


def _function_of(value: object) -> types.FunctionType | None:
    inner = getattr(value, "__func__", value) if isinstance(value, classmethod | staticmethod) else value
    inner = inner.fget if isinstance(inner, property) else inner
    return inner if isinstance(inner, types.FunctionType) else None


def files_outward() -> Iterator[str]:
    """The files of the running functions, innermost first; the import system and code without a file are left out."""
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to see who asks
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and "/importlib/" not in file:
            yield file
        frame = frame.f_back
