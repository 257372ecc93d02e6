"""How previews, reports, exports and collections of datasets read in a terminal."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import WIDTH, fact
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Report = dict[str, Any]

_COLUMN = 37
_LINES = 12
_BARS = " ▁▂▃▄▅▆▇█"


def _preview(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for row in report["documents"]:
        lines += ["", f"── {near(row['source'], arguments)} "] if lines else [f"── {near(row['source'], arguments)} "]
        for step in row["steps"]:
            mark = {"change": "~", "refuse": "x", "keep": " ", "note": "·"}[step["does"]]
            lines += textwrap.wrap(
                step["why"], WIDTH, initial_indent=f" {mark} {step['step']:<16}", subsequent_indent=" " * 19
            )
        if row["before"]:
            lines += _side_by_side(row["before"], row["after"] if row["refused"] is None else "(refused)")
    return lines


def _side_by_side(before: str, after: str) -> list[str]:
    left, right = (_beginning(text) for text in (before, after))
    lines = [f"  {'before':<{_COLUMN}} │ after", f"  {'─' * _COLUMN}─┼─{'─' * _COLUMN}"]
    for number in range(max(len(left), len(right))):
        one, other = (side[number] if number < len(side) else "" for side in (left, right))
        lines.append(f"  {_padded(one)} │ {other}".rstrip())
    return lines


def _beginning(text: str) -> list[str]:
    """The first lines of a text, as wide as a column; nothing in them moves the cursor."""
    shown: list[str] = []
    for line in text.replace("\t", "  ").split("\n"):
        plain = "".join(character if character.isprintable() else "�" for character in line)
        shown += textwrap.wrap(plain, _COLUMN - 2, drop_whitespace=False) or [""]
        if len(shown) >= _LINES:
            break
    return [*shown[: _LINES - 1], "…"] if len(shown) >= _LINES else shown


def _padded(text: str) -> str:
    width = sum(2 if unicodedata.east_asian_width(one) in "WF" else not unicodedata.combining(one) for one in text)
    return text + " " * max(0, _COLUMN - width)


def _report(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lengths, quality, split, tokens = report["lengths"], report["quality"], report["split"], report["tokens"]
    found = report["duplicates"]
    size = f"{units.counted(report['documents'], 'document')}, {units.size(report['bytes'])}"
    lines = [f"{report['name']} · version {report['version']} · {size}", fact("id", report["id"])]
    median = f"median {units.size(lengths['median'])}, {units.size(lengths['least'])} to {units.size(lengths['most'])}"
    lines.append(fact("lengths", f"{median}  {_spark(lengths['histogram'])}"))
    for label, key in (("languages", "languages"), ("forms", "forms"), ("formats", "formats")):
        lines.append(fact(label, _shares(report[key], report["bytes"])))
    dropped = "refused" if quality["dropped"] else "kept"
    lines.append(fact("quality", f"{quality['breaking']:,} documents break a rule of {quality['preset']} ({dropped})"))
    lines += [f"{'':14}{count:>7,}  {rule}" for rule, count in list(quality["rules"].items())[:6]]
    near_ = f"{found['clusters']:,} clusters with {found['near']:,} more than one each"
    lines.append(fact("duplicates", f"{found['exact']:,} exact, {near_}, {found['aside']:,} put aside"))
    refused = ", ".join(f"{count:,} {reason}" for reason, count in report["refused"].items()) or "none"
    lines.append(fact("refused", refused))
    held = split["held_out_bytes"] / max(report["bytes"], 1)
    leak = f"{split['leak']:.2%} of its {split['run_words']}-word runs stand in the training text"
    lines.append(fact("held out", f"{units.size(split['held_out_bytes'])} ({held:.1%}); {leak}"))
    figure = f"about {units.count(tokens['tokens'])}, {tokens['bytes_per_token']:.2f} bytes/token"
    lines.append(fact("tokens", f"{figure} ({tokens['tokenizer']})"))
    for name, rows in report["extremes"].items():
        lines += _extreme(name, rows, arguments)
    lines.append(fact("page", report["html"]) if report["html"] else "Next: add --html FILE for a page with plots")
    return lines


def _extreme(name: str, rows: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> list[str]:
    if not rows:
        return []
    first, label = rows[0], name.rsplit(maxsplit=1)[-1]
    said = f"{near(first['source'], arguments)} ({units.size(first['bytes'])})"
    return [fact(label, said if label == name else f"{name}: {said}")]


def _shares(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    shown = [f"{row['name']} {row['bytes'] / max(total, 1):.0%}" for row in rows[:5]]
    return ", ".join(shown) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def _spark(bins: Sequence[Sequence[float]]) -> str:
    most = max((count for _, _, count in bins), default=1) or 1
    return "".join(_BARS[0 if not count else max(1, round(8 * count / most))] for _, _, count in bins)


def _export(report: Report, _: Mapping[str, Any]) -> list[str]:
    rows = ", ".join(f"{side} {count:,}" for side, count in report["documents"].items())
    return [f"Version {report['version']} of `{report['name']}` is in {report['folder']}", fact("rows", rows)] + [
        fact("file", name) for name in report["files"]
    ]


def _gc(report: Report, _: Mapping[str, Any]) -> list[str]:
    would = "would be removed" if report["dry_run"] else "removed"
    versions = f"{len(report['versions'])} versions and " if report["versions"] else ""
    return [f"{versions}{report['objects']:,} objects {would} ({units.size(report['bytes'])})."]


DATA_FILE_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "data.preview": _preview,
    "data.report": _report,
    "data.export": _export,
    "data.gc": _gc,
}
