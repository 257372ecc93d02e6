"""How answers about prompts read in a terminal."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_NAME_WIDTH = 20
_TEXT_WIDTH = 43
_VALUES = 14
"""Column in which the values of facts begin."""


def _shown(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    """One version: the text first, then what goes with it, then what may go wrong."""
    if report.get("differences") is not None:
        return report["differences"] or [f"Version {arguments['diff']} says the same."]
    number = f"version {report['version']}" if report["version"] else "not stored"
    parent = f", made from version {report['parent']}" if report["parent"] else ""
    lines = [f"{report['name']} · prompt for {report['purpose']} · {number}{parent}", ""]
    lines += [f"  {line.strip()}" for part in report["text"].splitlines() for line in wrapped(part, 2) or [""]]
    lines.append("")
    limit = f" of {report['most_tokens']} that the encoder reads" if report["most_tokens"] else ""
    lines.append(fact("length", f"about {units.counted(report['tokens'], 'token')}{limit}"))
    if report["purpose"] == "video":
        origin = "the default one" if report["negative_from"] == "default" else "of this prompt"
        lines.append(fact("negative", f"{origin}:" if report["negative"] else "none"))
        lines += _folded(report["negative"])
    for one in report["inputs"]:
        lines.append(fact(one["kind"], f"{one['path']} ({units.size(one['bytes'])})"))
    chosen, every = report["settings"], report["complete_settings"]
    rows = [f"{key}={value}" for key, value in chosen.items()]
    usual = [f"{key}={value}" for key, value in every.items() if key not in chosen and value not in (None, [], 0, 0.0)]
    lines += _labelled("settings", ", ".join(rows) or "all as usual")
    if report["purpose"] == "video":
        lines += _labelled("as usual", ", ".join(usual))
    if report["tags"]:
        lines.append(fact("tags", ", ".join(report["tags"])))
    if report["made_by"]:
        lines.append(fact("written by", _writer(report["made_by"])))
    for remark in report["remarks"]:
        lines += _labelled(remark["level"], f"{remark['text']} {remark['fix']}".strip())
    return lines


def _writer(by: Mapping[str, Any]) -> str:
    """Who or what wrote the text."""
    if "recalled_from" in by:
        return f"whoever made {by['recalled_from']}"
    if "template" in by:
        return f"template {by['template']}"
    where = f" on {by['host']} (run {by['run']})" if "host" in by else ""
    return f"{by['enhanced_by']}{where}"


def _stored(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines = _shown(report, arguments)
    if not report["changed"]:
        return [f"Nothing differs from version {report['version']}; nothing was stored."]
    return [*lines, f"Stored as `{report['name']}`, version {report['version']}."]


def _answered(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines = [*_shown(report, arguments), *_previewed(report["preview"])]
    if report["changed"]:
        return [*lines, f"Stored as `{report['name']}`, version {report['version']}."]
    return [*lines, "Not stored. Store it with:", f"  {_again(report, arguments)}"]


def _again(report: Report, arguments: Mapping[str, Any]) -> str:
    """The command that makes the same prompt without questions, and stores it."""
    words = ["treadle", "prompt", "wizard", report["made_by"]["template"]]
    for flag in ("answer", "input", "set", "tag"):
        words += [word for value in arguments.get(flag) or () for word in (f"--{flag}", value)]
    if arguments.get("negative") is not None:
        words += ["--negative", arguments["negative"]]
    return f"{shlex.join(words)} --save NAME"


def _previewed(preview: Report | None) -> list[str]:
    """What Cosmos-Transfer would read, but for the texts, which stand above."""
    if preview is None:
        return []
    if "cannot" in preview:
        return _labelled("preview", f"nothing can be sent yet: {preview['cannot']}")
    lines = []
    for name, document in preview["sent"].items():
        lines.append(fact("preview", f"{name}, as Cosmos-Transfer reads it, with the texts above"))
        rest = {key: value for key, value in document.items() if key not in ("prompt", "negative_prompt")}
        lines += [f"    {line}" for line in json.dumps(rest, indent=2, ensure_ascii=False).splitlines()]
    for line in [*preview["unsaid"], *preview["remarks"]]:
        lines += _labelled("note", line)
    return lines


def _enhanced(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    if report.get("queued"):
        job = report["queued"]
        return [
            f"Job {job} has a fuller text of `{report['name']}`, version {report['version']}, written on the host.",
            f"Next: treadle jobs follow {job}",
        ]
    if arguments.get("preview") or report.get("proposed"):
        return [*_shown(report, arguments), "Not stored; without --preview it becomes the next version."]
    return _stored(report, arguments)


def _list(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    damaged = [line for message in report["damaged"] for line in wrapped(message, 2)]
    if not report["prompts"]:
        asked = arguments.get("words") or arguments.get("tag")
        hint = "No prompt matches; `treadle prompt list` shows all." if asked else None
        return [*damaged, hint or "No prompts yet. Make one with: treadle prompt wizard city-street --save NAME"]
    lines = [f"{'name':<{_NAME_WIDTH}} {'version':>7}  {'text':<{_TEXT_WIDTH}}  tags"]
    for row in report["prompts"]:
        text = " ".join(row["text"].split())
        cut = text if len(text) <= _TEXT_WIDTH else f"{text[: _TEXT_WIDTH - 1]}…"
        tags = ", ".join(row["tags"])
        lines.append(f"{row['name']:<{_NAME_WIDTH}} {row['version']:>7}  {cut:<{_TEXT_WIDTH}}  {tags}".rstrip())
    return lines + damaged


def _deleted(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"Prompt `{report['name']}` is in the trash: {report['trash']}", "Nothing was erased."]


def _templates(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["chosen"] is None:
        lines = []
        for one in report["templates"]:
            lines += [one["name"], *wrapped(one["description"])]
        return [*lines, "Next: treadle prompt wizard NAME"]
    one = next(row for row in report["templates"] if row["name"] == report["chosen"])
    lines = [
        one["name"],
        *wrapped(one["description"]),
        "",
        *(f"  {line.strip()}" for line in wrapped(one["text"], 2)),
        "",
    ]
    for question in one["questions"]:
        lines.append(fact(question["name"], question["ask"]))
        lines += _folded(f"usual: {question['default']}")
        if question["choices"]:
            lines += _folded(f"such as: {', '.join(question['choices'])}")
    return [*lines, f"Next: treadle prompt wizard {one['name']}"]


def _labelled(label: str, text: str) -> list[str]:
    """A fact that may take several lines."""
    first, *rest = _folded(text) or [""]
    return [fact(label, first.strip()), *rest]


def _folded(text: str) -> list[str]:
    """A text below the values of facts."""
    return [" " * _VALUES + line.strip() for line in wrapped(text, _VALUES)]


PROMPT_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "prompt.new": _stored,
    "prompt.edit": _stored,
    "prompt.show": _shown,
    "prompt.list": _list,
    "prompt.search": _list,
    "prompt.delete": _deleted,
    "prompt.template": _templates,
    "prompt.wizard": _answered,
    "prompt.enhance": _enhanced,
}
