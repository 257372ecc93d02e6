"""One file of the notes for people who only look: its text, its hash, the entries of its log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.names import did_you_mean
from treadle.flow.log import entries, entry_date
from treadle.flow.scanner import decode, shown

if TYPE_CHECKING:
    from treadle.flow.folder import FlowFolder
    from treadle.flow.page import Page

_MOST_BYTES = 4_000_000


def read_file(folder: FlowFolder, name: str | None) -> dict[str, Any]:
    """Read a Markdown file of the notes, by its name as `files` gives it; None is the working memory.

    Raises:
        NotFoundError: There is no such file among the notes.
        UsageError: It is too large to be shown.
    """
    names = {folder.shown(path): path for path in folder.markdown()}
    files = sorted(shown(one) for one in names)
    wanted = folder.shown(folder.tasks_file) if name is None else name.removeprefix("./")
    if wanted not in names:
        if name is None:
            return {"path": None, "text": "", "sha256": None, "log": [], "files": files}
        raise NotFoundError(f"The notes have no file `{name}`.{did_you_mean(wanted, files)}")
    size = names[wanted].stat().st_size
    if size > _MOST_BYTES:
        raise UsageError(f"{wanted} has {size:,} bytes; at most {_MOST_BYTES:,} are shown. Open it in an editor.")
    data = names[wanted].read_bytes()
    page = folder.page(names[wanted])
    return {
        "path": shown(wanted),
        "text": shown(decode(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "log": [_entry(page, first, end) for first, end in entries(page)],
        "files": files,
    }


def _entry(page: Page, first: int, end: int) -> dict[str, str]:
    rows = [page.line_text(index) for index in range(first, end)]
    text = shown("\n".join(rows)).lstrip("-*+ ").strip()
    date = entry_date(page, first)
    return {"date": date, "text": text.removeprefix(f"[{date}]").strip() if date else text}
