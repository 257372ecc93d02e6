"""How answers about transfer runs read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]


def _run(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    items = report["items"]
    done = [item for item in items if item["state"] == "done"]
    videos = units.counted(len(done), "video")
    if report["outcome"] == "stopped":
        how = "it goes on there" if report["detached"] else "what was finished is kept"
        return [f"Stopped: {videos} of {len(items)} from {report['host']}; {how}."]
    lines = [f"{videos} from {report['host']} with {report['backend']}, in {_span(report['seconds_on_host'])} there."]
    for item in items:
        if item["state"] == "done":
            lines.append(fact(item["name"], near(f"{report['folder']}/{item['video']}", arguments)))
        else:
            lines += wrapped(f"{item['name']}: {item['state']}. {item['reason']}", 2)
    if report["cost"] is not None:
        cost = f"{report['cost']:.2f}" if report["cost"] >= 0.01 else "less than 0.01"
        lines.append(fact("cost", f"{cost}, by the price of an hour on the host's card"))
    if report["saved_seconds"]:
        spared = f"{_span(report['saved_seconds'])}: the model was loaded already, which had taken that long"
        lines.append(fact("saved", spared))
    if len(report["launches"]) > 1:
        lines.append(fact("launches", str(len(report["launches"]))))
    if done:
        lines.append(f"Next: treadle gallery show {report['run']}")
    return lines


def _span(seconds: float) -> str:
    return units.duration(seconds)


def _adjust(report: Report, _: Mapping[str, Any]) -> list[str]:
    changes = ", ".join(f"{name}={value}" for name, value in report["changes"].items())
    return [f"Job {report['job']} goes on with {changes}, from its next clip or launch on."]


TRANSFER_RUN_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "transfer.run": _run,
    "transfer.upscale": _run,
    "transfer.adjust": _adjust,
}
