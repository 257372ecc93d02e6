"""What goes out over HTTP: plain JSON, and errors with the right status and a remedy."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
from typing import Any, Final, TypeGuard

from starlette.responses import Response

from treadle.base.errors import (
    DataError,
    MissingExtraError,
    NotFoundError,
    NotReadyError,
    ResourceError,
    TreadleError,
    UsageError,
    WeightsError,
)

STATUS: Final[tuple[tuple[type[TreadleError], int], ...]] = (
    (NotFoundError, 404),
    (UsageError, 422),
    (DataError, 422),
    (WeightsError, 422),
    (NotReadyError, 409),
    (MissingExtraError, 501),
    (ResourceError, 507),
    (TreadleError, 409),
)
"""The status of each kind of error; the first that fits counts."""


class RefusedError(TreadleError):
    """The server does not do this for whoever asked, or not in this way."""

    def __init__(self, status: int, message: str, kind: str = "Refused") -> None:
        """Carry the status, the message, and the word that programs tell refusals apart by."""
        super().__init__(message)
        self.status = status
        self.kind = kind


class JsonAnswer(Response):
    """A JSON body; numbers that JSON has no name for become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - JSON is any tree of plain values
        """Serialise the content."""
        return to_json(content).encode("utf-8", "backslashreplace")


def to_json(value: Any) -> str:  # noqa: ANN401 - JSON is any tree of plain values
    """JSON in one line; falls back to a slow walk only where a number is not finite."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_plain, separators=(",", ":"))


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON is any tree of plain values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON is any tree of plain values
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _finite(dataclasses.asdict(value))
    return value


def status_of(error: Exception) -> int:
    """The HTTP status that fits an error."""
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error, TreadleError):
        return next(status for kind, status in STATUS if isinstance(error, kind))
    if _of_the_system(error):
        return 507 if error.errno in {errno.ENOSPC, errno.EDQUOT} else 422
    return 500


def _of_the_system(error: Exception) -> TypeGuard[OSError]:
    """Whether the operating system refused something; a missing template is an `OSError` too, but our own mistake."""
    return isinstance(error, OSError) and error.errno is not None


def error_facts(error: Exception) -> dict[str, str]:
    """`error`, `kind` and `remedy` of something that went wrong; the remedy is the message's last sentence."""
    if _of_the_system(error):
        message = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror or error}."
        return {"error": message, "kind": "Output", "remedy": "Check that the path exists and may be used."}
    if not isinstance(error, TreadleError):
        remedy = "This is a defect of the server; its log has the details."
        return {"error": f"The server failed ({type(error).__name__}).", "kind": "Defect", "remedy": remedy}
    kind = str(getattr(error, "kind", type(error).__name__.removesuffix("Error")))
    message = str(error)
    _, _, last = message.rstrip(".").rpartition(". ")
    return {"error": message, "kind": kind, "remedy": f"{last}." if last else ""}


def error_answer(error: Exception, headers: dict[str, str] | None = None) -> JsonAnswer:
    """The answer that tells an error."""
    return JsonAnswer({"ok": False, **error_facts(error)}, status_of(error), headers=headers)
