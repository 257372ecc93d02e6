"""Which task is meant: by id, by place, by its words. Identity is a hash of file, title and parent, re-matched fuzzily.

The index in `.index.json` remembers the titles behind the hashes that were shown, so that a task is still found by its
id after somebody has reworded it. It can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, TreadleError, UsageError
from treadle.base.files import write_bytes
from treadle.flow.tasks import bare, normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from treadle.flow.folder import FlowFolder
    from treadle.flow.page import Page
    from treadle.flow.tasks import Task

INDEX = ".index.json"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_HASH = re.compile(r"[0-9a-f]{6,12}$")
_VISIBLE = re.compile(r"\^?(t-[0-9a-z]{4,12})$")
_PLACE = re.compile(r"(?P<path>.+\.md):(?P<line>\d+)$")
_NEAR = 0.6
_MOST_SHOWN = 8
_MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """A task and the page it stands on."""

    page: Page
    task: Task

    @property
    def place(self) -> str:
        """`active/tasks.md:17`."""
        return f"{self.page.path}:{self.task.line + 1}"


def identity_of(page: Page, task: Task) -> str:
    """The id of a task: the visible one, else a hash of file, title and parent's title."""
    return task.identity or hashed(page.path, task.title, task.parent.title if task.parent else "")


def hashed(path: str, title: str, parent: str) -> str:
    """Eight hexadecimal digits."""
    text = "\0".join((path, normalised(title), normalised(parent)))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def every(pages: Iterable[Page]) -> list[Found]:
    """All tasks of all pages in their order."""
    return [Found(page, task) for page in pages for task in page.tasks]


def find_task(folder: FlowFolder, words: str, *, pages: Sequence[Page] | None = None) -> Found:
    """Find the one task that `words` mean; raises `NotFoundError` or `UsageError` naming the nearest ones.

    `words` may be an id, `FILE:LINE`, a title, or words of a title that no other open task has.
    """
    tasks = every(folder.task_pages() if pages is None else pages)
    place = _PLACE.match(words)
    if place:
        return _at_place(tasks, place["path"], int(place["line"]))
    visible = _VISIBLE.match(words)
    if visible:
        tagged = [one for one in tasks if one.task.identity == visible[1]]
        if tagged:
            return tagged[0]
    if _HASH.match(words):
        found = _by_hash(folder, tasks, words)
        if found is not None:
            return found
    return _by_words(tasks, words)


def _at_place(tasks: Sequence[Found], path: str, line: int) -> Found:
    for one in tasks:
        if one.task.line + 1 == line and (one.page.path == path or one.page.path.endswith(f"/{path}")):
            return one
    raise NotFoundError(f"There is no task at {path}:{line}. `treadle flow list` shows the places of all tasks.")


def _by_hash(folder: FlowFolder, tasks: Sequence[Found], words: str) -> Found | None:
    same = [one for one in tasks if identity_of(one.page, one.task).startswith(words)]
    if same:
        return _one(same, words)
    known = _read_index(folder).get(words)
    if known is None:
        return None
    path, title, parent = known
    near = [
        (_likeness(title, one.task.title), one)
        for one in tasks
        if one.page.path == path and normalised(one.task.parent.title if one.task.parent else "") == normalised(parent)
    ]
    best = max(near, key=lambda pair: pair[0], default=(0.0, None))
    return best[1] if best[0] >= _NEAR else None


def _by_words(tasks: Sequence[Found], words: str) -> Found:
    wanted = normalised(words)
    if not wanted:
        raise UsageError("Name a task by words of its title, by its id or by FILE:LINE.")
    tests: tuple[Callable[[Found], bool], ...] = (
        lambda one: normalised(one.task.title) == wanted,
        lambda one: bare(one.task.title) == bare(words),
        lambda one: wanted in normalised(one.task.title),
        lambda one: all(word in normalised(one.task.title) for word in wanted.split()),
    )
    for test in tests:
        same = [one for one in tasks if test(one)]
        still_open = [one for one in same if not one.task.closed]
        if len(still_open) == 1:
            return still_open[0]
        if same:
            return _one(still_open or same, words)
    titles = {one.task.title for one in tasks}
    near = difflib.get_close_matches(words, titles, n=1, cutoff=_NEAR)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise NotFoundError(f"No task is called `{words}`.{hint} `treadle flow list` shows them all.")


def _one(same: Sequence[Found], words: str) -> Found:
    if len(same) == 1:
        return same[0]
    rows = "".join(f"\n  {one.place}  {one.task.title}" for one in same[:_MOST_SHOWN])
    more = f"\n  and {len(same) - _MOST_SHOWN} more" if len(same) > _MOST_SHOWN else ""
    raise UsageError(f"`{words}` may mean {len(same)} tasks; name one by its place:{rows}{more}")


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, normalised(one), normalised(other)).ratio()


def remember(folder: FlowFolder, pages: Iterable[Page]) -> None:
    """Keep the index: which hash stood for which title. What cannot be written is no harm: it is only an index."""
    known = _read_index(folder)
    fresh = {
        identity_of(page, task): [page.path, task.title, task.parent.title if task.parent else ""]
        for page in pages
        for task in page.tasks
        if task.identity is None
    }
    if fresh.items() <= known.items():
        return
    kept = {} if len(known) > _MOST_REMEMBERED + 2 * len(fresh) else known
    with contextlib.suppress(OSError, TreadleError):
        write_bytes(folder.root / INDEX, json.dumps({**kept, **fresh}, ensure_ascii=True).encode())


def _read_index(folder: FlowFolder) -> dict[str, list[str]]:
    try:
        known = json.loads((folder.root / INDEX).read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def new_visible_id(pages: Iterable[Page]) -> str:
    """A random id `t-4f2a` that no page carries yet; longer when many are taken."""
    taken = {task.identity for page in pages for task in page.tasks if task.identity}
    length = 4 if len(taken) < 1000 else 6
    while True:
        made = "t-" + "".join(secrets.choice(_ALPHABET) for _ in range(length))
        if made not in taken:
            return made


class Titles:
    """Tasks by what a dependency may call them: id, title, title without brackets. The first of a name counts."""

    def __init__(self, tasks: Iterable[Found]) -> None:
        """Index the tasks."""
        self._known: dict[str, Found] = {}
        short: dict[str, Found] = {}
        for one in tasks:
            if one.task.identity:
                self._known.setdefault(one.task.identity, one)
            self._known.setdefault(normalised(one.task.title), one)
            short.setdefault(bare(one.task.title), one)
        for name, one in short.items():
            self._known.setdefault(name, one)

    def get(self, words: str) -> Found | None:
        """The task that the words name, or None."""
        visible = _VISIBLE.match(words.strip())
        if visible:
            return self._known.get(visible[1])
        return self._known.get(normalised(words)) or self._known.get(bare(words))
