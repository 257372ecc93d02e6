"""How a terminal shows what a model makes of something, and what was changed in it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_SHOWN = 3
"""Classes of one picture, the likeliest."""
_WIDTH = 80


def _predict(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    names = {row["file"]: near(row["file"], arguments) for row in report["predictions"]}
    width = min(40, max(map(len, names.values()), default=0))
    lines = []
    for row in report["predictions"]:
        likeliest = list(row["probabilities"].items())[:_SHOWN]
        shown = "   ".join(f"{name} {share:.1%}" for name, share in likeliest)
        lines.append(f"{names[row['file']]:<{width}}  {shown}")
    lines += [f"{near(row['file'], arguments)}: {row['detail']}" for row in report["refused"]]
    return lines


def _inspect(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines = [f"  {'token':<14} {'nats':>7} {'rank':>6}  likeliest"]
    for token in report["tokens"]:
        text, likeliest = repr(token["text"]), repr(token["likeliest"])
        mark = "" if token["rank"] == 1 else f"{likeliest} {token['probability']:.0%}"
        lines.append(f"  {text:<14} {token['loss']:>7.3f} {token['rank']:>6,}  {mark}".rstrip())
    count, bits = len(report["tokens"]), report["bits_per_byte"]
    lines.append(f"  {count:,} tokens, {report['loss']:.3f} nats/token ({bits:.2f} bits/byte)")
    computed = f"{report['engine']} {report['precision']}"
    lines.append(f"  {report['model']}, checkpoint at step {report['step']:,}, {computed}")
    return lines + [f"  picture     {near(path, arguments)}" for path in report["pictures"]]


def _set(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines = [
        f"  {row['key']}  {'none' if row['before'] is None else row['before']} -> "
        f"{'none' if row['after'] is None else row['after']}"
        for row in report["changed"]
    ]
    lines = lines or ["  Nothing changes: the model has these settings already."]
    grown = report["grown"]
    if grown is not None:
        lines += _wrapped(
            f"`{report['model']}` has {grown['to']} layers instead of {grown['from']} "
            f"({units.count(grown['parameters'])} parameters) and computes what it did before; the new ones learn when "
            "training goes on."
        )
        lines.append(f"  checkpoint  {near(grown['checkpoint'], arguments)}")
    return [*lines, f"Next: {report['next_step']}"]


def _rename(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"`{report['before']}` is called `{report['name']}` now.", f"Next: {report['next_step']}"]


def _copy(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    state = f"at step {report['step']:,}" if report["checkpoints"] else "without weights"
    return [
        f"`{report['name']}` is a copy of `{report['source']['name']}`, {state}.",
        f"  folder      {near(report['folder'], arguments)}",
        f"Next: {report['next_step']}",
    ]


def limits(rows: list[dict[str, Any]]) -> list[str]:
    """The table of `show --limits`: rows that say the same stand together."""
    lines = ["what may change once the model has weights (all other settings: freely)"]
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        value = "none" if row["value"] is None else row["value"]
        groups.setdefault((row["possible"], row["because"]), []).append(f"{row['key']}={value}")
    for (possible, because), keys in groups.items():
        lines += textwrap.wrap("  ".join(keys), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines += textwrap.wrap(f"{possible}: {because}", _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return lines


def classes(report: Report) -> list[str]:
    """What an evaluation says of each class of a classifier."""
    right = f"{report['accuracy']:.2%} ({report['correct']:,} of {report['targets']:,} pictures)"
    head = f"  {'class':<16} {'pictures':>8} {'right':>8} {'':>8} taken for it wrongly"
    lines = [f"  {'accuracy':<11} {right}", "", head]
    for row in report["per_class"]:
        share = "-" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
        lines.append(
            f"  {row['class'][:16]:<16} {row['pictures']:>8,} {row['correct']:>8,} {share:>8} {row['taken_for_it']:>8,}"
        )
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


MODEL_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "predict": _predict,
    "inspect": _inspect,
    "set": _set,
    "rename": _rename,
    "copy": _copy,
}
