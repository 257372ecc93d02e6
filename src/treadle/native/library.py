"""The native core as a loaded shared object: opened once, checked, every failure an exception with words."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int32
from functools import cache
from typing import TYPE_CHECKING, Any

from treadle.base.errors import ResourceError, TreadleError, UsageError
from treadle.native import build, instruction_sets

if TYPE_CHECKING:
    from pathlib import Path

INTERFACE_VERSION = 1
_ELF_64 = 2

Signatures = dict[str, tuple[Any, list[Any]]]
"""Function names without their prefix, with the types of result and arguments."""


class NativeError(TreadleError):
    """The native core refused a call."""


_INVALID, _OUT_OF_MEMORY = 1, 2
_ERRORS: dict[int, type[TreadleError]] = {_INVALID: UsageError, _OUT_OF_MEMORY: ResourceError}

_SIGNATURES: Signatures = {
    "interface_version": (c_int32, []),
    "instruction_set": (c_char_p, []),
    "machine_runs_this": (c_int32, []),
    "last_error": (c_char_p, []),
}


class Library:
    """A loaded shared object."""

    def __init__(self, path: Path) -> None:
        """Load `path`; raises `ResourceError` if it is not a native core of this version for this machine."""
        _require_whole(path)
        try:
            self._handle = ctypes.CDLL(str(path))
        except OSError as error:
            raise _not_ours(path, error) from error
        self._path = path
        self.declare(_SIGNATURES)
        version = self._handle.treadle_interface_version()
        if version != INTERFACE_VERSION:
            raise ResourceError(
                f"{path} has interface {version}, this package wants {INTERFACE_VERSION}; reinstall Treadle"
            )
        if not self._handle.treadle_machine_runs_this():
            raise ResourceError(f"{path} needs instructions that this processor lacks; see {instruction_sets.VARIABLE}")

    def declare(self, signatures: Signatures) -> None:
        """Say what functions take and return before they are called; raises `ResourceError` if one is missing."""
        try:
            for name, (result, arguments) in signatures.items():
                function = getattr(self._handle, f"treadle_{name}")
                function.restype, function.argtypes = result, arguments
        except AttributeError as error:
            raise _not_ours(self._path, error) from error

    @property
    def instruction_set(self) -> str:
        """Name of the variant."""
        name: bytes = self._handle.treadle_instruction_set()
        return name.decode()

    def call(self, name: str, *arguments: object) -> None:
        """Call a function that returns a code; raises the exception that the code stands for."""
        code = getattr(self._handle, f"treadle_{name}")(*arguments)
        if code:
            words: bytes = self._handle.treadle_last_error()
            raise _ERRORS.get(code, NativeError)(f"native core, {name}: {words.decode(errors='replace')}")

    def value(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the function returns
        """Call a function that cannot fail."""
        return getattr(self._handle, f"treadle_{name}")(*arguments)


def _not_ours(path: Path, error: Exception) -> ResourceError:
    return ResourceError(f"{path} cannot be loaded as Treadle's native core: {error}")


def _require_whole(path: Path) -> None:
    """Raise `ResourceError` for an ELF file that was cut short: loading one would end the process with a bus error."""
    with path.open("rb") as file:
        header = file.read(64)
        size = file.seek(0, 2)
    if header[:4] != b"\x7fELF" or header[4] != _ELF_64:
        return  # Of another kind: the loader itself says what it thinks of it.
    sections = int.from_bytes(header[40:48], "little")  # The section table comes last: offset, entry size, count.
    end = sections + int.from_bytes(header[58:60], "little") * int.from_bytes(header[60:62], "little")
    if len(header) < 64 or size < end:
        raise ResourceError(f"{path} cannot be loaded: it was cut short ({size} of {end} bytes); delete it")


@cache
def _open(path: Path) -> Library:
    return Library(path)


def load() -> Library:
    """The core for this machine, or for what `TREADLE_NATIVE_ISA` forces; built on first use."""
    return _open(build.library_path(instruction_sets.choose()))
