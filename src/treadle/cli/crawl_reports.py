"""How answers about crawls read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_WORDS = {
    "depth": "too deep",
    "scope": "on other hosts",
    "rule": "blocked by a rule",
    "exclude": "excluded",
    "include": "not included",
    "folder_full": "folder is full",
    "no_sitemap": "no sitemap",
    "host_down": "host does not answer",
    "not_found": "not found",
    "content_type": "other type",
    "private_address": "private address",
    "parser_crashed": "crashes its parser",
    "parser_stalled": "holds up its parser",
    "unreadable": "links cannot be read",
}
_STATES = {
    "limited": "complete up to --max-pages",
    "stopped": "stopped; the same command goes on",
    "waiting": "waits in its queue",
}


def _start(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = []
    if report["pages"] == 0:
        lines.append("Not one page was to be had.")
    lines += _troubles(report)
    left = "" if report["complete"] else f", {report['pending']:,} pending"
    lines.append(
        fact(
            "crawled", f"{units.counted(report['pages'], 'page')} ({units.size(report['bytes'])}){left}{_round(report)}"
        )
    )
    fed = f"{units.counted(report['accepted'], 'document')} ({units.size(report['text_bytes'])})"
    fed += f", {report['duplicates']:,} known already" if report["duplicates"] else ""
    refused = sum(report["refused"].values())
    lines.append(fact("fed", fed + (f", {refused:,} refused ({_reasons(report['refused'])})" if refused else "")))
    for row in report["refusals"][:5]:
        lines += wrapped(f"{row['source']}: {row['detail']}", 4)
    if not report["complete"]:
        lines.append(fact("goes on", f"treadle crawl resume {report['crawl']}"))
    lines.append(fact("status", f"treadle crawl status {report['crawl']}"))
    if report["documents"]:
        lines.append(fact("next", report["next_step"]))
    return lines


def _status(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["crawls"]:
        return ["No crawls yet. Begin one with: treadle crawl ADDRESS --into MODEL"]
    return [line for crawl in report["crawls"] for line in _one(crawl)]


def _one(crawl: Report) -> list[str]:
    job = "" if crawl["job"] is None else f" (job {crawl['job']})"
    state = _STATES.get(crawl["state"], crawl["state"])
    lines = [f"{crawl['name']} · {state}{job} · into {crawl['target']}"]
    lines.append(fact("pages", f"{crawl['pages']:,} kept ({units.size(crawl['bytes'])}), {crawl['pending']:,} pending"))
    if crawl["round"]:
        news = f"{crawl['new']:,} new, {crawl['changed']:,} changed, {crawl['unchanged']:,} unchanged"
        lines.append(fact(f"round {crawl['round']}", news))
    if crawl["unfed"]:
        lines.append(fact("not fed yet", f"{crawl['unfed']:,}"))
    failed = f" ({_reasons(crawl['reasons'])})" if crawl["reasons"] else ""
    if crawl["failed"]:
        lines.append(fact("failed", f"{crawl['failed']:,}{failed}"))
    if crawl["refused_by_robots"]:
        lines.append(fact("robots.txt", f"{crawl['refused_by_robots']:,} refused"))
    others = {"gone": crawl["gone"], "redirects": crawl["redirects"], "copies": crawl["copies"]}
    if any(others.values()):
        lines.append(fact("others", ", ".join(f"{number:,} {what}" for what, number in others.items() if number)))
    if crawl["left_out"]:
        lines.append(fact("left out", f"{sum(crawl['left_out'].values()):,} ({_reasons(crawl['left_out'])})"))
    return lines + _troubles(crawl)


def _troubles(report: Report) -> list[str]:
    found = []
    for row in report["troubles"][:5]:
        found += wrapped(f"{row['url']}: {_WORDS.get(row['reason'], row['reason'].replace('_', ' '))}", 4)
    return found


def _rules(report: Report, _: Mapping[str, Any]) -> list[str]:
    test = report["test"]
    if test is not None:
        verdict = "may be asked for" if test["allowed"] else "is not asked for"
        lines = [f"{test['url']} {verdict}.", fact("decides", test["rule"])]
        return [*lines, fact("so far", test["state"])] if test["state"] else lines
    rules = [f"  {rule}" for rule in report["rules"]] or ["  No rules: every crawl's own limits decide."]
    return [report["said"], *rules] if report["said"] else rules


def _pages(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = []
    for row in report["pages"]:
        reason = f" ({_WORDS.get(row['reason'], row['reason'].replace('_', ' '))})" if row["reason"] else ""
        lines.append(f"  {row['state'].replace('_', ' ')}{reason}  {row['url']}")
    return lines or ["No such addresses."]


def _export(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    size = units.size(report["bytes"])
    return [f"{units.counted(report['pages'], 'page')} written to {near(report['path'], arguments)} ({size})."]


def _said(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [report["said"]]


def _round(report: Report) -> str:
    if report["round"] < 2:
        return ""
    return f"; {report['new']:,} new, {report['changed']:,} changed, {report['unchanged']:,} unchanged"


def _reasons(reasons: Mapping[str, int]) -> str:
    rows = sorted(reasons.items(), key=lambda row: -row[1])
    return ", ".join(f"{number:,} {_WORDS.get(reason, reason.replace('_', ' '))}" for reason, number in rows)


CRAWL_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "crawl": _start,
    "crawl.start": _start,
    "crawl.status": _status,
    "crawl.pages": _pages,
    "crawl.pause": _said,
    "crawl.rules": _rules,
    "crawl.export": _export,
}
