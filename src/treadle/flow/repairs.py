"""`check --fix`: make the splices of all findings, then archive and index; what must be decided stays a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.flow.archive import archive_page
from treadle.flow.checks.catalog import Check, findings_of
from treadle.flow.edits import Splice, apply
from treadle.flow.indexes import update

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.flow.checks.finding import Finding
    from treadle.flow.draft import Draft

_ROUNDS = 500


def mend(draft: Draft, checks: Sequence[Check], only: Path | None = None, skipped: Sequence[str] = ()) -> list[Finding]:
    """Mend in the draft what can be mended; returns the findings that were.

    Splices of one round do not touch each other; what is left over comes in the next round, on the new text.
    """
    mended: list[Finding] = []
    for _ in range(_ROUNDS):
        found = [one for one in findings_of(draft, checks, only, skipped) if one.fixable]
        if not found:
            break
        now = _spliced(draft, [one for one in found if one.splices]) or _acted(draft, found)
        if not now:
            break
        mended += now
    return mended


def _spliced(draft: Draft, found: Sequence[Finding]) -> list[Finding]:
    done = []
    for path in {one.path for one in found}:
        file = draft.folder.root / path
        taken: list[Splice] = []
        for one in found:
            if one.path == path and not any(_touch(new, old) for new in one.splices for old in taken):
                taken += one.splices
                done.append(one)
        text = draft.text(file)
        after = apply(text, taken)
        if after == text:
            return []
        draft.put(file, after)
    return done


def _touch(one: Splice, other: Splice) -> bool:
    return one.start <= other.end and other.start <= one.end


def _acted(draft: Draft, found: Sequence[Finding]) -> list[Finding]:
    """The repairs that go over files: first the archive, then the indexes, which list it."""
    archive = [one for one in found if one.action == "archive"]
    codes = {one.code for one in archive}
    for path in {one.path for one in archive}:
        days = 14 if "F15" in codes else 10**6
        kept = 10 if "F16" in codes else 10**6
        archive_page(draft, draft.folder.root / path, days=days, kept=kept)
    if archive:
        return archive
    indexes = [one for one in found if one.action == "index"]
    return [one for one in indexes if update(draft, (draft.folder.root / one.path).parent)]
