"""How the answers of the `flow` verbs read in a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.flow.clock import localised
from treadle.flow.vocabulary import PRIORITY_SIGNS, STATUS_SIGNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Report = dict[str, Any]

_WIDTH = 80
_COLUMN_ROWS = 8
_BAR = 30


def _init(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["added"]:
        return [f"{report['flow']} is complete already; nothing was changed."]
    kept = f" {report['kept']} files were there and stay as they are." if report["kept"] else ""
    return [
        f"Notes in {report['flow']}: {units.counted(len(report['added']), 'file')} added.{kept}",
        'Next: treadle flow add "..." or treadle flow check',
    ]


def _list(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    rows = [_row(row) for row in report["tasks"]]
    if rows or arguments.get("state") == "all":
        return rows or ["No tasks. Add one with: treadle flow add TITLE"]
    which = "open" if arguments.get("state") is None else "such"
    return [f"No {which} tasks. All of them: treadle flow list --state all; a new one: treadle flow add TITLE"]


def _row(row: Mapping[str, Any]) -> str:
    signs = f"{_padded(STATUS_SIGNS.get(row['state'], ''))}{_padded(PRIORITY_SIGNS.get(row['priority'] or '', ''))}"
    owner = f" @{row['owner']}" if row["owner"] else ""
    due = f" due {row['due']}" if row["due"] else ""
    above = f" · {row['parent']}" if row["parent"] else ""
    return f"{signs}{row['title']}{owner}{due}  [{row['id']}] {row['path']}:{row['line']}{above}"


def _padded(sign: str) -> str:
    """A sign in the two columns that terminals give to an emoji, and a blank."""
    return f"{sign} " if sign else "   "


def _show(report: Report, _: Mapping[str, Any]) -> list[str]:
    task = report["task"]
    lines = [f"{task['title']}", f"  {task['state']}, {task['priority'] or 'no priority'} · {_place(task)}"]
    if task["parent"]:
        lines.append(f"  part of     {task['parent']}")
    lines += [f"  {key:<11} {localised(value)}" for key, value in report["fields"].items() if value]
    sources = [f"{one['state']} ({one['source']}, line {one['line']})" for one in report["claims"]]
    lines += [f"  says        {', '.join(sources)}"] if sources else []
    lines += [f"  part        {_row(child)}" for child in report["children"]]
    lines += [f"  {one['code']}         line {one['line']}: {one['message']}" for one in report["findings"]]
    return [*lines, "", *(localised(row) for row in report["text"].split("\n"))]


def _place(task: Mapping[str, Any]) -> str:
    return f"{task['path']}:{task['line']}  [{task['id']}]"


def _next(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = []
    for place, one in enumerate(report["tasks"], 1):
        parts = ", ".join(f"{name} {value:.2f}" for name, value in one["parts"].items())
        lines += [f"{place}. {_row(one['task'])}", f"   {one['score']:.2f} = {parts}"]
        lines += [f"   waits for {', '.join(one['waiting_for'])}"] if one["waiting_for"] else []
    return lines or ["Nothing is open."]


def _focus(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["task"] is None:
        return ["Nothing is being worked on. Begin with: treadle flow start TASK"]
    lines = [_row(report["task"])]
    if report["task"]["started"]:
        lines.append(f"   since {localised(report['task']['started'])}")
    lines += [f"   part: {_row(one)}" for one in report["parts"]]
    return lines + [f"   then back to: {one['title']}  {_place(one)}" for one in report["back"]]


def _board(report: Report, _: Mapping[str, Any]) -> list[str]:
    """Columns side by side; each cell is cut to its width, and what does not fit is counted."""
    columns = report["columns"]
    width = _WIDTH // len(columns) - 1
    lines = [" ".join(f"{f'{name} ({len(rows)})':<{width}}" for name, rows in columns.items()).rstrip()]
    lines.append(" ".join("-" * width for _ in columns))
    cells = [_cells(rows, width) for rows in columns.values()]
    for index in range(max(map(len, cells), default=0)):
        row = [one[index] if index < len(one) else "" for one in cells]
        lines.append(" ".join(_filled(text, width) for text in row).rstrip())
    return lines


def _cells(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    found: list[str] = []
    for row in rows[:_COLUMN_ROWS]:
        sign = PRIORITY_SIGNS.get(row["priority"] or "", "")
        head = f"{sign} " if sign else ""
        found += textwrap.wrap(head + row["title"], width - 1, max_lines=2, placeholder="…") or [""]
        found.append("")
    hidden = len(rows) - _COLUMN_ROWS
    return [*found, f"and {hidden} more"] if hidden > 0 else found


def _filled(text: str, width: int) -> str:
    """A text padded to a width; an emoji takes two columns."""
    wide = sum(char in "🔴🟠🟡🟢" for char in text)
    return text + " " * max(width - len(text) - wide, 0)


def _stats(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"{report['tasks']:,} tasks in {report['files']:,} files of {report['flow']}"]
    lines.append("  " + ", ".join(f"{number:,} {state}" for state, number in report["states"].items()))
    for name, counts in (("priority", report["priorities"]), ("owner", report["owners"])):
        shown = ", ".join(f"{key} {value:,}" for key, value in counts.items())
        lines += [f"  open by {name}: {shown}"] if shown else []
    most = max(report["done_by_week"].values(), default=0)
    for week, number in report["done_by_week"].items():
        bar = "#" * round(_BAR * number / most) if most else ""
        lines.append(f"  week of {week} {number:>4}  {bar}".rstrip())
    if report["oldest_in_progress"]:
        lines.append(f"  longest in progress: {report['oldest_in_progress']}")
    return lines


def _check(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [report["diff"].rstrip("\n")] if report["diff"] else []
    for one in report["findings"]:
        mend = " [--fix]" if one["fixable"] else ""
        lines.append(f"{one['path']}:{one['line']}:{one['column']}: {one['code']} {one['message']}{mend}")
    lines += [f"  {code}: {text}" for code, text in report["explanations"].items()]
    if report["fixed"]:
        would = "would be " if report["diff"] else ""
        files = units.counted(len(report["changed"]), "file")
        lines.append(f"{units.counted(report['fixed'], 'finding')} {would}mended in {files}.")
    if not report["findings"]:
        return [*lines, "Nothing found."]
    fixable = sum(one["fixable"] for one in report["findings"])
    return [*lines, f"{units.counted(len(report['findings']), 'finding')}, {fixable} can be mended by --fix."]


def _edited(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["dry_run"]:
        return [report["diff"].rstrip("\n") or "Nothing would change."]
    place = f"  {report['path']}:{report['line']}" if report["line"] else ""
    return [f"{report['message']}{place}"]


def _review(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [report["diff"].rstrip("\n")] if report["diff"] else ([report["message"]] if report["message"] else [])
    for row in report["horizons"]:
        when = "due now" if row["is_due"] else f"due {row['due']}"
        last = f"last {row['last']}" if row["last"] else "never reviewed"
        lines.append(f"  {row['horizon']:<11} {when:<15} {last:<16} {units.counted(row['tasks'], 'open task')}")
    due = [row["horizon"] for row in report["horizons"] if row["is_due"]]
    return [*lines, f"Next: treadle flow review {due[0]}"] if due and not report["message"] else lines


def _read(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["path"] is None:
        return ["There is no working memory yet. Make it with: treadle flow add TITLE"]
    return [*report["text"].rstrip("\n").split("\n"), "", f"({report['path']}, one of {len(report['files'])} files)"]


FLOW_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "flow.init": _init,
    "flow.list": _list,
    "flow.show": _show,
    "flow.next": _next,
    "flow.focus": _focus,
    "flow.board": _board,
    "flow.stats": _stats,
    "flow.check": _check,
    "flow.review": _review,
    "flow.read": _read,
    **dict.fromkeys(
        (
            "flow.add", "flow.edit", "flow.prioritise", "flow.start", "flow.done", "flow.review-ready", "flow.block",
            "flow.pause", "flow.reopen", "flow.remove", "flow.log", "flow.note", "flow.decide", "flow.move",
            "flow.archive", "flow.import",
        ),
        _edited,
    ),
}  # fmt: skip
