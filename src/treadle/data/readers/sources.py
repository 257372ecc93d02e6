"""How a document's origin is written down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def source_of(path: Path) -> str:
    r"""Name a file in storable text; bytes of its name that are not UTF-8 are shown as `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
