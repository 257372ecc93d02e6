"""How answers about the gallery read in a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_NAME_WIDTH = 22
_TEXT_WIDTH = 26

_OF_WEIGHTS = frozenset({"model", "model_id", "step", "weights"})
"""Options that are told of as weights."""


def _list(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    damaged = [line for message in report["damaged"] for line in wrapped(message, 2)]
    if not report["items"]:
        asked = any(arguments.get(key) for key in ("words", "tag", "rating", "model", "kind", "made"))
        hint = "No result matches; `treadle gallery list` shows all." if asked else None
        empty = "Nothing was taken out." if arguments.get("removed") else "No results yet. `treadle video` makes some."
        return [*damaged, hint or empty]
    lines = [f"{'id':<12}  {'rating':<6}  {'made':<10}  {'name':<{_NAME_WIDTH}}  prompt, tags"]
    for row in report["items"]:
        tags = " ".join(f"#{tag}" for tag in row["tags"])
        text = _cut(" ".join(row["text"].split()) or row["kind"], _TEXT_WIDTH)
        gone = "" if row["there"] else "(file gone) "
        made = _day(row["created"])
        name = _cut(row["name"], _NAME_WIDTH)
        line = f"{row['id']:<12}  {_stars(row['rating']):<6}  {made:<10}  {name:<{_NAME_WIDTH}}  {gone}{text} {tags}"
        lines.append(_plain(line))
    if report["total"] > len(report["items"]):
        lines.append(f"{report['total'] - len(report['items']):,} more; see them with --count {report['total']}")
    return lines + damaged


def _show(report: Report, _: Mapping[str, Any]) -> list[str]:
    item, facts = report["item"], report["facts"]
    lines = [f"{item['id']} · {item['kind']} · {_stars(item['rating']) or 'not rated'}", fact("file", item["path"])]
    if not item["there"]:
        lines.append(fact("", "which is not there any more"))
    if report["same"] is False:
        lines.append(fact("", "which was changed since it was rated"))
    if facts:
        lines.append(fact("picture", f"{facts['width']} x {facts['height']}, {facts['codec']}"))
    if facts and item["media"] == "video":
        length = f"{units.counted(facts['frames'], 'frame')}, {facts['seconds']:.2f} s at {facts['fps']:g} a second"
        lines.append(fact("length", length))
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(item["created"]))
    lines.append(fact("made", f"{made} by run {item['run']} ({item['outcome']})"))
    lines += [fact("model", item["model"])] if item["model"] else []
    lines += [fact("from", source) for source in item["sources"]]
    if item["text"]:
        lines.append(fact("prompt", item["prompt"] or "without a name"))
        lines += wrapped(item["text"], 14)
    if report["settings"]:
        lines.append(fact("settings", ", ".join(f"{key}={value}" for key, value in report["settings"].items())))
    lines += [fact("tags", ", ".join(item["tags"]))] if item["tags"] else []
    if item["note"]:
        lines += [fact("note", ""), *wrapped(item["note"], 14)]
    if item["removed"] is not None:
        lines.append(fact("removed", "it was taken out; --restore puts it back"))
    return [_plain(line) for line in lines]


def _changed(report: Report, _: Mapping[str, Any]) -> list[str]:
    item = report["item"]
    lines = [_plain(f"{item['id']} {item['name']}: {_stars(item['rating']) or 'not rated'}")]
    lines += [fact("tags", ", ".join(item["tags"]))] if item["tags"] else []
    return lines + ([fact("note", line) for line in item["note"].splitlines()[:1]] if item["note"] else [])


def _removed(report: Report, _: Mapping[str, Any]) -> list[str]:
    item = report["item"]
    if item["removed"] is None:
        return [_plain(f"{item['id']} {item['name']} is in the gallery again.")]
    lines = [_plain(f"{item['id']} {item['name']} is out of the gallery; what was said of it is kept.")]
    where = f"Its file is in the trash: {report['trash']}" if report["trash"] else f"Its file stays: {item['path']}"
    return [*lines, _plain(where)]


def _recall(report: Report, _: Mapping[str, Any]) -> list[str]:
    by = "" if report["said_by"] == "file" else " (as its run says; the file itself does not)"
    lines = [f"{report['path']} was made by `treadle {report['tool']}`{by}."]
    lines += [fact("from", source["path"]) for source in report["sources"]]
    weights = report["weights"]
    if weights is not None:
        here = f"here as {weights['there']}" if weights["there"] else "which are not here any more"
        lines.append(fact("by", f"{weights['model']}, step {weights['step']} ({str(weights['weights'])[:12]}), {here}"))
    told = {key: value for key, value in report["options"].items() if key not in _OF_WEIGHTS and value is not None}
    if told:
        lines.append(fact("with", ", ".join(f"{key}={value}" for key, value in told.items())))
    prompt = report["prompt"]
    if prompt is not None:
        lines.append(fact("prompt", f"{prompt.get('name') or 'without a name'}"))
        lines += wrapped(str(prompt.get("text", "")), 14)
        if prompt.get("negative") is not None:
            lines += [fact("negative", ""), *wrapped(str(prompt["negative"]), 14)]
        settings = prompt.get("settings")
        if isinstance(settings, dict) and settings:
            lines.append(fact("settings", ", ".join(f"{key}={value}" for key, value in settings.items())))
    if report["unsaid"]:
        lines.append(fact("but not", f"{', '.join(report['unsaid'])}: no single number; give it again when sending"))
    if report["saved"]:
        lines.append(f"Stored as prompt `{report['saved']['name']}`, version {report['saved']['version']}.")
    elif prompt is not None:
        lines.append("Not stored. Add --save NAME to make a prompt of it.")
    if report["command"]:
        lines.append(f"Again: {report['command']}")
    return [_plain(line) for line in lines]


def _compare(report: Report, _: Mapping[str, Any]) -> list[str]:
    length = f"{units.counted(report['frames'], 'frame')}"
    rate = f" at {report['fps']:g} a second" if report["fps"] else ""
    return [
        _plain(f"{report['out']}: {length}{rate}, {units.size(report['bytes'])}."),
        _plain(fact("left", report["original"])),
        _plain(fact("right", report["result"])),
    ]


def _day(moment: float) -> str:
    """A day; of today the time of it."""
    day, today = (time.strftime("%Y-%m-%d", time.localtime(one)) for one in (moment, None))
    return time.strftime("%H:%M", time.localtime(moment)) if day == today else day


def _stars(rating: int | None) -> str:
    return "" if rating is None else "*" * rating + "." * (5 - rating)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _plain(line: str) -> str:
    """Without signs that a terminal would obey: files of others say what they like."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)


GALLERY_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "gallery.list": _list,
    "gallery.show": _show,
    "gallery.rate": _changed,
    "gallery.tag": _changed,
    "gallery.remove": _removed,
    "gallery.recall": _recall,
    "gallery.compare": _compare,
}
