"""Which task is next: impact, effort, dependencies, urgency and alignment, weighed by numbers that are data."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from treadle.base.errors import SettingsError
from treadle.flow.checks.priorities import named_dependencies
from treadle.flow.clock import as_date
from treadle.flow.lookup import Found, Titles
from treadle.flow.vocabulary import DEPENDENCY_FIELDS, PREREQUISITE_FIELDS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from treadle.flow.folder import FlowFolder
    from treadle.flow.tasks import Task

_CRITERIA = ("impact", "effort", "dependencies", "urgency", "alignment")
_EFFORT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>h|hours?|d|days?|w|weeks?|months?)\b", re.IGNORECASE)
_HOURS = {"h": 1.0, "d": 8.0, "w": 40.0, "m": 160.0}
_NO_PRIORITY = "none"


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each criterion counts, and what the words are worth between 0 and 1."""

    criteria: Mapping[str, float]
    priority: Mapping[str, float]
    words: Mapping[str, float]
    horizon: Mapping[str, float]
    due_days: float
    """From this many days before its date on, a task becomes urgent."""


@dataclass(frozen=True, slots=True)
class Score:
    """One task with its score and what it is made of."""

    found: Found
    total: float
    parts: dict[str, float]
    """Each criterion between 0 and 1."""
    waiting_for: list[str]
    """Titles of open tasks that must be done first."""


def read_weights(folder: FlowFolder) -> Weights:
    """The built-in weights, with what `system/scoring.toml` of the folder sets instead."""
    tables = tomllib.loads((files("treadle.flow") / "templates" / "scoring.toml").read_text(encoding="utf-8"))
    own = folder.weights
    if own.is_file():
        try:
            given = tomllib.loads(own.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{own} cannot be read: {error}.") from error
        for name, table in given.items():
            _check(own.name, name, table, tables)
            tables[name].update(table)
    return Weights(
        tables["weights"], tables["priority"], tables["words"], tables["horizon"], float(tables["urgency"]["due_days"])
    )


def _check(file: str, name: str, table: object, tables: Mapping[str, Mapping[str, object]]) -> None:
    if name not in tables or not isinstance(table, dict):
        raise SettingsError(f"{file} has an unknown table `{name}`. Known: {', '.join(tables)}.")
    for key, value in table.items():
        if key not in tables[name]:
            raise SettingsError(f"{file}: `{name}.{key}` is unknown. Known: {', '.join(tables[name])}.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(f"{file}: `{name}.{key}` must be a number, not {value!r}.")


def ranked(tasks: Sequence[Found], weights: Weights, today: dt.date) -> list[Score]:
    """All open tasks without open parts, the best first; those that wait for others come last."""
    needs = _needs(tasks)
    needed_by: dict[int, int] = {}
    for one in tasks:
        if not one.task.closed:
            for needed in needs.get(id(one.task), []):
                needed_by[id(needed.task)] = needed_by.get(id(needed.task), 0) + 1
    scores = []
    for one in tasks:
        task = one.task
        if task.closed or any(not child.closed for child in task.children):
            continue
        parts = _parts(task, weights, today, needed_by.get(id(task), 0))
        total = sum(weights.criteria[name] * parts[name] for name in _CRITERIA)
        waiting = [needed.task.title for needed in needs.get(id(task), []) if not needed.task.closed]
        if task.state == "blocked":
            waiting = waiting or ["what blocks it"]
        scores.append(Score(one, round(total, 3), parts, waiting))
    return sorted(scores, key=lambda score: (bool(score.waiting_for), -score.total, score.found.place))


def _needs(tasks: Sequence[Found]) -> dict[int, list[Found]]:
    """For each task those that must be done before it, as it says itself or as they say."""
    titles = Titles(tasks)
    needs: dict[int, list[Found]] = {}
    for one in tasks:
        for field in one.task.fields:
            if field.key not in DEPENDENCY_FIELDS and field.key not in PREREQUISITE_FIELDS:
                continue
            for name in named_dependencies(field.value):
                other = titles.get(name)
                if other is not None and other.task is not one.task:
                    later, earlier = (one, other) if field.key in DEPENDENCY_FIELDS else (other, one)
                    needs.setdefault(id(later.task), []).append(earlier)
    return needs


def _parts(task: Task, weights: Weights, today: dt.date, needed_by: int) -> dict[str, float]:
    around = [task, *task.ancestors()]
    priority = next((one.priority for one in around if one.priority), None) or _NO_PRIORITY
    due = next((date for one in around if (date := as_date((one.value("due") or "")[:10])) is not None), None)
    urgent = _word(task, "urgency", weights)
    if due is not None:
        urgent = min(1.0, max(0.0, 1 - (due - today).days / weights.due_days))
    horizon = next((one.value("horizon") for one in around if one.value("horizon")), None) or task.section.when
    return {
        "impact": _word(task, "impact", weights, weights.priority[priority]),
        "effort": 1 - _effort(task, weights),
        "dependencies": min(1.0, needed_by / 3),
        "urgency": urgent,
        "alignment": _word(task, "alignment", weights, weights.horizon.get((horizon or "none").lower(), 0.5)),
    }


def _word(task: Task, key: str, weights: Weights, otherwise: float | None = None) -> float:
    """What a field says, by its first word, or by a number out of ten."""
    value = (task.value(key) or "").strip().lower()
    if not value:
        return weights.words["unknown"] if otherwise is None else otherwise
    number = re.match(r"\d+", value)
    if number:
        return min(int(number[0]) / 10, 1.0)
    first = re.match(r"[a-z]+", value)
    return weights.words.get(first[0] if first else "", weights.words["unknown"])


def _effort(task: Task, weights: Weights) -> float:
    """Between 0 (nothing) and 1 (a month and more), from a time or a word."""
    found = _EFFORT.search(task.value("effort") or "")
    if found is None:
        return _word(task, "effort", weights)
    hours = float(found["number"]) * _HOURS[found["unit"][0].lower()]
    return min(1.0, hours / _HOURS["m"])
