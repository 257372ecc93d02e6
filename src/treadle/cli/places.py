"""How places are named in a terminal: as short as they can be, and only when they must be."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError
from treadle.store.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping


def near(path: str, arguments: Mapping[str, Any]) -> str:
    """The shortest name of a path: below the current folder, the workspace or the home folder."""
    names = [path]
    for base, mark in ((str(Path.cwd()), ""), (arguments.get("root"), ""), (str(Path.home()), "~/")):
        if base and path.startswith(f"{base.rstrip('/')}/"):
            names.append(mark + path[len(base.rstrip("/")) + 1 :])
    return min(names, key=len)


def place_flag(folder: str) -> str:
    """` --workspace FOLDER` if a command without it would not come to this workspace, else nothing."""
    try:
        found = str(find_workspace().root) == folder
    except NotFoundError:
        found = False
    return "" if found else f" --workspace {shlex.quote(near(folder, {}))}"
