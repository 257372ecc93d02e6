"""The table of checks: code, what it is about, who finds it, and whether it is on."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.flow import clock
from treadle.flow.checks import claims, dates, hygiene, priorities, status, structure
from treadle.flow.checks.finding import Finding, Scope
from treadle.flow.draft import Draft
from treadle.flow.folder import LOGS, FlowFolder
from treadle.flow.indexes import folders_with_notes, missing
from treadle.flow.lookup import every

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from treadle.flow.page import Page

    PageCheck = Callable[[Page, Scope], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    code: str
    about: str
    """What is wrong, in a few words, and what to do."""
    find: PageCheck | None
    """Looks at one page; None for those that look at folders."""
    default: bool = True
    in_archive: bool = False
    """Whether it also looks at the archive, where the past is not corrected."""


CHECKS: tuple[Check, ...] = (
    Check("F01", "contradictory status: decide which one is true and delete the other", status.contradictory_status),
    Check("F02", "priority clash: keep one priority", priorities.priority_clash),
    Check("F03", "done in an open section: it is moved to the completed ones", status.done_in_open_section),
    Check("F04", "two dates of completion: keep the right one", dates.two_dates),
    Check("F05", "done parent with an open child: finish or drop the child", status.done_with_open_child),
    Check("F06", "comment over a line end: it is joined", structure.comment_over_line_end, in_archive=True),
    Check("F07", "duplicate title: reword one", structure.duplicate_title),
    Check("F08", "duplicate section: the second is merged into the first", structure.duplicate_section),
    Check("F09", "second title of a file: it becomes a section", structure.second_title, in_archive=True),
    Check("F10", "heading in a list item: it becomes a box", structure.heading_in_item, default=False),
    Check("F11", "hidden from CommonMark by indentation: it is moved left", structure.hidden_by_indentation),
    Check("F12", "dead link or anchor: it is repaired if one file has that name", hygiene.dead_link, in_archive=True),
    Check("F13", "date in the future, far from its neighbours or impossible: correct it", dates.strange_date),
    Check("F14", "dependency names no known task: correct the name", priorities.unknown_dependency),
    Check("F15", "done long ago and not archived: it is archived", hygiene.not_archived),
    Check("F16", "log too long: its oldest entries are archived", hygiene.long_log),
    Check("F17", "colour used as a status: the colour is taken away", status.colour_as_status),
    Check("F18", "folder without README or README out of date: it is written", None),
    Check("F19", "claim without run, commit or file: it is marked <# unverified #>", claims.claims_without_evidence),
)
CODES = tuple(check.code for check in CHECKS)


def chosen(only: str, without: str) -> list[Check]:
    """The checks to make: the default ones, or those named by codes with commas between."""
    wanted, unwanted = _codes(only), _codes(without)
    return [
        check for check in CHECKS if check.code not in unwanted and (check.code in wanted if wanted else check.default)
    ]


def _codes(text: str) -> set[str]:
    codes = {code.strip().upper() for code in text.replace(",", " ").split()}
    unknown = codes - set(CODES)
    if unknown:
        raise UsageError(f"There is no check {', '.join(sorted(unknown))}. Known: {CODES[0]} to {CODES[-1]}.")
    return codes


def find_all(path: Path, checks: Sequence[Check], skipped: Sequence[str] = ()) -> list[Finding]:
    """All findings in a folder or in one file, by path and line; `skipped` are patterns of paths to leave out."""
    if not path.exists():
        raise NotFoundError(f"There is no {path} to check.")
    root = path if path.is_dir() else path.parent
    draft = Draft(FlowFolder(root.resolve()))
    return findings_of(draft, checks, None if path.is_dir() else path.resolve(), skipped)


def findings_of(
    draft: Draft, checks: Sequence[Check], only: Path | None = None, skipped: Sequence[str] = ()
) -> list[Finding]:
    """All findings in what a draft holds, or in one file of it."""
    root = draft.folder.root
    outside = _ignored(root)
    paths = [path for path in draft.markdown() if not _left_out(path, root, skipped, outside)]
    pages = [draft.page(path) for path in paths]
    current = [page for page in pages if not _archived(page)]
    scope = Scope(root, clock.today(), pages, every(current), _names(root, outside))
    found: list[Finding] = []
    for page in pages:
        if only is not None and root / page.path != only:
            continue
        past = _archived(page)
        for check in checks:
            if check.find is not None and (check.in_archive or not past):
                found += check.find(page, scope)
    if only is None and any(check.code == "F18" for check in checks):
        found += _indexes(draft, skipped, outside)
    return sorted(found, key=lambda one: (one.path, one.line, one.column, one.code))


def _archived(page: Page) -> bool:
    return page.path.split("/")[0] == LOGS


def _indexes(draft: Draft, skipped: Sequence[str], outside: set[Path]) -> Iterator[Finding]:
    """F18: a folder has no README, or one that does not list what lies there."""
    root = draft.folder.root
    folders = set(folders_with_notes(draft))
    if (root / ".git").exists():
        folders |= {path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    for folder in sorted(folders):
        if _left_out(folder, root, skipped, outside):
            continue
        wrong = missing(draft, folder)
        if wrong is not None:
            path = (folder / "README.md").relative_to(root).as_posix()
            yield Finding("F18", path, 1, 1, wrong, action="index")


def _left_out(path: Path, root: Path, skipped: Sequence[str], outside: set[Path]) -> bool:
    inside = path.relative_to(root)
    if any(part in outside for part in (path, *path.parents)):
        return True
    return any(inside.match(pattern) or inside.is_relative_to(pattern.rstrip("/*")) for pattern in skipped)


def _ignored(root: Path) -> set[Path]:
    """What git ignores at the top of a repository; nothing elsewhere."""
    if not (root / ".git").exists():
        return set()
    command = ["git", "-C", str(root), "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return set()
    return {root / os.fsdecode(name).rstrip("/") for name in done.stdout.split(b"\0") if name}


def _names(root: Path, outside: set[Path]) -> dict[str, list[Path]]:
    """All files by name, for links that lost theirs."""
    found: dict[str, list[Path]] = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".") and Path(folder) / name not in outside]
        for name in files:
            found.setdefault(name, []).append(Path(folder) / name)
    return found
