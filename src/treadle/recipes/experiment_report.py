"""The report of an experiment: Markdown for people, JSON for programs, pictures of curves and costs."""

from __future__ import annotations

import datetime as dt
import shlex
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.base.files import write_json, write_text
from treadle.recipes.experiment_files import ExperimentFiles
from treadle.recipes.experiment_plan import Plan
from treadle.recipes.experiment_verdict import summarise
from treadle.registry.catalogue import load
from treadle.telemetry.hardware import processor, usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.store.workspace import WorkspaceFolder

PICTURES = ("curves.png", "costs.png")


def summary_of(plan: Plan, files: ExperimentFiles) -> dict[str, Any]:
    """What the results so far say."""
    keys: dict[str, list[str]] = {cell.label: [] for cell in plan.cells}
    for member in plan.members():
        keys[member.cell.label].append(member.key)
    return summarise(plan.to_json(), keys, files.results())


def write_report(workspace: WorkspaceFolder, plan: Plan, files: ExperimentFiles) -> dict[str, Any]:
    """Write the report of the results so far; returns its figures."""
    summary = summary_of(plan, files)
    wanted = {member.key for member in plan.members()}
    results = {key: result for key, result in files.results().items() if key in wanted and "held_out" in result}
    drawn = []
    if results and find_spec("matplotlib") is not None:
        load("treadle.recipes.experiment_pictures:draw")(summary, results, files.path)
        drawn = list(PICTURES)
    name, flags = processor()
    machine = f"{name}, {usable_cores()} cores ({', '.join(flags)})"
    made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    numbers = {
        **summary,
        "command": command_of(plan),
        "settings": list(plan.settings),
        "machine": machine,
        "made": made,
        "folder": str(files.path),
        "report": str(files.report),
        "pictures": [str(files.path / picture) for picture in drawn],
    }
    write_json(files.numbers, {**numbers, "cells": results})
    write_text(files.report, "\n".join(_markdown(workspace, plan, numbers, results)) + "\n")
    return numbers


def command_of(plan: Plan) -> str:
    """The command that goes on with the experiment."""
    return f"treadle experiment {shlex.quote(plan.name)}"


def _markdown(
    workspace: WorkspaceFolder, plan: Plan, numbers: dict[str, Any], results: dict[str, Any]
) -> Sequence[str]:
    learned_from = ", ".join(source.removeprefix(str(workspace.root) + "/").rpartition("/")[2] for source in plan.on)
    lines = [
        f"# {plan.question}",
        "",
        f"**{numbers['verdict']['sentence']}**",
        "",
        (
            f"Rule: {numbers['rule']}. {units.counted(plan.seeds, 'seed')}; {plan.budget} for each training; "
            f"learned from {learned_from}."
        ),
        "",
        *table(numbers),
        "",
        f"Loss: {numbers['unit']} on all held-out data, mean ± standard deviation over seeds.",
        "Memory: the largest that the training's process held. Processor: its time on all cores.",
        "",
    ]
    if numbers["pictures"]:
        lines += ["![Loss while training](curves.png)", "", "![Loss against time and memory](costs.png)", ""]
    else:
        lines += ["No pictures: they need matplotlib (`pip install 'treadle[plots]'`, then the command again).", ""]
    if numbers["failed"]:
        lines += ["## Failed", "", *(f"- {key}: {error}" for key, error in numbers["failed"].items()), ""]
    lines += ["## Settings", "", f"All cells: {_code(plan.settings) or 'as the presets say'}.", ""]
    lines += [f"- {cell.label}: {_code(cell.flags) or 'nothing else'}" for cell in plan.cells]
    plans = {str(result["plan"].get("learner")): result["plan"] for result in results.values()}
    learners = "; ".join(
        ", ".join(f"{key} {value}" for key, value in one.items() if isinstance(value, str | int))
        for one in plans.values()
    )
    return [*lines, "", f"{numbers['machine']}. {learners}. {numbers['made']}. To go on: `{numbers['command']}`"]


def _code(flags: Sequence[str]) -> str:
    return ", ".join(f"`{flag}`" for flag in flags)


def table(numbers: dict[str, Any]) -> list[str]:
    """The cells as a Markdown table, the best first."""
    ranked = sorted(numbers["rows"], key=lambda row: (row["mean"] is None, row["mean"] or 0.0))
    right = any(row["accuracy"] is not None for row in ranked)
    unit = "tokens" if "byte" in numbers["unit"] or "token" in numbers["unit"] else "pictures"
    head = [
        "cell",
        numbers["unit"],
        "seeds",
        "parameters",
        "steps",
        unit,
        "wall s",
        "processor s",
        f"{unit}/s",
        "memory",
    ]
    if right:
        head.insert(2, "right")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in ranked:
        cells = [_bold(row, numbers), loss(row), str(row["done"]), *_costs(row)]
        if right:
            cells.insert(2, "-" if row["accuracy"] is None else f"{row['accuracy']:.2%}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _bold(row: dict[str, Any], numbers: dict[str, Any]) -> str:
    return f"**{row['label']}**" if row["label"] in numbers["verdict"]["best"] else str(row["label"])


def loss(row: dict[str, Any]) -> str:
    """A mean and its spread, as people read them."""
    if row["mean"] is None:
        return "-"
    return f"{row['mean']:.4f}" if row["deviation"] is None else f"{row['mean']:.4f} ± {row['deviation']:.4f}"


def _costs(row: dict[str, Any]) -> list[str]:
    if row["mean"] is None:
        return ["-"] * 7
    return [
        units.count(row["parameters"]),
        f"{row['steps']:,.0f}",
        units.count(row["tokens"]),
        f"{row['seconds']:.3g}",
        f"{row['processor_seconds']:.3g}",
        units.count(row["per_second"] or 0.0),
        units.size(row["memory_bytes"]),
    ]


def listed(workspace: WorkspaceFolder) -> list[dict[str, Any]]:
    """One line for each experiment of a workspace."""
    found = []
    for files in ExperimentFiles.all(workspace):
        plan = Plan.from_json(files.plan())
        summary = summary_of(plan, files)
        found.append(
            {
                "name": plan.name,
                "question": plan.question,
                "cells": len(plan.cells),
                "seeds": plan.seeds,
                "budget": plan.budget,
                "done": summary["done"],
                "wanted": summary["wanted"],
                "verdict": summary["verdict"]["sentence"],
            }
        )
    return found


def shown(workspace: WorkspaceFolder, name: str) -> dict[str, Any]:
    """All figures of one experiment, from the results there are."""
    files = ExperimentFiles.find(workspace, name)
    plan = Plan.from_json(files.plan())
    pictures = [str(files.path / picture) for picture in PICTURES if (files.path / picture).is_file()]
    return {
        **summary_of(plan, files),
        "command": command_of(plan),
        "settings": list(plan.settings),
        "folder": str(files.path),
        "report": str(files.report) if files.report.is_file() else None,
        "pictures": pictures,
    }
