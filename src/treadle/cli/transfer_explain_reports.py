"""How a request for a transfer reads in a terminal before it is sent."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_VALUES = 14
"""Column in which the values of facts begin."""
_MOST_CLIPS = 12
_BACKENDS = {
    "transfer1": (),
    "transfer25": ("--backend", "transfer25-cli"),
    "diffusers": ("--backend", "diffusers"),
    "local-tiny": ("--host", "local", "--backend", "local-tiny"),
}
"""Flags of the command that sends a request in these words."""
_WHOSE = {"default": "the default one", "prompt": "that of the prompt", "spec": "that of the request"}


def explanation(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    """What goes in, what each clip gets, what is thrown away, and what the target is not told."""
    source, works, chosen = report["input"], report["works_in"], report["settings"]
    size = f"{source['width']}x{source['height']}, {source['frames']:,} frames at {source['fps']:g} a second"
    lines = [f"{report['name']} · in the words of {report['dialect']}", ""]
    lines += _labelled("text", report["text"])
    lines += _labelled("negative", f"{_WHOSE[report['negative_from']]}: {report['negative'] or 'nothing'}")
    worked = "" if works is None else f", worked on as {works['width']}x{works['height']}"
    lines += _labelled("input", f"{source['path']}, {size}{worked}")
    lines += _labelled("settings", ", ".join(f"{key}={value:g}" for key, value in chosen.items()))
    for control in report["controls"]:
        words = "".join(f", {key} `{control[key]}`" for key in ("subject", "weight_subject") if control[key])
        lines += _labelled(control["kind"], f"weight {control['weight']}; map {control['map']}{words}")
    lines += ["", *_clips(report), ""]
    runs = units.counted(report["runs"], "run")
    kept = f"{report['frames_made']:,} frames are made, {report['waste']:.0%} of them for nothing, in {runs}"
    lines += _labelled("cost", kept)
    if len(report["seeds"]) > 1:
        lines += _labelled("seeds", f"{', '.join(map(str, report['seeds']))} (of the variants)")
    for label in ("unsaid", "remarks"):
        for line in report[label]:
            lines += _labelled("not said" if label == "unsaid" else "note", line)
    for name, reasons in report["other_dialects"].items():
        lines += _labelled(name, " ".join(reasons) or "could say all of it")
    lines += _labelled("files", ", ".join(one["path"] for one in report["files"]))
    if report["picture"]:
        lines += _labelled("picture", report["picture"])
    return [*lines, f"Next: {_next(report, arguments)} (with --json, all that is sent)"]


def _next(report: Report, arguments: Mapping[str, Any]) -> str:
    """The command that sends what was explained, and nothing else."""
    words = ["treadle", "transfer", "run", report["source"], *_BACKENDS[report["dialect"]]]
    for flag in ("weights", "set"):
        words += [word for given in arguments[flag] for word in (f"--{flag}", given)]
    if arguments.get("model"):
        words += ["--model", arguments["model"]]
    return shlex.join(words)


def _clips(report: Report) -> list[str]:
    kinds = [control["kind"] for control in report["controls"]]
    lines = [f"  {'clip':>4}  {'frames':<13} {'seed':>10}  " + "".join(f"{kind:>9}" for kind in kinds)]
    for clip in report["clips"][:_MOST_CLIPS]:
        seed = "goes on" if clip["seed"] is None else str(clip["seed"])
        span = f"{clip['first']}-{clip['last']}"
        weights = "".join(f"{clip['weights'][kind]:>9.2f}" for kind in kinds)
        lines.append(f"  {clip['number']:>4}  {span:<13} {seed:>10}  {weights}")
    more = len(report["clips"]) - _MOST_CLIPS
    return [*lines, f"  and {units.counted(more, 'clip')} more (--json shows all)"] if more > 0 else lines


def _labelled(label: str, text: str) -> list[str]:
    """A fact that may take several lines."""
    first, *rest = [" " * _VALUES + line.strip() for line in wrapped(text, _VALUES)] or [""]
    return [fact(label, first.strip()), *rest]


TRANSFER_EXPLAIN_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {"transfer.explain": explanation}
