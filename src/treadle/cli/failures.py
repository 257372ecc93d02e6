"""What a command says when it fails: with the pip that is meant, and of a defect, where its traceback is."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import traceback
from pathlib import Path


def with_own_pip(message: str) -> str:
    """Name the Python of this installation where `pip` alone would install into another one.

    Whoever calls `./treadle` has not activated the environment that it lives in.
    """
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == Path(sys.executable).parent:
        return message
    return message.replace("pip install", f"{shlex.quote(sys.executable)} -m pip install")


def defect(error: Exception) -> str:
    """Keep the traceback of what should not have happened, and say where."""
    said = f"Treadle has a defect: {type(error).__name__}: {error}."
    try:
        number, path = tempfile.mkstemp(prefix="treadle-defect-", suffix=".txt")
        with os.fdopen(number, "w") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        traceback.print_exception(error)
        return said
    return f"{said} The traceback is in {path}. What was queued goes on: treadle jobs list"
