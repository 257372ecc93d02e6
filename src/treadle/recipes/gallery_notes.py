"""What people say of results: rating, tags, note. A small file for each result, so that no database can lose them."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, TreadleError, UsageError
from treadle.base.files import locked, read_json, remove_leftovers, write_json
from treadle.base.hashing import hash_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from treadle.recipes.gallery_items import Item

MOST_RATING: Final = 5
_ID: Final = re.compile(r"g-[0-9a-f]{10}")
_LONGEST_TAG, _LONGEST_NOTE = 64, 20_000


@dataclass(frozen=True, slots=True)
class Note:
    """What was said of one result, with enough of it to find it again when its run is gone."""

    id: str
    run: str
    kind: str
    name: str
    path: str
    created: float
    sha256: str | None = None
    """Of the file when it was first spoken of; None = it was not there."""
    text: str = ""
    prompt: str | None = None
    model: str | None = None
    rating: int | None = None
    """0 to 5; None = not rated."""
    tags: tuple[str, ...] = ()
    note: str = ""
    removed: float | None = None
    """When it was taken out of the gallery."""
    changed: float = 0.0
    """Times are seconds since 1970."""


_KEYS: Final = frozenset(field.name for field in dataclasses.fields(Note))


class NoteShelf:
    """The notes of a workspace."""

    def __init__(self, folder: Path) -> None:
        """Work on `folder`, which is made with the first note."""
        self._folder = folder

    def all(self) -> tuple[dict[str, Note], list[str]]:
        """All notes by id, and what is wrong with those that cannot be read."""
        found, damaged = {}, []
        for path in sorted(self._folder.glob("g-*.json")):
            if not _ID.fullmatch(path.stem):
                continue
            try:
                found[path.stem] = _read(path)
            except TreadleError as error:
                damaged.append(str(error))
        return found, damaged

    def get(self, identity: str) -> Note | None:
        """What was said of one result; None = nothing. Raises `DataError` for a damaged file."""
        path = self._file(identity)
        return _read(path) if path.is_file() else None

    def change(self, item: Item, change: Callable[[Note], Note]) -> Note:
        """Replace what is said of `item` by `change` of it, one writer at a time; returns the new note."""
        with locked(self._folder / ".lock"):
            remove_leftovers(self._folder)
            old = self.get(item.id) or _first(item)
            new = change(old)
            if new != old:
                new = dataclasses.replace(new, changed=time.time())
                write_json(self._file(item.id), {"format": 1, **dataclasses.asdict(new)})
        return new

    def _file(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"


def checked_tags(tags: list[str]) -> tuple[str, ...]:
    """Tags in the order of the alphabet, each once; raises `UsageError` for what cannot be one."""
    found = {" ".join(tag.split()) for tag in tags}
    for tag in found:
        if not tag or len(tag) > _LONGEST_TAG or not tag.isprintable() or "," in tag:
            raise UsageError(
                f"{tag[:40]!r} cannot be a tag: one word or a few, at most {_LONGEST_TAG} signs, no comma."
            )
    return tuple(sorted(found))


def checked_note(text: str) -> str:
    """A note that is not too long; raises `UsageError`."""
    if len(text) > _LONGEST_NOTE:
        raise UsageError(f"The note has {len(text):,} characters; at most {_LONGEST_NOTE:,}.")
    return text.strip()


def _first(item: Item) -> Note:
    return Note(
        id=item.id,
        run=item.run,
        kind=item.kind,
        name=item.name,
        path=str(item.path),
        created=item.created,
        sha256=hash_file(item.path) if item.path.is_file() else None,
        text=item.text,
        prompt=item.prompt,
        model=item.model,
    )


def _read(path: Path) -> Note:
    """One file; people may have edited it, so everything is looked at."""
    value = read_json(path)
    broken = DataError(f"{path} is not a note of the gallery; remove it or restore it from a copy.")
    if not isinstance(value, dict) or set(value) != _KEYS | {"format"} or value["id"] != path.stem:
        raise broken
    rating, tags = value["rating"], value["tags"]
    texts = all(isinstance(value[key], str) for key in ("run", "kind", "name", "path", "text", "note"))
    named = all(value[key] is None or isinstance(value[key], str) for key in ("sha256", "prompt", "model"))
    times = all(_is_time(value[key]) for key in ("created", "changed")) and (
        value["removed"] is None or _is_time(value["removed"])
    )
    rated = rating is None or (type(rating) is int and 0 <= rating <= MOST_RATING)
    tagged = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    if not (texts and named and times and rated and tagged):
        raise broken
    return Note(**{key: value[key] for key in _KEYS - {"tags"}}, tags=tuple(tags))


def _is_time(value: Any) -> bool:  # noqa: ANN401 - whatever the file holds
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
