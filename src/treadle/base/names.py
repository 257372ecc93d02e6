"""Names that people type: what is allowed, and what they may have meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from treadle.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(kind: str, name: str) -> str:
    """Return `name` if it is safe as a file name and readable in a list, else raise `UsageError` saying the rule."""
    if _NAME.fullmatch(name) is None or ".." in name:
        shown = name if len(name) <= 40 else name[:37] + "..."
        raise UsageError(
            f"{shown!r} cannot be the name of a {kind}: use 1 to 64 letters, digits, '-', '_' or single '.', "
            "beginning with a letter or digit, for example my-notes."
        )
    return name


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ` Did you mean X?` for the nearest choice, or an empty string when none is near."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" Did you mean `{near[0]}`?" if near else ""
