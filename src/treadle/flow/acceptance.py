"""When a task is done, as it says itself: `**Done when**: bits_per_byte < 2.3 and step >= 500`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONDITION = re.compile(
    r"^`?(?P<name>[A-Za-z_][\w./-]*)`?\s*(?P<sign><=|>=|==|=|<|>|≤|≥)\s*(?P<limit>[-+]?\d[\d_,]*(?:\.\d+)?(?:e-?\d+)?)`?$"
)
_AND = re.compile(r"\s+and\s+|\s*[;&]\s*|,\s+")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    "≤": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "≥": lambda value, limit: value >= limit,
    "=": lambda value, limit: math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12),
    "==": lambda value, limit: math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run gives what a task asks for."""

    met: bool
    reasons: list[str]
    """What is missing, one phrase for each condition that does not hold."""


def judge(condition: str | None, figures: Mapping[str, float]) -> Verdict:
    """Compare the figures of a run with the condition of a task; no condition is always met.

    A condition that cannot be read, or that names a figure which the run does not have, is not met.
    """
    if condition is None or not condition.strip():
        return Verdict(met=True, reasons=[])
    reasons = []
    for part in _AND.split(condition.split("<#")[0].strip().rstrip(".")):
        found = _CONDITION.match(part.strip())
        if found is None:
            reasons.append(f"`{part.strip()}` is no condition that a run can check")
            continue
        name, sign, limit = found["name"], found["sign"], float(found["limit"].replace(",", "").replace("_", ""))
        if name not in figures:
            reasons.append(f"the run gives no {name}")
        elif not _COMPARE[sign](figures[name], limit):
            reasons.append(f"{name} is {shown(figures[name])}, not {sign} {found['limit']}")
    return Verdict(not reasons, reasons)


def figures_of(result: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of a run's answer by name; an inner one by its own name too, if no outer one has it."""
    found: dict[str, float] = {}
    inner: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, dict):
            for key, number in figures_of(value).items():
                found[f"{name}.{key}"] = number
                inner.setdefault(key, number)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = float(value)
    return {**inner, **found}


def shown(value: float) -> str:
    """A figure as notes give it."""
    return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
