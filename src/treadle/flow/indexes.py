"""README indexes: each folder lists its files with one phrase each, between markers; the text around them is kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow.edits import Splice, insertion
from treadle.flow.folder import INDEX_FILE
from treadle.flow.links import links

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.flow.draft import Draft
    from treadle.flow.page import Page

BEGIN = "<!-- flow:index -->"
END = "<!-- /flow:index -->"
_ROW = re.compile(r"- \[[^\]]*\]\(<?(?P<target>[^)>]+)>?\)(?:(?:: | - | — )(?P<phrase>.*))?$")
_SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)")
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*_`]")
_LONGEST = 100
_FEWEST_WORDS = 4


def entries_of(draft: Draft, folder: Path) -> list[Path]:
    """What the index of a folder must list: its Markdown files and the folders that hold some."""
    inside = {path for path in draft.markdown() if path.is_relative_to(folder)}
    files = {path for path in inside if path.parent == folder and path.name != INDEX_FILE}
    folders = {folder / path.relative_to(folder).parts[0] for path in inside if path.parent != folder}
    return sorted(files) + sorted(folders)


def missing(draft: Draft, folder: Path) -> str | None:
    """What is wrong with the index of a folder, or None."""
    path = folder / INDEX_FILE
    if not draft.exists(path):
        return f"There is no {INDEX_FILE} that says what lies here."
    page = draft.page(path)
    if _region(page) is not None:
        return None if updated(draft, folder) is None else "The list between the markers is out of date."
    lacking = [_name(one) for one in entries_of(draft, folder) if one not in _mentioned(page, folder)]
    if not lacking:
        return None
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    return f"It does not list {', '.join(lacking[:3])}{more}."


def update(draft: Draft, folder: Path) -> bool:
    """Bring the index of a folder up to date; says whether anything changed."""
    text = updated(draft, folder)
    if text is not None:
        draft.put(folder / INDEX_FILE, text)
    return text is not None


def updated(draft: Draft, folder: Path) -> str | None:
    """The index as it should be, or None if it is so already."""
    path = folder / INDEX_FILE
    if not draft.exists(path):
        rows = _rows(draft, entries_of(draft, folder), {})
        return "\n".join([f"# {_title(folder)}", "", BEGIN, *rows, END, ""])
    page = draft.page(path)
    region = _region(page)
    if region is None:
        lacking = [one for one in entries_of(draft, folder) if one not in _mentioned(page, folder)]
        if not lacking:
            return None
        gap = [""] if page.lines and page.lines[-1].kind != "blank" else []
        block = [*gap, BEGIN, *_rows(draft, lacking, {}), END]
        splice = insertion(page, len(page.lines), block)
        return page.text[: splice.start] + splice.text
    first, last = region
    outside = _mentioned(page, folder, (first, last))
    kept = _phrases([page.line_text(index) for index in range(first + 1, last)])
    listed = [one for one in entries_of(draft, folder) if one not in outside]
    rows = _rows(draft, listed, kept)
    if rows == [page.line_text(index) for index in range(first + 1, last)]:
        return None
    start, end = page.lines[first].next, page.lines[last].start
    splice = Splice(start, end, "".join(f"{row}{page.newline}" for row in rows))
    return page.text[:start] + splice.text + page.text[end:]


def follow(draft: Draft) -> None:
    """Bring the indexes up to date with the files that a draft makes; a folder that it makes gets one too.

    A folder that has lived without an index is left alone: check F18 speaks of it.
    """
    root = draft.folder.root
    made = [change.path for change in draft.changes() if change.before is None and change.path.suffix == ".md"]
    for path in made:
        if not path.is_relative_to(root) or path.name == INDEX_FILE:
            continue
        folder = path.parent
        if not draft.exists(folder / INDEX_FILE) and not folder.is_dir():
            update(draft, folder)
        for one in (folder, *folder.parents):
            if not one.is_relative_to(root):
                break
            if draft.exists(one / INDEX_FILE) and missing(draft, one) is not None:
                update(draft, one)


def folders_with_notes(draft: Draft) -> list[Path]:
    """All folders below the root that need an index: those that hold Markdown, and those above them."""
    found = {draft.folder.root}
    for path in draft.markdown():
        at = path.parent
        while at != draft.folder.root and at not in found:
            found.add(at)
            at = at.parent
    return sorted(found)


def _region(page: Page) -> tuple[int, int] | None:
    begin = end = -1
    for index, line in enumerate(page.lines):
        row = page.text[line.start : line.end].strip()
        if row == BEGIN and begin < 0:
            begin = index
        elif row == END and begin >= 0:
            end = index
            break
    return (begin, end) if end > begin >= 0 else None


def _mentioned(page: Page, folder: Path, region: tuple[int, int] = (0, 0)) -> set[Path]:
    """What the text outside the region links to: files, and folders by themselves or by something inside them."""
    found: set[Path] = set()
    for link in links(page):
        if region[0] < link.line < region[1] or not link.path:
            continue
        parts = link.path.strip("/").split("/")
        if parts[0] == ".":
            parts = parts[1:]
        if parts and parts[0] not in ("..", ""):
            found.add(folder / parts[0])
    return found


def _phrases(rows: list[str]) -> dict[str, str]:
    """The phrases of a list as people may have reworded them, by what they are about."""
    found = {}
    for row in rows:
        match = _ROW.match(row.strip())
        if match and match["phrase"]:
            found[match["target"].removesuffix(f"/{INDEX_FILE}").strip("/")] = match["phrase"].strip()
    return found


def _rows(draft: Draft, listed: list[Path], kept: dict[str, str]) -> list[str]:
    rows = []
    for one in listed:
        is_file = draft.exists(one) if one.suffix == ".md" else False
        source = one if is_file else one / INDEX_FILE
        target = one.name if is_file else (f"{one.name}/{INDEX_FILE}" if draft.exists(source) else f"{one.name}/")
        phrase = kept.get(one.name) or phrase_of(draft, source)
        shown = f"<{target}>" if " " in target or "(" in target else target
        rows.append(f"- [{_name(one) if not is_file else one.name}]({shown})" + (f": {phrase}" if phrase else ""))
    return rows


def phrase_of(draft: Draft, path: Path) -> str:
    """One phrase about a file: its first sentence that is not boilerplate, else its title."""
    if not draft.exists(path):
        return ""
    page = draft.page(path)
    title = next((one.title for one in page.sections[1:]), "")
    for line in page.lines:
        row = page.text[line.start : line.end].strip().lstrip("\ufeff")
        if line.kind == "text" and row and not row.startswith(("*Part of the Flow", "<", "|", "---", "!", "[!")):
            plain = _MARKUP.sub(lambda found: found[1] or "", row)
            sentence = _SENTENCE.match(plain)
            phrase = (sentence[1] if sentence else plain).strip().rstrip(".:")
            if len(phrase.split()) < _FEWEST_WORDS:  # a label such as `Context.` says less than the title
                break
            return phrase if len(phrase) <= _LONGEST else phrase[: _LONGEST - 1].rsplit(" ", 1)[0] + "…"
    return _MARKUP.sub(lambda found: found[1] or "", title)


def _name(path: Path) -> str:
    return path.name if path.suffix == ".md" else f"{path.name}/"


def _title(folder: Path) -> str:
    return folder.name.replace("_", " ").replace("-", " ").capitalize()
