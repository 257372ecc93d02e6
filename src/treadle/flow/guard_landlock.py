"""The operating system's part of the guard: Landlock through ctypes. Linux only; needs no root and no daemon.

A process that has restricted itself, and all that it starts, can write only where a rule allows it; the kernel checks
each open, rename, link and truncate, so it does not matter which program tries. Landlock does not restrict reading
here, nor `chmod`, `chown`, times of files, the network, or what another process does when asked through a socket.
Source: Documentation/userspace-api/landlock.rst of the Linux kernel.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Numbers of system calls are the same on all architectures that were added to Linux since 2011, x86-64 included.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_CREATE_RULESET_VERSION = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_ALL = 0b1111111 << 6  # character devices, folders, files, sockets, pipes, block devices, symbolic links
_REFER = 1 << 13  # link or rename across folders; from version 2 on, before that it is always refused
_TRUNCATE = 1 << 14  # from version 3 on
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1  # from version 6 on
_ELF_INTERPRETER = 3  # the entry of a program's table that names its dynamic loader
_REFER_VERSION, _TRUNCATE_VERSION, _SCOPE_VERSION = 2, 3, 6


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class Grants:
    """What a restricted process may still do, as paths that exist."""

    folders: tuple[Path, ...] = ()
    """Everything beneath may be written, made and removed."""
    editable: tuple[Path, ...] = ()
    """Files, and folders of files, that may be changed in place; nothing may be made or removed."""
    programs: tuple[Path, ...] | None = None
    """Files and folders of programs that may be started; None = any."""


@dataclass(slots=True)
class Ruleset:
    """A set of rules held by the kernel, ready to be entered by a child process."""

    version: int
    handle: int
    lacks: list[str] = field(default_factory=list)
    """What this kernel's version cannot refuse."""

    def entry(self) -> Callable[[], None]:
        """A function that restricts the process that calls it, for good; for use between fork and exec."""
        library, handle = _library(), self.handle

        def enter() -> None:
            if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.syscall(_RESTRICT_SELF, handle, 0):
                raise OSError(ctypes.get_errno(), "Landlock refused to restrict the command")

        return enter

    def close(self) -> None:
        """Forget the rules; processes that entered them stay restricted."""
        os.close(self.handle)


def landlock_version() -> int:
    """The version of Landlock that the running kernel offers; 0 = none."""
    if sys.platform != "linux":
        return 0
    found: int = _library().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return max(found, 0)


def make_ruleset(grants: Grants) -> Ruleset:
    """Hand the rules to the kernel; raises `ResourceError` when it does not take them."""
    version = landlock_version()
    if not version:
        raise ResourceError("This kernel has no Landlock; use --layer diff, which checks after the command.")
    write = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_ALL
    write |= _REFER if version >= _REFER_VERSION else 0
    write |= _TRUNCATE if version >= _TRUNCATE_VERSION else 0
    in_place = _WRITE_FILE | (write & _TRUNCATE)
    handled = write | (0 if grants.programs is None else _EXECUTE)
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= _SCOPE_VERSION else 0
    attributes = _RulesetAttributes(handled, 0, scoped)
    size = ctypes.sizeof(attributes) if version >= _SCOPE_VERSION else ctypes.sizeof(ctypes.c_uint64)
    handle = _library().syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    if handle < 0:
        raise ResourceError(f"Landlock refused the rules: {os.strerror(ctypes.get_errno())}. Use --layer diff.")
    rules = Ruleset(version, handle, _missing(version))
    wanted = [(path, write) for path in grants.folders]
    wanted += [(path, in_place) for path in grants.editable]
    wanted += [(path, _EXECUTE) for path in grants.programs or ()]
    try:
        for path, rights in wanted:
            _allow(handle, path, rights)
    except BaseException:
        rules.close()
        raise
    return rules


def _allow(handle: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # gone since it was listed: nothing is granted
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _EXECUTE | _WRITE_FILE | _TRUNCATE
        rule = _PathBeneath(rights, place)
        if _library().syscall(_ADD_RULE, handle, _RULE_PATH_BENEATH, ctypes.byref(rule), 0):
            raise ResourceError(f"Landlock refused the rule for {path}: {os.strerror(ctypes.get_errno())}.")
    finally:
        os.close(place)


def _missing(version: int) -> list[str]:
    wanted = ((_TRUNCATE_VERSION, "truncating files"), (_SCOPE_VERSION, "signals to other processes"))
    return [what for needed, what in wanted if version < needed]


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def granted_folders(folder: Path, kept: tuple[Path, ...]) -> Iterator[Path]:
    """Cut `folder` into parts that leave out the paths in `kept`, since Landlock can only add rights, not take away.

    A folder on the way to a kept path is given entry by entry, so nothing new can be made directly in it.
    """
    if not any(path == folder or path.is_relative_to(folder) for path in kept):
        yield folder
        return
    if folder in kept or not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if not entry.is_symlink():
            yield from granted_folders(entry, kept)


def programs_of(commands: tuple[str, ...], search: str) -> tuple[Path, ...]:
    """The files behind names of commands, with the interpreters that the kernel starts for them.

    A command that ends with `/` is a folder whose programs may all be started. Unknown names grant nothing.
    """
    found: list[Path] = []
    waiting = list(commands)
    seen: set[str] = set()
    while waiting:
        command = waiting.pop()
        if command in seen:
            continue
        seen.add(command)
        if command.endswith("/"):
            found.append(Path(command))
            continue
        for place in [command] if "/" in command else [f"{folder}/{command}" for folder in search.split(os.pathsep)]:
            if os.access(place, os.X_OK) and Path(place).is_file():
                path = Path(place).resolve()
                found.append(path)
                waiting += _interpreters(path)
                break
    return tuple(dict.fromkeys(found))


def _interpreters(path: Path) -> list[str]:
    """What the kernel opens to run a file: the words after `#!`, or the dynamic loader of an ELF program."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"#!"):
        words = os.fsdecode(head[2:].split(b"\n", 1)[0]).split()
        through_env = len(words) > 1 and Path(words[0]).name == "env"
        return words[:1] + (words[-1:] if through_env else [])
    if not head.startswith(b"\x7fELF\x02"):
        return []
    order = "<" if head[5] == 1 else ">"
    table = struct.unpack_from(f"{order}Q", head, 32)[0]
    size, number = struct.unpack_from(f"{order}2H", head, 54)
    for place in range(table, min(table + size * number, len(head) - size), size):
        if struct.unpack_from(f"{order}I", head, place)[0] == _ELF_INTERPRETER:
            begin, length = struct.unpack_from(f"{order}Q", head, place + 8)[0], head[place + 32]
            return [os.fsdecode(head[begin : begin + length].rstrip(b"\0"))]
    return []
