"""How each operation's answer reads in a terminal: calm, aligned, readable at 80 columns and without colour."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from treadle.base import units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_WIDTH = 80


def show_report(name: str, report: Report, arguments: Mapping[str, Any]) -> None:
    """Print the answer of the operation called `name`."""
    for line in _VIEWS[name](report, arguments):
        click.echo(line)


def _init(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [
        f"Workspace {report['workspace']} is ready.",
        "Next, inside it: treadle new NAME, treadle feed NAME FILES, treadle train NAME",
    ]


def _new(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"Model `{report['name']}` ({_shape(report)}) is ready.", f"Next: {report['next_step']}"]


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["models"]:
        return ["No models yet. Make one with: treadle new NAME"]
    lines = [f"{'name':<20} {'family':<8} {'size':<8} {'steps':>8}  held out"]
    for model in report["models"]:
        held_out = "-" if model["held_out"] is None else f"{model['held_out']:.3f} nats/token"
        lines.append(f"{model['name']:<20} {model['family']:<8} {model['size']:<8} {model['steps']:>8,}  {held_out}")
    return lines


def _show(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    epochs = report["epochs_trained"]
    lines = [f"{report['name']} · {_shape(report)} · trained {epochs:.1f} epochs, {report['steps']:,} steps"]
    best = next((row for row in report["checkpoints"] if "best" in row["roles"]), None)
    if best is not None and best.get("held_out") is not None:
        bits = best.get("bits_per_byte")
        shown = "" if bits is None else f" · {bits:.2f} bits/byte"
        lines.append(_row("held out", f"{best['held_out']:.3f} nats/token{shown} (best, at step {best['step']:,})"))
    refused = report["documents"].get("refused", {})
    detail = f" ({', '.join(f'{number} {reason}' for reason, number in sorted(refused.items()))})" if refused else ""
    accepted = report["documents"].get("accepted", 0)
    lines.append(_row("documents", f"{accepted:,} accepted · {sum(refused.values()):,} refused{detail}"))
    if report["tokens"]:
        tokens = report["tokens"]
        lines.append(
            _row(
                "tokens",
                f"in {tokens['in']:,} = {tokens['trained_once']:,} trained + {tokens['buffered']:,} buffered"
                f" + {tokens['held_out']:,} held out",
            )
        )
    for row in report["checkpoints"]:
        roles = f" ({', '.join(row['roles'])})" if row["roles"] else ""
        held_out = "" if row.get("held_out") is None else f" · held out {row['held_out']:.3f}"
        lines.append(_row("checkpoint", f"step {row['step']:,}{held_out}{roles}"))
    lines.append(_row("folder", report["folder"]))
    lines.append(_row("next", report["next_step"]))
    if arguments.get("origins"):
        lines.append("settings")
        lines += [_setting(key, row["value"], row["origin"]) for key, row in report["settings"].items()]
    else:
        lines.append(_row("settings", f"treadle show {report['name']} --origins"))
    return lines


def _delete(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"Model `{report['name']}` is in the trash: {report['trash']}", "Nothing was erased."]


def _feed(report: Report, _: Mapping[str, Any]) -> list[str]:
    refused = report["refused"]
    lines = [
        _row("documents", f"{report['accepted']:,} read ({units.size(report['bytes'])}), {len(refused):,} refused"),
    ]
    for row in refused[:10]:
        lines += _wrapped(f"{row['source']}: {row['detail']}", 4)
    if len(refused) > 10:
        lines.append(f"    and {len(refused) - 10:,} more; all of them with --json")
    lines.append(_row("dataset", f"version {report['version']}, {report['documents']:,} documents in all"))
    lines.append(f"Next: {report['next_step']}")
    return lines


def _train(report: Report, _: Mapping[str, Any]) -> list[str]:
    measured = ""
    if report.get("held_out") is not None:
        bits = report.get("bits_per_byte")
        shown = "" if bits is None else f" ({bits:.2f} bits/byte)"
        measured = f": held out {report['held_out']:.3f} nats/token{shown}"
    ended = "Done" if report["outcome"] == "done" else "Stopped"
    return [
        f"{ended} at step {report['step']:,}{measured}.",
        _row("run", report["run"]),
        f"Next: {report['next_step']}",
    ]


def _demo(report: Report, _: Mapping[str, Any]) -> list[str]:
    first, last = report["samples"][0], report["samples"][-1]
    figures = f"{report['held_out']:.2f} nats ({report['bits_per_byte']:.2f} bits per character)"
    return [
        f"Done: held out {figures}, {report['step']:,} steps, {report['seconds']:.0f} s.",
        "",
        f"Real words in samples: {first['real_words']:.0%} at step {first['step']}, {last['real_words']:.0%} now.",
        f"Everything lies in {report['folder']}",
        "Go on:",
        f'  ./treadle sample {report["model"]} --prompt "JULIET:"      another sample',
        f"  ./treadle train {report['model']} --minutes 5              make it better",
        f"  ./treadle feed {report['model']} my-notes/                 teach it something of yours",
        f"  ./treadle show {report['model']}                           what it knows, and from what",
    ]


def _evaluate(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{report['model']} · checkpoint at step {report['step']:,} · {report['targets']:,} held-out tokens",
        _row("loss", f"{report['loss']:.4f} nats/token"),
        _row("perplexity", f"{report['perplexity']:.3f}"),
    ]
    if report.get("bits_per_byte") is not None:
        lines.append(_row("bits/byte", f"{report['bits_per_byte']:.4f}"))
    return lines


def _doctor(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = []
    for check in report["checks"]:
        mark = "ok     " if check["ok"] else ("MISSING" if check["needed"] else "-      ")
        lines.append(f"  {mark}  {check['name']:<14} {check['found']}")
        if not check["ok"]:
            lines += _wrapped(check["remedy"], 27)
    lacking = "Something is missing that the core needs."
    return [*lines, "Everything that the core needs is here." if report["ok"] else lacking]


def _config_show(report: Report, _: Mapping[str, Any]) -> list[str]:
    rows = report["settings"]
    if len(rows) == 1:
        row = rows[0]
        return [_setting(row["key"], row["value"], row["origin"]), f"    {row['description']}"]
    return [_setting(row["key"], row["value"], row["origin"]) for row in rows]


def _config_check(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"{row['path']}:{row['line']}: {row['message']}" for row in report["findings"]]
    number = len(report["findings"])
    return lines or ["All files of settings are right."] if number == 0 else [*lines, f"{number} finding(s)."]


def _setting(key: str, value: object, origin: str) -> str:
    shown = "none" if value is None else str(value)
    return f"  {key:<36} {shown:<18} {origin}"


def _wrapped(text: str, indent: int) -> list[str]:
    first = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=first + "  ", break_on_hyphens=False)


def _row(label: str, text: str) -> str:
    return f"  {label:<11} {text}"


def _shape(report: Report) -> str:
    size = f"{report['family']} {report['size']}"
    return size if report["parameters"] is None else f"{size}, {units.count(report['parameters'])} parameters"


_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "init": _init,
    "new": _new,
    "list": _list,
    "show": _show,
    "delete": _delete,
    "feed": _feed,
    "train": _train,
    "demo": _demo,
    "evaluate": _evaluate,
    "doctor": _doctor,
    "config.show": _config_show,
    "config.check": _config_check,
}
