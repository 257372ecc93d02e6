"""Operations on accounts of people and keys of programs: user add, list, remove, password, level; key add, ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from treadle.store.accounts import AccountsFile, Key, User

_CHOSEN = "password, at least 8 characters; - = read from standard input; none = a made-up one, which is shown once"
_LEVEL = "viewer: looks; operator: feeds, trains, changes; admin: removes, and keeps the accounts"


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A person who may log in."""

    name: str
    level: str
    created: float


@dataclass(frozen=True, slots=True)
class UserList:
    """All users of the workspace."""

    users: list[UserSummary]


@dataclass(frozen=True, slots=True)
class UserChange:
    """A user after a change."""

    user: UserSummary
    said: str
    password: str | None = None
    """The password that was made up; it is shown this once and kept nowhere."""


@dataclass(frozen=True, slots=True)
class KeySummary:
    """A key of a program."""

    name: str
    level: str
    created: float


@dataclass(frozen=True, slots=True)
class KeyList:
    """All keys of the workspace."""

    keys: list[KeySummary]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key after a change."""

    key: KeySummary
    said: str
    token: str | None = None
    """What the program sends as `Authorization: Bearer TOKEN`; it is shown this once and kept nowhere."""


@operation(
    "light",
    for_assistants=False,
    noun="user",
    examples=("treadle user add ada --level admin", "treadle user add ben --level viewer --password - < password.txt"),
)
def add(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name to log in with: small letters, digits, `.`, `_`, `-`"],
    *,
    level: Annotated[Literal["viewer", "operator", "admin"], _LEVEL] = "operator",
    password: Annotated[str | None, _CHOSEN] = None,
) -> UserChange:
    """Make a user, who may log in to `treadle ui`. With the first one, everybody has to; that one must be an admin."""
    chosen, made_up = _password(password)
    user = _accounts(workspace).add_user(name, level, chosen)
    return UserChange(_user(user), f"User `{name}` may log in, as {level}.", made_up)


@operation("light", effect="reads", for_assistants=False, noun="user", verb="list", examples=("treadle user list",))
def list_(workspace: WorkspaceFolder) -> UserList:
    """List the users and their levels. Without users, only this machine can reach the pages."""
    return UserList([_user(user) for user in _accounts(workspace).read().users.values()])


@operation("light", effect="removes", for_assistants=False, noun="user", examples=("treadle user remove ben",))
def remove(workspace: WorkspaceFolder, name: Annotated[str, "name of the user"]) -> UserChange:
    """Take a user away; their sessions end at once. Without any user the pages are open to this machine only."""
    accounts = _accounts(workspace)
    user = accounts.remove_user(name)
    return UserChange(_user(user), f"User `{name}` may not log in any more.")


@operation("light", for_assistants=False, noun="user", examples=("treadle user password ben",))
def password(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the user"],
    *,
    password: Annotated[str | None, _CHOSEN] = None,
) -> UserChange:
    """Give a user another password; their sessions end at once."""
    chosen, made_up = _password(password)
    user = _accounts(workspace).change_user(name, password=chosen)
    return UserChange(_user(user), f"User `{name}` has a new password and must log in again.", made_up)


@operation("light", for_assistants=False, noun="user", examples=("treadle user level ben operator",))
def level(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the user"],
    level: Annotated[Literal["viewer", "operator", "admin"], _LEVEL],
) -> UserChange:
    """Set what a user may do; their sessions end at once."""
    user = _accounts(workspace).change_user(name, level=level)
    return UserChange(_user(user), f"User `{name}` is {level} now and must log in again.")


@operation(
    "light",
    for_assistants=False,
    noun="key",
    verb="add",
    examples=("treadle key add notebook", "treadle key add dashboard --level viewer"),
)
def add_key(
    workspace: WorkspaceFolder,
    name: Annotated[str, "what the key is for: small letters, digits, `.`, `_`, `-`"],
    *,
    level: Annotated[Literal["viewer", "operator", "admin"], _LEVEL] = "operator",
) -> KeyChange:
    """Make a key for a program, which sends it as `Authorization: Bearer TOKEN`. It is shown this once."""
    key, token = _accounts(workspace).add_key(name, level)
    return KeyChange(
        _key(key), f"Key `{name}` opens the API, as {level}. Keep the token: it is not shown again.", token
    )


@operation("light", effect="reads", for_assistants=False, noun="key", verb="list", examples=("treadle key list",))
def list_keys(workspace: WorkspaceFolder) -> KeyList:
    """List the keys of programs and their levels; the tokens themselves are kept nowhere."""
    return KeyList([_key(key) for key in _accounts(workspace).read().keys.values()])


@operation(
    "light",
    effect="removes",
    for_assistants=False,
    noun="key",
    verb="remove",
    examples=("treadle key remove notebook",),
)
def remove_key(workspace: WorkspaceFolder, name: Annotated[str, "name of the key"]) -> KeyChange:
    """Take a key away; its token opens nothing from now on."""
    key = _accounts(workspace).remove_key(name)
    return KeyChange(_key(key), f"Key `{name}` opens nothing any more.")


def _password(given: str | None) -> tuple[str, str | None]:
    """The password to set, and the same if it was made up here."""
    if given is not None:
        return given, None
    made_up: str = load("secrets:token_urlsafe")(12)
    return made_up, made_up


def _accounts(workspace: WorkspaceFolder) -> AccountsFile:
    accounts: AccountsFile = load("treadle.store.accounts:AccountsFile")(workspace)
    return accounts


def _user(user: User) -> UserSummary:
    return UserSummary(user.name, user.level, user.created)


def _key(key: Key) -> KeySummary:
    return KeySummary(key.name, key.level, key.created)
