"""How answers about users, keys and the servers of pages and models read in a terminal."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]


def _users(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["users"]:
        return ["No users: the pages are open to this machine only. Make one: treadle user add NAME --level admin"]
    return _rows(report["users"])


def _keys(report: Report, _: Mapping[str, Any]) -> list[str]:
    return _rows(report["keys"]) if report["keys"] else ["No keys. Make one: treadle key add NAME"]


def _rows(rows: list[Report]) -> list[str]:
    lines = [f"{'name':<20} {'level':<10} made"]
    for row in rows:
        made = dt.datetime.fromtimestamp(row["created"], dt.UTC).astimezone()
        lines.append(f"{row['name']:<20} {row['level']:<10} {made:%Y-%m-%d %H:%M}")
    return lines


def _user(report: Report, _: Mapping[str, Any]) -> list[str]:
    shown = [] if report["password"] is None else [fact("password", report["password"]), "It is shown this once."]
    return [report["said"], *shown]


def _key(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [report["said"], *([] if report["token"] is None else [fact("token", report["token"])])]


def _ui(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"Closed {report['address']}. Jobs go on: treadle jobs list"]


def _serve(report: Report, _: Mapping[str, Any]) -> list[str]:
    texts = units.counted(report["texts"], "text")
    return [f"Served {texts} ({report['tokens']:,} tokens) in {units.duration(report['seconds'])}."]


ACCOUNT_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "ui": _ui,
    "serve": _serve,
    "user.add": _user,
    "user.list": _users,
    "user.remove": _user,
    "user.password": _user,
    "user.level": _user,
    "key.add": _key,
    "key.list": _keys,
    "key.remove": _key,
}
