"""Catalogues: names to dotted strings, imported on first use, so that listing imports nothing heavy."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(dotted: str) -> Any:  # noqa: ANN401 - what a dotted name points to is the caller's knowledge
    """Import `package.module:attribute`."""
    module, _, attribute = dotted.partition(":")
    return getattr(importlib.import_module(module), attribute)


class Catalogue:
    """The known things of one kind. Plugins add to it through the entry-point group `treadle.KIND`."""

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        """Map names to `package.module:attribute`; `kind` is the noun that errors use, such as `family`."""
        self.kind = kind
        self._built_in = dict(built_in)

    def names(self) -> list[str]:
        """All known names, sorted; imports nothing."""
        return sorted({*self._built_in, *_plugins(self.kind)})

    def built_in(self) -> list[str]:
        """Names that are known without plugins, sorted."""
        return sorted(self._built_in)

    def __contains__(self, name: str) -> bool:
        return name in self._built_in or name in _plugins(self.kind)

    def get(self, name: str) -> Any:  # noqa: ANN401 - the type depends on the catalogue
        """Import what `name` stands for; raises `UsageError` with the known names if there is none."""
        dotted = self._built_in.get(name) or _plugins(self.kind).get(name)
        if dotted is None:
            known = ", ".join(self.names())
            raise UsageError(f"Unknown {self.kind} `{name}`.{did_you_mean(name, self.names())} Known: {known}.")
        return load(dotted)


@cache
def _plugins(kind: str) -> dict[str, str]:
    from importlib.metadata import entry_points  # takes 20 ms, and most runs ask for no plugin

    return {point.name: point.value for point in entry_points(group=f"treadle.{kind}")}
