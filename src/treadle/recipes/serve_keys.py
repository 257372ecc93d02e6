"""Whose key a token is: keys from the environment and those of the workspace."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Final

from treadle.base.errors import NotReadyError, UsageError
from treadle.base.listening import is_loopback
from treadle.store.accounts import AccountsFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.store.workspace import WorkspaceFolder

KEYS_VARIABLE: Final = "TREADLE_SERVE_KEYS"
"""Environment variable: keys, parted by commas or spaces, each as it is or as NAME:KEY."""
_LEAST_KEY = 16


def key_owner(workspace: WorkspaceFolder, host: str) -> Callable[[str], str | None] | None:
    """What tells the name of a key, None for one that is unknown; None where no key is needed.

    A server that only this machine can reach needs keys if there are any. Raises `NotReadyError` for another address
    without keys, `UsageError` for one that is too short.
    """
    given = dict(_named(place, one) for place, one in enumerate(_words(os.environ.get(KEYS_VARIABLE, "")), 1))
    accounts = AccountsFile(workspace)
    if not given and not accounts.read().keys:
        if is_loopback(host):
            return None
        raise NotReadyError(
            f"{host} can be reached from other machines, and everybody could use the models. Make a key first: "
            f"treadle key add NAME, or set {KEYS_VARIABLE}."
        )

    def owner(token: str) -> str | None:
        found = [name for name, key in given.items() if hmac.compare_digest(key.encode(), token.encode())]
        if found:
            return found[0]
        known = accounts.read().key_of(token)
        return None if known is None else f"key {known.name}"

    return owner


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _named(place: int, word: str) -> tuple[str, str]:
    name, sign, key = word.partition(":")
    if not sign:
        name, key = f"key {place}", word
    if len(key) < _LEAST_KEY:
        raise UsageError(f"A key in {KEYS_VARIABLE} is too short; give at least {_LEAST_KEY} characters.")
    return name, key
