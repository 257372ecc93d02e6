"""Operations as methods of an object: what the Python doors to a folder and to an address have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.names import did_you_mean
from treadle.operations.arguments import python_arguments, python_signature
from treadle.operations.operation import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from treadle.operations.operation import Operation
    from treadle.telemetry.events import Event


class OperationMethods:
    """Each operation is a method, `noun_verb` for one of a noun; a subclass says how one is carried out."""

    def _carry_out(
        self, entry: Operation, arguments: Mapping[str, Any], on_event: Callable[[Event], None] | None
    ) -> Any:  # noqa: ANN401 - each operation has its own answer
        raise NotImplementedError

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_methods()]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        entry = _methods().get(name)
        if entry is None:
            raise AttributeError(f"A Workspace has no `{name}`.{did_you_mean(name, _methods())}")

        def method(*positional: Any, **named: Any) -> Any:  # noqa: ANN401 - each operation has its own types
            on_event = named.pop("on_event", None) if entry.kind != "light" else None
            return self._carry_out(entry, python_arguments(entry, positional, named), on_event)

        method.__name__ = entry.method
        method.__doc__ = entry.description
        setattr(method, "__signature__", python_signature(entry))  # noqa: B010 - what `inspect` and `help` ask for
        return method


def gathered(events: Iterable[Event], on_event: Callable[[Event], None] | None) -> dict[str, Any]:
    """Pass events on, and return the last result among them."""
    result: dict[str, Any] = {}
    for event in events:
        if on_event is not None:
            on_event(event)
        if event.type == "result":
            result = event.data
    return result


def _methods() -> dict[str, Operation]:
    return {entry.method: entry for entry in operations().values()}
