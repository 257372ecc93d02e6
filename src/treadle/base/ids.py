"""Random identities that sort by the time they were made."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread


def new_id(prefix: str) -> str:
    """Return `PREFIX-` and 16 characters: 10 of millisecond time, 6 of chance."""
    stamp = time.time_ns() // 1_000_000
    time_part = "".join(_ALPHABET[(stamp >> (5 * place)) & 31] for place in reversed(range(10)))
    return f"{prefix}-{time_part}{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def made_at(identity: str) -> float:
    """When an identity was made, in seconds since 1970; 0.0 for a text that is none."""
    stamp = 0
    for sign in identity.rpartition("-")[2][:10]:
        if sign not in _ALPHABET:
            return 0.0
        stamp = stamp << 5 | _ALPHABET.index(sign)
    return stamp / 1000
