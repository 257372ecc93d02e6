"""Roles: what an assistant may write, run and ask for. Read from a TOML file that no role may change itself."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from treadle.base.errors import NotFoundError, SettingsError, UsageError
from treadle.base.names import check_name, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROLES_FILE = "flow/system/roles.toml"
"""Where the roles of a tree stand unless told otherwise."""
Gate = Literal["no-mocks", "test-first"]
ROLE_VARIABLE, ROLES_VARIABLE = "TREADLE_ROLE", "TREADLE_ROLES"
"""Environment variables by which the guard tells its command the role and the file of roles."""
_FORMAT = 1

TEMPLATE = """\
# Roles: what an assistant may write and run. No role may change this file.
#   treadle flow guard run --role docs -- COMMAND       runs a command that can write only what the role may
#   treadle flow guard check --role docs --range A..B   checks commits by the same rules, for instance in CI
#   treadle mcp --role docs                             offers only the operations of the role
#
# writes        patterns from the top of the tree: ** is any depth, * stays in one folder; absolute ones lie outside it
# commands      programs that may be started, at any depth; a folder ends with /; empty = any
# operations    operations that `treadle mcp` offers, as `treadle` names them with dots; empty = all
# gates         "no-mocks" (tests may not replace code of the product), "test-first" (new tests fail before the change)
# may_commit    false = .git is read-only; `guard run --commit MESSAGE` commits after the check
# tests, test_command (for all roles): where tests are, and how they are run
# no_new_files  true = existing files may be changed in place, nothing may be made or removed
# read_only     true = nothing in the tree may be written, whatever `writes` says
# must_read     documents that `treadle mcp` serves before anything else
format = 1
tests = ["tests/**"]
test_command = "python -m pytest"

[roles.reader]
purpose = "Looks and answers; changes nothing."
read_only = true
operations = ["list", "show", "doctor", "config.*", "flow.list", "flow.show", "flow.check", "flow.ci.*"]
must_read = ["flow/system/guidelines.md"]

[roles.docs]
purpose = "Writes documentation and notes; no code."
writes = ["docs/**", "README.md", "CHANGELOG.md", "flow/active/**", "flow/planning/**", "flow/logs/**"]
operations = ["list", "show", "flow.*"]
must_read = ["flow/system/guidelines.md"]

[roles.tester]
purpose = "Writes tests before the code exists; touches nothing else."
writes = ["tests/**", "flow/logs/**"]
gates = ["no-mocks", "test-first"]
must_read = ["flow/system/guidelines.md"]

[roles.coder]
purpose = "Makes the tests pass; changes no test."
writes = ["src/**", "docs/**", "CHANGELOG.md", "flow/active/**", "flow/logs/**"]
gates = ["no-mocks"]
must_read = ["flow/system/guidelines.md"]
"""


@dataclass(frozen=True, slots=True)
class Role:
    """What one kind of assistant may do. All that is not granted is refused."""

    name: str
    purpose: str = ""
    writes: tuple[str, ...] = ()
    """Patterns of paths, relative to the top of the tree; an absolute one grants a place outside it."""
    commands: tuple[str, ...] = ()
    """Programs that may be started; empty = any."""
    operations: tuple[str, ...] = ()
    """Patterns of operations that an assistant sees; empty = all."""
    gates: tuple[Gate, ...] = ()
    may_commit: bool = False
    read_only: bool = False
    no_new_files: bool = False
    must_read: tuple[str, ...] = ()
    """Documents that are served before anything else."""
    home: str = ROLES_FILE
    """Path, in the tree, of the file that grants all this; no role may change it."""

    def may_write(self, path: str) -> bool:
        """Whether the path (relative to the tree, with `/`) is one of the role's own."""
        return not self.read_only and path != self.home and any(matches(pattern, path) for pattern in self.writes)

    def may_call(self, operation: str, *, reads: bool) -> bool:
        """Whether the operation called `operation` is offered to the role; `reads` = it changes nothing."""
        if self.read_only and not reads:
            return False
        patterns = [pattern.replace(".", "/").replace("*", "**") for pattern in self.operations]
        return not patterns or any(matches(pattern, operation.replace(".", "/")) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Roles:
    """All roles of a tree."""

    source: str
    """Where they were read, for messages."""
    tests: tuple[str, ...]
    """Patterns of the paths of tests."""
    test_command: str
    """How tests are run; paths and options of pytest are added."""
    roles: Mapping[str, Role]

    def get(self, name: str) -> Role:
        """Find a role; raises `NotFoundError` that names the known ones."""
        if name not in self.roles:
            known = ", ".join(sorted(self.roles)) or "none"
            raise NotFoundError(f"{self.source} has no role `{name}`.{did_you_mean(name, self.roles)} Known: {known}.")
        return self.roles[name]

    def is_test(self, path: str) -> bool:
        """Whether a path of the tree belongs to the tests."""
        return any(matches(pattern, path) for pattern in self.tests)


def read_roles(tree: Path, file: Path | None = None) -> Roles:
    """Read the roles of a tree; raises `NotFoundError` with the remedy, or `SettingsError` with the place."""
    path = tree / ROLES_FILE if file is None else file
    try:
        text = path.read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"The roles cannot be read: {path}: {error.strerror}. "
            "Write a first set with `treadle flow guard init`, or name a file with --roles FILE."
        ) from error
    whole = path.resolve()
    inside = whole.is_relative_to(tree.resolve())
    return parse_roles(text, str(path), whole.relative_to(tree.resolve()).as_posix() if inside else ROLES_FILE)


def role_in_force() -> Role | None:
    """The role of this process, if it runs under the guard; its commands then offer the role's operations only."""
    name, file = os.environ.get(ROLE_VARIABLE), os.environ.get(ROLES_VARIABLE)
    return read_roles(Path(), Path(file)).get(name) if name and file else None


def refuse_operation(operation: str, *, reads: bool) -> None:
    """Raise `UsageError` if the role of this process is not offered an operation."""
    role = role_in_force()
    if role is not None and not role.may_call(operation, reads=reads):
        raise UsageError(f"The role `{role.name}` is not offered `treadle {operation.replace('.', ' ')}`.")


def parse_roles(text: bytes, source: str, home: str = ROLES_FILE) -> Roles:
    """Parse the text of a file of roles, which lies at `home`; what is wrong is an error that names `source`."""
    try:
        table = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{source} is not TOML: {error}.") from error
    _known(source, "", table, ("format", "tests", "test_command", "roles"))
    if table.get("format") != _FORMAT:
        raise SettingsError(f"{source}: format must be {_FORMAT}, not {table.get('format')!r}.")
    roles = table.get("roles", {})
    if not isinstance(roles, dict) or not all(isinstance(role, dict) for role in roles.values()):
        raise SettingsError(f"{source}: write each role as a table [roles.NAME].")
    tests = _texts(source, "tests", table.get("tests", ["tests/**"]))
    command = table.get("test_command", "python -m pytest")
    if not isinstance(command, str) or not command.strip():
        raise SettingsError(f"{source}: test_command must be a text such as 'python -m pytest', not {command!r}.")
    return Roles(source, tests, command, {name: _role(source, name, role, home) for name, role in roles.items()})


def _role(source: str, name: str, table: Mapping[str, Any], home: str) -> Role:
    check_name("role", name)
    _known(
        source, f"roles.{name}.", table, [field.name for field in fields(Role) if field.name not in {"name", "home"}]
    )
    values: dict[str, Any] = {"name": name, "home": home}
    for key, value in table.items():
        place = f"roles.{name}.{key}"
        if key == "purpose":
            if not isinstance(value, str):
                raise SettingsError(f"{source}: {place} must be a text, not {value!r}.")
            values[key] = value
        elif key in {"may_commit", "read_only", "no_new_files"}:
            if not isinstance(value, bool):
                raise SettingsError(f"{source}: {place} must be true or false, not {value!r}.")
            values[key] = value
        else:
            values[key] = _texts(source, place, value)
    for gate in values.get("gates", ()):
        if gate not in get_args(Gate):
            known = ", ".join(get_args(Gate))
            raise SettingsError(f"{source}: roles.{name}.gates: unknown gate {gate!r}; known: {known}.")
    for pattern in (*values.get("writes", ()), *values.get("must_read", ())):
        if ".." in pattern.split("/") or not pattern.strip("/"):
            raise SettingsError(f"{source}: roles.{name}: {pattern!r} leads out of the tree or is empty.")
    return Role(**values)


def _known(source: str, prefix: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
    keys = list(keys)
    for key in table:
        if key not in keys:
            near = did_you_mean(key, keys) or f" Known: {', '.join(keys)}."
            raise SettingsError(f"{source}: unknown key `{prefix}{key}`.{near}")


def _texts(source: str, place: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SettingsError(f"{source}: {place} must be a list of texts, not {value!r}.")
    return tuple(value)


def matches(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern: `**` is any number of folders, `*` and `?` stay within one name.

    A pattern that ends with `/` means everything below that folder.
    """
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (f"{pattern}**" if pattern.endswith("/") else pattern).split("/")
    written = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            written += ".*" if last else "(?:[^/]+/)*"
        else:
            written += "".join({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)) for sign in part)
            written += "" if last else "/"
    return re.compile(written, re.DOTALL)
