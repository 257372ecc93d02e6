"""How the answers about datasets read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_MOST = 12


def _refusals(rows: list[Mapping[str, Any]], arguments: Mapping[str, Any], most: int = _MOST) -> list[str]:
    lines = []
    for row in rows[:most]:
        lines += wrapped(f"{near(row['source'], arguments)}: {row['detail']}")
    if len(rows) > most:
        lines.append(f"    and {len(rows) - most:,} more; all of them with --json")
    return lines


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none"


def _new(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"Dataset `{report['name']}` is ready.", f"Next: {report['next_step']}"]


def _add(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines = [] if report["ok"] else ["Nothing was taken."]
    lines += _refusals(report["refused"], arguments)
    parts = [f"{units.counted(report['accepted'], 'document')} added ({units.size(report['bytes'])})"]
    parts += [f"{len(report['refused']):,} refused"] if report["refused"] else []
    parts += [f"{report['duplicates']:,} known already"] if report["duplicates"] else []
    lines.append(fact("added", ", ".join(parts) + f" in {units.duration(report['seconds'])}"))
    if report["clusters"]:
        lines.append(fact("similar", f"{units.counted(report['clusters'], 'cluster')} of near-duplicates"))
    version = f"version {report['version']}, {units.counted(report['documents'], 'document')} in all"
    lines.append(fact("dataset", f"{report['dataset']}: {version}"))
    return [*lines, fact("id", report["id"]), f"Next: {report['next_step']}"]


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["datasets"]:
        return ["No datasets yet. Make one with: treadle data new NAME"]
    lines = [f"{'name':<24} {'version':>7} {'documents':>10} {'size':>9}  tags"]
    for row in report["datasets"]:
        number = "-" if row["version"] is None else str(row["version"])
        tags = ", ".join(f"{tag}={version}" for tag, version in row["tags"].items())
        lines.append(
            f"{row['name']:<24} {number:>7} {row['documents']:>10,} {units.size(row['bytes']):>9}  {tags}".rstrip()
        )
    return lines


def _show(report: Report, _: Mapping[str, Any]) -> list[str]:
    tags = f" ({', '.join(report['tags'])})" if report["tags"] else ""
    lines = [f"{report['name']} · version {report['version']}{tags} · {report['created']}"]
    lines.append(fact("documents", f"{report['documents']:,}, {units.size(report['bytes'])}"))
    lines.append(fact("refused", _reasons(report["refused"])))
    if report["clusters"]:
        put = f", {units.counted(report['aside'], 'document')} put aside" if report["aside"] else ""
        lines.append(fact("similar", f"{units.counted(report['clusters'], 'cluster')} of near-duplicates{put}"))
    lines.append(fact("id", report["id"]))
    for key, value in report["settings"].items():
        lines.append(fact("setting", f"{key} = {value}"))
    for row in report["lineage"]:
        lines += ["", row["source"], f"  {'document':<21} {row['id']}", f"  {'size':<21} {units.size(row['bytes'])}"]
        facts = {key: value for key, value in row["metadata"].items() if key != "quality"}
        lines += [f"  {key.replace('_', ' '):<21} {value}" for key, value in facts.items()]
    return lines


def _versions(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"{'version':>7} {'made':<17} {'documents':>10} {'size':>9} {'added':>8} {'refused':>8}  {'id':<12} tags"]
    for row in report["versions"]:
        refused = sum(row["refused"].values())
        size = f"{row['documents']:>10,} {units.size(row['bytes']):>9} {row['accepted']:>8,} {refused:>8,}"
        made = row["created"][:16].replace("T", " ")
        lines.append(f"{row['version']:>7} {made:<17} {size}  {row['id'][:12]} {', '.join(row['tags'])}".rstrip())
    return lines if report["versions"] else [f"`{report['name']}` has no version yet."]


def _diff(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    first, second = (f"{one['name']}@{one['version']}" for one in (report["first"], report["second"]))
    if report["same"]:
        return [f"{first} and {second} are the same."]
    lines = [f"{first} -> {second}: {units.counted(report['unchanged'], 'document')} in both"]
    for key, (before, after) in report["preparation"].items():
        lines.append(f"  setting {key}: {before} -> {after}")
    for mark, key in (("+", "added"), ("-", "removed"), ("~", "changed")):
        rows = report[key]
        lines += [f"  {mark} {near(row['source'], arguments)}" for row in rows[:_MOST]]
        if len(rows) > _MOST:
            lines.append(f"  {mark} and {len(rows) - _MOST:,} more; all of them with --json")
    return lines


def _refused(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    if not report["refused"]:
        return ["Nothing was refused."]
    return [fact("refused", _reasons(report["reasons"])), *_refusals(report["refused"], arguments, 40)]


def _tag(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["version"] is None:
        return [f"`{report['name']}` has no tag `{report['tag']}` any more."]
    return [f"Version {report['version']} of `{report['name']}` is `{report['name']}@{report['tag']}`."]


DATA_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "data.new": _new,
    "data.add": _add,
    "data.list": _list,
    "data.show": _show,
    "data.versions": _versions,
    "data.diff": _diff,
    "data.refused": _refused,
    "data.tag": _tag,
}
