"""How each operation's answer reads in a terminal: calm, aligned, readable at 80 columns and without colour."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from treadle.base import units
from treadle.cli import feeding_reports
from treadle.cli.account_reports import ACCOUNT_VIEWS
from treadle.cli.comparison_reports import COMPARISON_VIEWS, lineage
from treadle.cli.crawl_reports import CRAWL_VIEWS
from treadle.cli.data_file_reports import DATA_FILE_VIEWS
from treadle.cli.data_reports import DATA_VIEWS
from treadle.cli.experiment_reports import EXPERIMENT_VIEWS
from treadle.cli.flow_reports import FLOW_VIEWS
from treadle.cli.gallery_reports import GALLERY_VIEWS
from treadle.cli.guard_reports import GUARD_VIEWS
from treadle.cli.host_reports import HOST_VIEWS
from treadle.cli.layout import fact, wrapped
from treadle.cli.model_reports import MODEL_VIEWS, classes, limits
from treadle.cli.places import near, place_flag
from treadle.cli.prompt_reports import PROMPT_VIEWS
from treadle.cli.queue_reports import QUEUE_VIEWS, other
from treadle.cli.run_reports import RUN_VIEWS
from treadle.cli.sharing_reports import SHARING_VIEWS, answers
from treadle.cli.system_reports import SYSTEM_VIEWS
from treadle.cli.tokenizer_reports import TOKENIZER_VIEWS
from treadle.cli.transfer_explain_reports import TRANSFER_EXPLAIN_VIEWS
from treadle.cli.transfer_run_reports import TRANSFER_RUN_VIEWS
from treadle.cli.video_reports import VIDEO_VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Report = dict[str, Any]

_VALUE_WIDTH = 18
_REASONS, _NAMED = 10, 4
"""Reasons why inputs were refused that are shown, and inputs named for each."""


def show_report(name: str, report: Report, arguments: Mapping[str, Any]) -> None:
    """Print the answer of the operation called `name`."""
    for line in _VIEWS.get(name, other)(report, arguments):
        click.echo(line)


def _init(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [
        f"Workspace {report['workspace']} is ready.",
        "Next, inside it: treadle new NAME, treadle feed NAME FILES, treadle train NAME",
    ]


def _new(report: Report, _: Mapping[str, Any]) -> list[str]:
    window = report["settings"].get("data.sequence_length")
    reads = window is not None and report["unit"] == "tokens"
    shape = f"{_shape(report)}, window {window['value']:,}" if reads else _shape(report)
    return [f"Model `{report['name']}` ({shape}) is ready.", f"Next: {report['next_step']}"]


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    damaged = [line for message in report["damaged"] for line in wrapped(message, 2)]
    if report["of_experiments"]:
        damaged.append(f"{report['of_experiments']:,} more belong to experiments: treadle experiment list")
    if not report["models"]:
        return damaged or ["No models yet. Make one with: treadle new NAME"]
    wide = max(8, *(len(model["family"]) for model in report["models"]))
    lines = [f"{'name':<20} {'family':<{wide}} {'size':<8} {'steps':>8}  best held-out loss"]
    for model in report["models"]:
        measure = units.loss_measure(model["unit"])
        best = "-" if model["held_out"] is None else f"{model['held_out']:.2f} {measure} at step {model['best_step']:,}"
        kind = f"{model['family']:<{wide}} {model['size']:<8}"
        lines.append(f"{model['name']:<20} {kind} {model['steps']:>8,}  {best}")
    return lines + damaged


def _show(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    if arguments.get("lineage"):
        return lineage(report, arguments)
    epochs = report["epochs_trained"]
    lines = [f"{report['name']} · {_shape(report)} · trained {epochs:.1f} epochs, {report['steps']:,} steps"]
    best = next((row for row in report["checkpoints"] if "best" in row["roles"]), None)
    if best is not None and best.get("held_out") is not None:
        bits = best.get("bits_per_byte")
        shown = "" if bits is None else f" · {bits:.2f} bits/byte"
        shown += "" if best.get("accuracy") is None else f" · {best['accuracy']:.2%} right"
        loss = units.loss_of(report["unit"])
        lines.append(fact("held out", f"{best['held_out']:.3f} {loss}{shown} (best, at step {best['step']:,})"))
    refused = report["documents"].get("refused", {})
    detail = f" ({', '.join(f'{number} {reason}' for reason, number in sorted(refused.items()))})" if refused else ""
    accepted = report["documents"].get("accepted", 0)
    lines.append(fact("documents", f"{accepted:,} accepted · {sum(refused.values()):,} refused{detail}"))
    lines += [fact(label, text) for label, text in feeding_reports.ledger_rows(report, arguments)]
    if report["problem"]:
        lines += wrapped(f"problem     {report['problem']}", 2)
    for row in report["checkpoints"]:
        roles = f" ({', '.join(row['roles'])})" if row["roles"] else ""
        held_out = "" if row.get("held_out") is None else f" · held out {row['held_out']:.3f}"
        lines.append(fact("checkpoint", f"step {row['step']:,}{held_out}{roles}"))
    lines.append(fact("folder", report["folder"]))
    lines.append(fact("next", report["next_step"]))
    if report["plot"]:
        lines.append(fact("picture", near(report["plot"], arguments)))
    if arguments.get("limits"):
        lines += limits(report["limits"])
    if arguments.get("origins"):
        lines.append("settings")
        lines += _settings([{"key": key, **row} for key, row in report["settings"].items()], arguments)
    else:
        lines.append(fact("settings", f"treadle show {report['name']} --origins"))
    return lines


def _delete(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"Model `{report['name']}` is in the trash: {report['trash']}", "Nothing was erased."]
    if report["cancelled"]:
        lines.append(f"Cancelled: {units.counted(len(report['cancelled']), 'job')} that waited for it.")
    return lines + [f"Removed: schedule `{name}`" for name in report["schedules"]]


def _feed(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    refused, known = report["refused"], report["duplicates"]
    lines = [] if report["ok"] else ["Nothing was taken."]
    lines += _refused(refused, arguments)
    parts = [f"{units.counted(report['accepted'], 'document')} read ({units.size(report['bytes'])})"]
    parts += [f"{len(refused):,} refused"] if refused else []
    parts += [f"{known:,} known already"] if known else []
    lines.append(fact("fed", ", ".join(parts)))
    if report["documents"] == 0:
        return lines
    lines.append(
        fact("dataset", f"version {report['version']}, {units.counted(report['documents'], 'document')} in all")
    )
    lines += [fact(label, text) for label, text in feeding_reports.fed(report)]
    return [*lines, f"Next: {report['next_step']}"]


def _refused(refused: Sequence[Report], arguments: Mapping[str, Any]) -> list[str]:
    """Each reason once, with the files that it holds for."""
    sources: dict[str, list[str]] = {}
    for row in refused:
        sources.setdefault(row["detail"], []).append(_source(row["source"], arguments))
    lines = []
    for detail, named in list(sources.items())[:_REASONS]:
        more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
        lines += wrapped(f"{', '.join(named[:_NAMED])}{more}: {detail}", 4)
    if len(sources) > _REASONS or any(len(named) > _NAMED for named in sources.values()):
        lines.append("    All that was refused: --json")
    return lines


def _train(report: Report, _: Mapping[str, Any]) -> list[str]:
    measured = ""
    if report.get("held_out") is not None:
        bits = report.get("bits_per_byte")
        shown = "" if bits is None else f" ({bits:.2f} bits/byte)"
        shown += "" if report.get("accuracy") is None else f", {report['accuracy']:.2%} right"
        measured = f": held out {report['held_out']:.3f} {units.loss_of(report.get('unit', 'tokens'))}{shown}"
    if report["already"]:
        said = f"Already there: `{report['model']}` has made {units.counted(report['step'], 'step')}{measured}."
    else:
        said = f"{'Done' if report['outcome'] == 'done' else 'Stopped'} at step {report['step']:,}{measured}."
    ledger = feeding_reports.ledger(report["tokens"]) if report.get("tokens") else ""
    rows = [fact(report["unit"], ledger)] if ledger else []
    if report.get("draft"):
        shape, parameters = report["draft"]["shape"], units.count(report["draft"]["parameters"])
        rows.append(fact("draft", f"{shape}, {parameters} parameters, guesses ahead"))
    return [said, *rows, fact("run", report["run"]), f"Next: {report['next_step']}"]


def _demo(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"Done at step {report['step']:,}, after {report['seconds']:.0f} s."]
    if report["held_out"] is not None:
        figures = f"{report['held_out']:.2f} nats ({report['bits_per_byte']:.2f} bits per character)"
        lines = [f"Done: held out {figures}, {report['step']:,} steps, {report['seconds']:.0f} s."]
    if report["samples"]:
        first, last = report["samples"][0], report["samples"][-1]
        grown = f"{first['real_words']:.0%} at step {first['step']:,}, {last['real_words']:.0%} now."
        lines += ["", f"Real words in samples: {grown}"]
    command = os.environ.get("TREADLE_COMMAND", "treadle")
    place = place_flag(report["folder"])
    verbs = {
        "another sample": f'sample {report["model"]} --prompt "JULIET:"',
        "make it better": f"train {report['model']} --minutes 5",
        "teach it something of yours": f"feed {report['model']} my-notes/",
        "what it knows, and from what": f"show {report['model']}",
    }
    lines += [f"Everything lies in {report['folder']}", "Go on:"]
    return lines + [f"  {what:<30} {command} {verb}{place}" for what, verb in verbs.items()]


def _evaluate(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    if report.get("tasks"):
        return answers(report["tasks"])
    unit = report.get("unit", "tokens")
    lines = [
        f"{report['model']} · checkpoint at step {report['step']:,} · {report['targets']:,} held-out {unit}",
        fact("loss", f"{report['loss']:.4f} {units.loss_of(unit)}"),
    ]
    if unit != "clips":
        lines.append(fact("perplexity", f"{report['perplexity']:.3f}"))
    if report.get("precision") is not None:
        lines.append(fact("precision", f"{report['precision']}, {report['cost']:+.4f} nats/{unit[:-1]} beside fp32"))
    if report.get("accuracy") is not None:
        lines += classes(report)
    if report.get("plot"):
        lines.append(fact("picture", near(report["plot"], arguments)))
    if report.get("bits_per_byte") is not None:
        lines.append(fact("bits/byte", f"{report['bits_per_byte']:.4f}"))
    for part in report.get("parts") or ():
        more = "" if part["documents"] == 1 else f" and {part['documents'] - 1:,} more"
        source = _source(part["source"], arguments)
        lines.append(f"  {part['bits_per_byte']:.4f} bits/byte on {part['targets']:,} {unit} of {source}{more}")
    return lines


def _doctor(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = []
    for check in report["checks"]:
        mark = "ok     " if check["ok"] else ("MISSING" if check["needed"] else "-      ")
        lines.append(f"  {mark}  {check['name']:<14} {check['found']}")
        if not check["ok"]:
            lines += wrapped(check["remedy"], 27)
    lacking = "Something is missing that the core needs."
    return [*lines, "Everything that the core needs is here." if report["ok"] else lacking]


def _config_show(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    rows = report["settings"]
    lines = _settings(rows, arguments)
    return [*lines, *wrapped(rows[0]["description"], 4)] if len(rows) == 1 else lines


def _config_check(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"{row['path']}:{row['line']}: {row['message']}" for row in report["findings"]]
    return [*lines, f"{units.counted(len(lines), 'finding')}."] if lines else ["All files of settings are right."]


def _settings(rows: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> list[str]:
    """Settings in columns as wide as the longest key and the usual value need."""
    keys = max(len(row["key"]) for row in rows)
    values = ["none" if row["value"] is None else str(row["value"]) for row in rows]
    width = min(max(map(len, values)), _VALUE_WIDTH)
    return [
        f"  {row['key']:<{keys}}  {value:<{width}}  {_origin(row['origin'], arguments)}"
        for row, value in zip(rows, values, strict=True)
    ]


def _origin(origin: str, arguments: Mapping[str, Any]) -> str:
    """An origin with its path shortened: `model, /…/lab/models/m-1/model.yaml:35`."""
    said, comma, path = origin.rpartition(", ")
    return f"{said}{comma}{near(path, arguments)}" if path.startswith("/") else origin


def _source(source: str, arguments: Mapping[str, Any]) -> str:
    return near(source, arguments)


def _shape(report: Report) -> str:
    size = f"{report['family']} {report['size']}"
    return size if report["parameters"] is None else f"{size}, {units.count(report['parameters'])} parameters"


_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    **QUEUE_VIEWS,
    **CRAWL_VIEWS,
    **EXPERIMENT_VIEWS,
    **MODEL_VIEWS,
    **COMPARISON_VIEWS,
    **GUARD_VIEWS,
    **HOST_VIEWS,
    **FLOW_VIEWS,
    **TOKENIZER_VIEWS,
    **TRANSFER_EXPLAIN_VIEWS,
    **TRANSFER_RUN_VIEWS,
    **PROMPT_VIEWS,
    **VIDEO_VIEWS,
    **GALLERY_VIEWS,
    **DATA_VIEWS,
    **DATA_FILE_VIEWS,
    **SHARING_VIEWS,
    **RUN_VIEWS,
    **SYSTEM_VIEWS,
    **ACCOUNT_VIEWS,
    "init": _init,
    "new": _new,
    "list": _list,
    "show": _show,
    "delete": _delete,
    "feed": _feed,
    "train": _train,
    "flush": _train,
    "demo": _demo,
    "evaluate": _evaluate,
    "doctor": _doctor,
    "config.show": _config_show,
    "config.check": _config_check,
}
