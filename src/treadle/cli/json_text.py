"""Answers as JSON."""

from __future__ import annotations

import json
from typing import Any


def to_json(value: Any) -> str:  # noqa: ANN401 - JSON is any tree of plain values
    """Readable JSON with stable keys."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
