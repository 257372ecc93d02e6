"""What becomes of files from a model's inbox once they were fed: stored ones go, refused ones are put aside."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from treadle.base.files import disk_errors, write_text
from treadle.jobs.inbox import INBOX, REASON, REFUSED, free_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from treadle.data.document import Refusal

_SHOWN = f"{INBOX}/"


def shown_source(source: str, taken: Path) -> str:
    """Where a file of the folder `taken` came from, as people know it: `inbox/NAME`."""
    return source.replace(f"{taken}/", _SHOWN, 1) if source.startswith(f"{taken}/") else source


def settle(taken: Path, refusals: Iterable[Refusal]) -> None:
    """Put what was refused into `inbox/refused`, each file with its reasons beside it; remove what is stored.

    It may be done again after a kill at any point: what was refused is refused again, what was stored is known.
    """
    reasons: dict[str, list[str]] = {}
    for refusal in refusals:
        if refusal.reason != "duplicate" and refusal.source.startswith(_SHOWN):
            name = refusal.source.removeprefix(_SHOWN).split("!/")[0]
            reasons.setdefault(name, []).append(f"{refusal.source}: {refusal.detail} ({refusal.reason})")
    aside = taken.parent.parent / REFUSED
    with disk_errors(aside):
        for name, lines in reasons.items():
            _put_aside(taken / name, aside / name, lines)
        shutil.rmtree(taken, ignore_errors=True)


def _put_aside(path: Path, target: Path, reasons: list[str]) -> None:
    if not path.is_symlink() and not path.exists():
        return  # it was put aside before a kill, or its name cannot be written
    target = free_name(target)
    write_text(target.with_name(f"{target.name}{REASON}"), "\n".join(reasons) + "\n")
    path.rename(target)
