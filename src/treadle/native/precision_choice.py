"""Which element type the products of a training take where the settings leave it open: measured, kept, replayed.

A processor that has the instructions for bfloat16 is not always faster with them: some multiply float32 at twice the
rate. So both are tried at the width of the model, for some milliseconds, and the answer is kept in the user's cache
under the processor, the library and the width: a later run and another process decide equally. A checkpoint holds the
answer too, and a resumed training asks nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.native import build, instruction_sets
from treadle.native.binding import Precision, precision_trial
from treadle.telemetry import hardware

if TYPE_CHECKING:
    from collections.abc import Callable

    Trial = Callable[[Precision, int, int, int], float]
    """Seconds of products in a precision, for so many rows, columns and summed values."""

_ROWS: Final = 192
_COLUMNS: Final = 256
_WIDEST: Final = 256
_TURNS: Final = 2
_WORTH: Final = 1.05
"""Float32 is left only for a gain that is worth its accuracy and that noise cannot fake."""


def chosen_precision(width: int) -> Precision:
    """The faster precision on this machine for models of this width; measured at most once."""
    if not instruction_sets.choose().bfloat16:
        return Precision.FLOAT32
    return _chosen(build.library_path(instruction_sets.choose()), min(_WIDEST, (width + 63) // 64 * 64))


def remembered(path: Path, measure: Callable[[], Precision]) -> Precision:
    """What the file says, else what `measure` finds; the file says so from then on. Of two writers the first wins."""
    known = _read(path)
    if known is not None:
        return known
    found = measure()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs some milliseconds at each start
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"precision": found.name}, file)
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
        finally:
            Path(name).unlink()
    return _read(path) or found


def faster(width: int, trial: Trial) -> Precision:
    """Try both in turns at a weight of this width (a multiple of 64); the shortest times count."""
    shortest = dict.fromkeys(Precision, float("inf"))
    for _ in range(_TURNS):
        for precision in Precision:
            shortest[precision] = min(shortest[precision], trial(precision, _ROWS, _COLUMNS, width))
    ratio = shortest[Precision.FLOAT32] / shortest[Precision.BFLOAT16]
    return Precision.BFLOAT16 if ratio > _WORTH else Precision.FLOAT32


@cache
def _chosen(library: Path, width: int) -> Precision:
    digest = hashlib.sha256(hardware.processor()[0].encode() + b"\0" + library.read_bytes()).hexdigest()[:24]
    place = build.cache_folder().parent / "precision" / f"{digest}-{width}.json"
    return remembered(place, lambda: faster(width, precision_trial))


def _read(path: Path) -> Precision | None:
    """What the file says; None where there is none, or where it says nothing that can be understood."""
    try:
        return Precision[json.loads(path.read_text(encoding="utf-8"))["precision"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        with contextlib.suppress(OSError):
            path.unlink()
        return None
