"""Content hashes: SHA-256 over bytes, files and canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def hash_bytes(data: bytes | memoryview) -> str:
    """SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - JSON is any tree of plain values
    """Serialise so that equal values give equal bytes: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hash_json(value: Any) -> str:  # noqa: ANN401 - JSON is any tree of plain values
    """SHA-256 of the canonical JSON of `value`."""
    return hash_bytes(canonical_json(value))
