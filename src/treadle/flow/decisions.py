"""Records of decisions: one file each, named by day and title, listed in the index and told in the log."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from treadle.base.errors import UsageError
from treadle.flow import clock
from treadle.flow.indexes import update
from treadle.flow.log import entry, put_entry
from treadle.flow.verbs import Outcome

if TYPE_CHECKING:
    from treadle.flow.draft import Draft

_NOT_NAME = re.compile(r"[^\w]+")
_LONGEST_NAME = 60


def decide(draft: Draft, title: str, *, because: str, instead: str = "") -> Outcome:
    """Write down what was decided and why."""
    text = " ".join(title.split())
    if not text or not because.strip():
        raise UsageError("A decision has a title and a reason: treadle flow decide TITLE --because REASON.")
    name = _NOT_NAME.sub("-", text.casefold()).strip("-")[:_LONGEST_NAME].rstrip("-") or "decision"
    path = draft.folder.decisions / f"{clock.today()}-{name}.md"
    if draft.exists(path):
        raise UsageError(f"{draft.folder.shown(path)} exists already; edit it, or give the decision another title.")
    tasks = draft.folder.tasks_file
    back = os.path.relpath(tasks, path.parent).replace(os.sep, "/")
    rows = [
        f"# {text}",
        "",
        f"*Part of the Flow System. See also: [Tasks]({back}).*",
        "",
        f"Decided {clock.today()}.",
        "",
    ]
    rows += ["## Why", "", " ".join(because.split()), ""]
    if instead.strip():
        rows += ["## What was refused", "", " ".join(instead.split()), ""]
    draft.put(path, "\n".join(rows))
    update(draft, path.parent)
    link = os.path.relpath(path, tasks.parent).replace(os.sep, "/")
    put_entry(draft, tasks, entry(f"Decided: [{text}]({link})."))
    shown = draft.folder.shown(path)
    return Outcome(f"Decided `{text}`; the record is {shown}.", shown, 1)
