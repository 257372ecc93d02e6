"""The gallery: results of runs with what people say of them, found again by it, taken out, and recalled."""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, MissingExtraError, NotFoundError, NotReadyError, UsageError
from treadle.base.files import disk_errors
from treadle.base.hashing import hash_file
from treadle.recipes.gallery_items import Item, items
from treadle.recipes.gallery_notes import MOST_RATING, Note, NoteShelf, checked_note, checked_tags
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from treadle.store.workspace import WorkspaceFolder

_SHORTEST_ID = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results are wanted; None and empty = whichever."""

    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    rating: int | None = None
    """At least."""
    model: str | None = None
    kind: str | None = None
    made: str | None = None
    """A day, or two with `..` between them, of which either may be missing; both are included."""
    removed: bool = False
    """Those that were taken out, instead of those that are in."""


def shelf(workspace: WorkspaceFolder) -> NoteShelf:
    """What was said of the results of a workspace."""
    return NoteShelf(workspace.root / "gallery")


def listed(workspace: WorkspaceFolder, wanted: Wanted, order: str, count: int) -> dict[str, Any]:
    """The fields of the list: those that are wanted, newest or best first, and how many there are."""
    notes, damaged = shelf(workspace).all()
    names = _names(workspace)
    first, dots, last = (wanted.made or "").partition("..")
    begin, end = _moment(first, 0), _moment(last if dots else first, 1)
    found = []
    for item in _all(workspace, notes):
        note = notes.get(item.id)
        row = _row(item, note, names)
        outside = (begin is not None and item.created < begin) or (end is not None and item.created >= end)
        if not outside and (row["removed"] is not None) == wanted.removed and _fits(row, wanted):
            found.append(row)
    if order == "rating":
        found.sort(key=lambda row: -1 if row["rating"] is None else row["rating"], reverse=True)
    return {"items": found[:count], "total": len(found), "damaged": damaged}


def shown(workspace: WorkspaceFolder, word: str) -> dict[str, Any]:
    """One result with all that is known of it and its file."""
    item, note = find(workspace, word)
    row = _row(item, note, _names(workspace))
    facts, made_by = _facts(item.path)
    same = None
    if note is not None and note.sha256 is not None and row["there"]:
        same = hash_file(item.path) == note.sha256
    return {**row, "facts": facts, "made_by": made_by, "settings": dict(item.settings), "same": same}


def rate(workspace: WorkspaceFolder, word: str, rating: int | None, note: str | None, *, clear: bool) -> dict[str, Any]:
    """Store a rating, a note, or both; `clear` takes the rating back."""
    if rating is None and note is None and not clear:
        raise UsageError(f"Say how good it is, from 0 to {MOST_RATING}, or give a --note.")
    if rating is not None and clear:
        raise UsageError("Give a rating or --clear, not both.")
    if rating is not None and not 0 <= rating <= MOST_RATING:
        raise UsageError(f"The rating is {rating}; it must be from 0 to {MOST_RATING}.")

    def change(old: Note) -> Note:
        new = None if clear else old.rating if rating is None else rating
        return dataclasses.replace(old, rating=new, note=old.note if note is None else checked_note(note))

    return _changed(workspace, word, change)


def tag(workspace: WorkspaceFolder, word: str, tags: Sequence[str], untag: Sequence[str]) -> dict[str, Any]:
    """Put tags on a result and take others off."""
    if not tags and not untag:
        raise UsageError("Name a tag to put on it, or one to take off with --untag.")
    added = checked_tags(list(tags))
    off = set(checked_tags(list(untag)))

    def change(old: Note) -> Note:
        if missing := off - set(old.tags):
            raise UsageError(f"It has no tag `{min(missing)}`; it has: {', '.join(old.tags) or 'none'}.")
        return dataclasses.replace(old, tags=tuple(sorted({*old.tags, *added} - off)))

    return _changed(workspace, word, change)


def remove(workspace: WorkspaceFolder, word: str, *, file: bool, restore: bool) -> tuple[dict[str, Any], str | None]:
    """Take a result out of the gallery, or put it back; `file` moves its file to the trash, and says where it lies."""
    if file and restore:
        raise UsageError("Give --file or --restore, not both.")
    item, _ = find(workspace, word)
    row = _changed(
        workspace,
        item.id,
        lambda old: dataclasses.replace(old, removed=None if restore else old.removed or time.time()),
    )
    if not file or not item.path.is_file():
        return row, None
    target = workspace.trash / f"gallery-{item.id}-{secrets.token_hex(2)}{item.path.suffix}"
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(item.path, target)
    return {**row, "there": False}, str(target)


def find(workspace: WorkspaceFolder, word: str) -> tuple[Item, Note | None]:
    """A result by its id, the beginning of it, its file, or the id of a run that has just one; with what was said."""
    exact = next((item for item in items(workspace) if item.id == word), None)
    if exact is not None:  # a page of many asks this many times: notes of all the others are not read
        return exact, shelf(workspace).get(word)
    notes, _ = shelf(workspace).all()
    path = Path(word).expanduser().absolute()
    found = [
        item
        for item in _all(workspace, notes)
        if word in {item.id, item.run}
        or item.path == path
        or (len(word) >= _SHORTEST_ID and item.id.startswith(word) and word.startswith("g-"))
    ]
    if len(found) > 1:
        ids = ", ".join(item.id for item in found[:8])
        raise UsageError(f"`{word}` means several results: {ids}. Name one of them.")
    if not found:
        raise NotFoundError(f"No result `{word}` in the gallery. `treadle gallery list` shows those there are.")
    return found[0], shelf(workspace).get(found[0].id)


def original(item: Item, given: Path | None) -> Path:
    """The file that a result is compared with; raises `NotFoundError` if there is none any more."""
    if given is not None:
        return given.expanduser().absolute()
    for source in map(Path, item.sources):
        if source.is_file():
            return source
    told = f"it was made from {', '.join(item.sources)}, which is gone" if item.sources else "it was made from no file"
    raise NotFoundError(f"No original of {item.id}: {told}. Name one with --original FILE.")


def made_by(workspace: WorkspaceFolder, word: str) -> tuple[Path, dict[str, Any], str]:
    """The file that `word` names, how it was made, and whether the file says so or its run.

    Raises `DataError` when neither does.
    """
    path = Path(word).expanduser().absolute()
    item: Item | None = None
    try:
        item, _ = find(workspace, word)
        path = item.path
    except NotFoundError:
        if not path.is_file():
            raise NotFoundError(f"`{word}` is neither a file nor a result of the gallery.") from None
    if path.is_file():
        told = _made_by(path)
        if told:
            return path, told, "file"
    if item is not None and (item.text or item.settings):
        plain = {key: value for key, value in item.settings.items() if isinstance(value, (int, float))}
        prompt = {"name": item.prompt, "text": item.text, "settings": plain} if item.text else None
        options = {} if prompt else {"options": dict(item.settings)}
        sources = [{"path": source} for source in item.sources]
        tool = item.kind.replace(".", " ", 1)
        return path, {"tool": tool, "sources": sources, **options, **({"prompt": prompt} if prompt else {})}, "run"
    raise DataError(
        f"{path} does not say how it was made: it is not of Treadle, or another program wrote it anew without that."
    )


def _all(workspace: WorkspaceFolder, notes: dict[str, Note]) -> Iterator[Item]:
    """All results that runs tell of, then those of runs that are gone, as far as something was said of them."""
    seen = set()
    for item in items(workspace):
        seen.add(item.id)
        yield item
    runs = {path.name for path in workspace.runs.glob("r-*")}
    for note in notes.values():
        if note.id not in seen and note.run not in runs:
            yield _of_note(note)


def _of_note(note: Note) -> Item:
    return Item(
        id=note.id,
        run=note.run,
        kind=note.kind,
        name=note.name,
        path=Path(note.path),
        created=note.created,
        outcome="unknown",
        text=note.text,
        prompt=note.prompt,
        model=note.model,
        sources=(),
        settings={},
    )


def _changed(workspace: WorkspaceFolder, word: str, change: Any) -> dict[str, Any]:  # noqa: ANN401 - a function
    item, _ = find(workspace, word)
    note = shelf(workspace).change(item, change)
    return _row(item, note, _names(workspace))


def _row(item: Item, note: Note | None, names: dict[str, str]) -> dict[str, Any]:
    try:
        size: int | None = item.path.stat().st_size
    except OSError:
        size = None
    return {
        "id": item.id,
        "run": item.run,
        "kind": item.kind,
        "name": item.name,
        "path": str(item.path),
        "media": item.media,
        "there": size is not None,
        "bytes": size,
        "created": item.created,
        "outcome": item.outcome,
        "text": item.text,
        "prompt": item.prompt,
        "model": names.get(item.model or "", item.model),
        "sources": list(item.sources),
        "rating": None if note is None else note.rating,
        "tags": [] if note is None else list(note.tags),
        "note": "" if note is None else note.note,
        "removed": None if note is None else note.removed,
    }


def _fits(row: dict[str, Any], wanted: Wanted) -> bool:
    if wanted.rating is not None and (row["rating"] is None or row["rating"] < wanted.rating):
        return False
    if wanted.kind is not None and wanted.kind not in {row["kind"], row["kind"].partition(".")[0], row["media"]}:
        return False
    if wanted.model is not None and row["model"] != wanted.model:
        return False
    tags = {tag.casefold() for tag in row["tags"]}
    if any(tag.casefold() not in tags for tag in wanted.tags):
        return False
    texts = [row[key] for key in ("id", "run", "name", "kind", "text", "prompt", "model", "note")] + row["tags"]
    said = "\n".join(text for text in texts if text).casefold()
    return all(word.casefold() in said for word in wanted.words)


def _moment(text: str, days: int) -> float | None:
    """The beginning of a day on this machine's clock, or of the day after it."""
    if not text:
        return None
    try:
        day = dt.date.fromisoformat(text)
        return dt.datetime.combine(day + dt.timedelta(days), dt.time()).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"`{text}` is no date; write it like 2026-11-22.") from error


def _names(workspace: WorkspaceFolder) -> dict[str, str]:
    return {card.id: card.name for card in ModelCards(workspace).all()}


def _facts(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Size and length of a file, and how it says that it was made; empty where that cannot be read."""
    try:
        found = dataclasses.asdict(load("treadle.recipes.video:frames").probe(path))
    except (DataError, NotFoundError, UsageError, MissingExtraError):
        return {}, {}
    made = found.pop("made_by")
    keys = ("width", "height", "fps", "frames", "seconds", "codec", "audio")
    return {key: found[key] for key in keys}, made


def _made_by(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = load("treadle.recipes.video:frames").probe(path).made_by
    except MissingExtraError as error:
        raise NotReadyError(str(error)) from error
    return told
