"""How a terminal shows what was fed: where every token is, what waits, what lies in the inbox."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Mapping

    Report = dict[str, Any]


def ledger_rows(report: Report, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of `show`, each a label and a text."""
    rows = []
    if report["tokens"]:
        rows.append((report["unit"], ledger(report["tokens"])))
    if said := _waiting(report):
        rows.append(("waiting", said))
    return rows + _inbox(report, arguments)


def ledger(tokens: Mapping[str, int]) -> str:
    """The token ledger as a sum."""
    said = (
        f"in {tokens['in']:,} = {tokens['trained_once']:,} trained + {tokens['buffered']:,} buffered"
        f" + {tokens['held_out']:,} held out"
    )
    return said if not tokens["trained_by_epoch"] else f"{said}; {tokens['trained_by_epoch']:,} in passes"


def fed(report: Report) -> list[tuple[str, str]]:
    """What follows from a feed of a standing model."""
    waits = report.get("waiting")
    if waits is None or waits["auto_train"] == "off":
        return []
    if report["job"] is not None:
        return [("trains", f"{_batches(waits)} by itself: job {report['job']}")]
    return [("waiting", f"{waits['reason']}: it trains by itself then")]


def _waiting(report: Report) -> str:
    waits = report["waiting"]
    if waits is None or waits["auto_train"] == "off":
        return ""
    switch = f"auto_train={waits['auto_train']}"
    if waits["due"]:
        return f"{_batches(waits)} to be trained ({switch})"
    flush = f"; now: treadle flush {shlex.quote(report['name'])}" if waits["tokens"] else ""
    return f"{waits['reason']} ({switch}{flush})"


def _batches(waits: Mapping[str, Any]) -> str:
    if not waits["batches"]:
        return "what was fed is"
    number = "1 batch" if waits["batches"] == 1 else f"{waits['batches']:,} batches"
    return f"{waits['tokens']:,} tokens, {number} of {waits['batch']:,},"


def _inbox(report: Report, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    inbox = report["inbox"]
    standing = report["waiting"] is not None and report["waiting"]["auto_train"] != "off"
    if inbox is None or not (standing or inbox["waiting"] or inbox["taken"] or inbox["refused"]):
        return []
    folder = near(inbox["folder"].replace(report["id"], report["name"]), arguments)
    parts = [f"{inbox[key]:,} {word}" for key, word in (("waiting", "waiting"), ("taken", "being fed")) if inbox[key]]
    if inbox["refused"]:
        parts.append(f"{inbox['refused']:,} refused, in {Path(folder) / 'refused'}")
    state = ", ".join(parts) or "empty"
    rows = [("inbox", f"{folder}: {state}")]
    if not inbox["watched"]:
        rows.append(("", "no worker looks there now; the next one does: treadle worker run"))
    return rows
