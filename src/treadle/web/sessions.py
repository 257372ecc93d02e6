"""Who is logged in: sessions that survive a restart of the server, and a brake on guessing passwords."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from treadle.base.files import locked, read_json, write_json
from treadle.store.accounts import hash_password, verify_password
from treadle.web.answers import RefusedError
from treadle.web.door import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.store.accounts import AccountsFile

LOG_IN_FIRST: Final = "Log in first; programs send `Authorization: Bearer TOKEN` (treadle key add NAME)."
COOKIE: Final = "treadle_session"
LASTS_SECONDS: Final = 14 * 86_400
FREE_ATTEMPTS: Final = 5
"""Wrong passwords in a row, for one name or from one address, after which each next attempt must wait."""
_LONGEST_WAIT = 900.0
_MOST_REMEMBERED = 10_000


class Brake:
    """Makes guessing slow: each wrong password beyond the free ones doubles the wait, up to a quarter of an hour."""

    def __init__(self) -> None:
        """Remember nobody yet."""
        self._wrong: dict[str, tuple[int, float]] = {}  # who -> how often in a row, and when the next may come

    def check(self, *who: str) -> None:
        """Refuse with 429 while one of `who` must wait."""
        wait = max(self._remembered(one)[1] for one in who) - time.monotonic()
        if wait > 0:
            raise RefusedError(429, f"Too many wrong passwords. Try again in {wait:.0f} s.", "TooMany")

    def wrong(self, *who: str) -> None:
        """Count one more wrong password."""
        if len(self._wrong) > _MOST_REMEMBERED:
            now = time.monotonic()  # those who must wait go on waiting
            self._wrong = {one: row for one, row in self._wrong.items() if row[1] > now}
        for one in who:
            times = self._remembered(one)[0] + 1
            beyond = times - FREE_ATTEMPTS
            wait = 0.0 if beyond < 0 else min(2.0**beyond, _LONGEST_WAIT)
            self._wrong[one] = (times, time.monotonic() + wait)

    def right(self, who: str) -> None:
        """Forget the wrong ones."""
        self._wrong.pop(who, None)

    def _remembered(self, who: str) -> tuple[int, float]:
        times, until = self._wrong.get(who, (0, 0.0))
        return (0, 0.0) if time.monotonic() > until + _LONGEST_WAIT else (times, until)


class Sessions:
    """The log-ins of one workspace; only hashes of their ids are kept."""

    def __init__(self, accounts: AccountsFile, brake: Brake | None = None) -> None:
        """Keep sessions beside the accounts."""
        self._accounts = accounts
        self._path = accounts.path.parent / "sessions.json"
        self._lock = threading.Lock()  # of the brake
        self._hashing = threading.Semaphore(2)  # each hash takes 64 MB
        self._brake = brake or Brake()
        self._nobody = ""

    def log_in(self, name: str, password: str, address: str) -> str:
        """The id of a new session; raises `RefusedError` for a wrong name or password, alike for both."""
        who = (f"user {name}", f"address {address}")
        with self._lock:
            self._brake.check(*who)
            self._brake.wrong(*who)  # counted before the slow part, so that many at once do not slip through
        user = self._accounts.read().users.get(name)
        with self._hashing:
            if not self._nobody:
                self._nobody = hash_password(secrets.token_hex(16))
            right = verify_password(user.password if user else self._nobody, password)
        if user is None or not right:
            raise RefusedError(401, "This name and password do not belong together. Try again.", "LogIn")
        with self._lock:
            self._brake.right(who[0])  # not the address: an own account must not free guesses at others
        identity = secrets.token_urlsafe(32)
        now = time.time()
        with self._changing() as known:
            for over in [key for key, row in known.items() if row["created"] + LASTS_SECONDS <= now]:
                del known[over]
            known[_digest(identity)] = {"user": name, "stamp": user.stamp, "created": now}
        return identity

    def who(self, identity: str) -> Identity | None:
        """Who the session belongs to; None if there is none, it is over, or its user changed."""
        row = self._read().get(_digest(identity)) if identity else None
        if row is None or row["created"] + LASTS_SECONDS < time.time():
            return None
        user = self._accounts.read().users.get(row["user"])
        if user is None or user.stamp != row["stamp"]:
            return None
        return Identity(user.name, user.level, csrf_of(identity), local=False)

    def log_out(self, identity: str) -> None:
        """End a session."""
        if _digest(identity) in self._read():
            with self._changing() as known:
                known.pop(_digest(identity), None)

    def _read(self) -> dict[str, dict[str, Any]]:
        """From the file each time: another server of the same workspace may have changed it."""
        return dict(read_json(self._path)) if self._path.exists() else {}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, Any]]]:
        with locked(self._path.with_name("lock")):
            known = self._read()
            yield known
            write_json(self._path, known)
            self._path.chmod(0o600)


def csrf_of(secret: str) -> str:
    """The token that pages of this session send with changes; it does not reveal the session's id."""
    return hmac.new(secret.encode(), b"treadle csrf", hashlib.sha256).hexdigest()


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()
