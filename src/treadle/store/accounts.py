"""People's accounts of a workspace: users with a level, and keys for programs, in one file that only its owner reads.

Passwords are kept as argon2id hashes, keys as SHA-256 of 32 random bytes; neither can be read back.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeVar, get_args

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.files import locked, read_json, write_json
from treadle.base.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

Level = Literal["viewer", "operator", "admin"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
"""What people may do, each more than the one before: look; feed, train and change; remove and keep the accounts."""
FOLDER: Final = "accounts"
"""Where they lie in a workspace; only admins reach it through the web."""
LEAST_PASSWORD = 8
_NAME = re.compile(r"(?!nobody$)[a-z][a-z0-9._-]{0,31}")
"""`nobody` is who has not logged in."""
_KEY_PREFIX = "tdl_"


@dataclass(frozen=True, slots=True)
class User:
    """A person who may log in."""

    name: str
    level: Level
    password: str
    """argon2id hash."""
    created: float
    stamp: str
    """Changes with password and level; sessions that carry another one are over."""


@dataclass(frozen=True, slots=True)
class Key:
    """A bearer token of a program."""

    name: str
    level: Level
    digest: str
    created: float


_Account = TypeVar("_Account", User, Key)


@dataclass(frozen=True, slots=True)
class Accounts:
    """All users and keys of a workspace."""

    users: dict[str, User] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)

    def key_of(self, token: str) -> Key | None:
        """The key that a token belongs to."""
        digest = _digest(token)
        return next((key for key in self.keys.values() if hmac.compare_digest(key.digest, digest)), None)


class AccountsFile:
    """The file of the accounts; every change is one atomic replacement under a lock."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Work on the accounts of `workspace`; there need be none yet."""
        self._folder = workspace.root / FOLDER
        self._path = self._folder / "accounts.json"
        self._read: tuple[tuple[int, int, int], Accounts] | None = None

    @property
    def path(self) -> Path:
        """Where they lie."""
        return self._path

    def read(self) -> Accounts:
        """The accounts as they are now; the file is read again only when it has changed."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return Accounts()
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._read is None or self._read[0] != mark:
            self._read = (mark, _accounts(self._path))
        return self._read[1]

    def add_user(self, name: str, level: Level, password: str) -> User:
        """Make a user; raises `UsageError` if the name is taken or the password too short."""
        _check_name(name)
        hashed = hash_password(password)
        with self._changing() as accounts:
            if name in accounts.users:
                raise UsageError(f"There is a user `{name}` already. Another password: treadle user password {name}")
            if not accounts.users and level != "admin":
                raise UsageError(f"The first user must be an admin: treadle user add {name} --level admin")
            user = User(name, level, hashed, time.time(), secrets.token_hex(8))
            accounts.users[name] = user
        return user

    def change_user(self, name: str, *, level: Level | None = None, password: str | None = None) -> User:
        """Give a user another level or password; their sessions end."""
        hashed = None if password is None else hash_password(password)
        with self._changing() as accounts:
            user = _known(accounts.users, name, "user")
            changed = replace(
                user, level=level or user.level, password=hashed or user.password, stamp=secrets.token_hex(8)
            )
            accounts.users[name] = changed
            _keep_an_admin(accounts)
        return changed

    def remove_user(self, name: str) -> User:
        """Take a user away. The last admin stays as long as there are others."""
        with self._changing() as accounts:
            user = _known(accounts.users, name, "user")
            del accounts.users[name]
            _keep_an_admin(accounts)
        return user

    def add_key(self, name: str, level: Level) -> tuple[Key, str]:
        """Make a key; the token is returned this once and kept nowhere."""
        _check_name(name)
        token = _KEY_PREFIX + secrets.token_urlsafe(32)
        with self._changing() as accounts:
            if name in accounts.keys:
                raise UsageError(f"There is a key `{name}` already. Take it away first: treadle key remove {name}")
            key = Key(name, level, _digest(token), time.time())
            accounts.keys[name] = key
        return key, token

    def remove_key(self, name: str) -> Key:
        """Take a key away; its token is worth nothing from now on."""
        with self._changing() as accounts:
            key = _known(accounts.keys, name, "key")
            del accounts.keys[name]
        return key

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Accounts]:
        """The accounts, read under a lock and written back if all went well."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with locked(self._folder / "lock"):
            accounts = _accounts(self._path) if self._path.exists() else Accounts()
            yield accounts
            write_json(self._path, asdict(accounts))
            self._path.chmod(0o600)


def hash_password(password: str) -> str:
    """Hash a password with argon2id; raises `UsageError` if it is too short."""
    from argon2 import PasswordHasher

    if len(password) < LEAST_PASSWORD:
        raise UsageError(f"The password is too short; give at least {LEAST_PASSWORD} characters.")
    return PasswordHasher().hash(password)


def verify_password(hashed: str, password: str) -> bool:
    """Whether this is the password; takes as long for a wrong one."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"`{name}` is no name for an account: a small letter, then up to 31 small letters, digits, `.`, `_`, `-`."
        )


def _known(found: dict[str, _Account], name: str, what: str) -> _Account:
    if name not in found:
        raise NotFoundError(f"There is no {what} `{name}`.{_near(name, found)} See `treadle {what} list`.")
    return found[name]


def _near(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, list(known))


def _keep_an_admin(accounts: Accounts) -> None:
    if accounts.users and not any(user.level == "admin" for user in accounts.users.values()):
        raise UsageError("Nobody would be admin any more. Make another user admin first: treadle user level NAME admin")


def _accounts(path: Path) -> Accounts:
    stored = read_json(path)
    try:
        users = {name: User(**row) for name, row in stored["users"].items()}
        return Accounts(users, {name: Key(**row) for name, row in stored["keys"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} does not hold accounts ({error}); restore it from a copy, or remove it and make users anew."
        ) from error
