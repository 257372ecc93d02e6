"""What the results of an experiment say: means and spread over seeds, and a verdict by one stated rule.

The rule. The standard deviation is pooled over all cells; the standard error of the difference of two means follows
from it and from the number of seeds of both. The best cell *is best* if it beats the next one by more than twice that
error, or, with few trainings, more than Student's t at 95 % for their degrees of freedom. Otherwise there is no
difference between the best cells that these seeds could show. One seed ranks nothing.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.units import loss_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RULE = (
    "the best mean must beat the next by more than twice the standard error of the difference, pooled over all cells "
    "(with few trainings by Student's t at 95 %)"
)
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10)
"""Two-sided 95 % quantiles of Student's t for 1 degree of freedom, 2, 3 and so on; beyond, twice the error will do."""
_MEANS = ("steps", "tokens", "seconds", "processor_seconds", "per_second", "memory_bytes", "accuracy", "bits_per_byte")


@dataclass(frozen=True, slots=True)
class Measure:
    """What cells are compared by; lower is better."""

    key: str
    unit: str


def measure_of(results: Sequence[Mapping[str, Any]]) -> Measure:
    """Bits per byte where tokenizers differ, since a token is then another thing for each; else nats."""
    tokenizers = {result.get("tokenizer") for result in results}
    if len(tokenizers) > 1 and all(result.get("bits_per_byte") is not None for result in results):
        return Measure("bits_per_byte", "bits/byte")
    unit = next((result["unit"] for result in results), "tokens")
    return Measure("held_out", loss_of(unit))


def summarise(plan: Mapping[str, Any], keys: Mapping[str, Sequence[str]], results: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the cells in the order of the grid, what they are compared by, and the verdict.

    `keys` are the members of each cell by its label; `results` are what is known of members, by key.
    """
    good = {key: result for key, result in results.items() if result.get("held_out") is not None}
    measure = measure_of([good[key] for members in keys.values() for key in members if key in good])
    rows = [
        _row(label, [good[key] for key in members if key in good], len(members), measure)
        for label, members in keys.items()
    ]
    failed = {key: results[key]["error"] for members in keys.values() for key in members if _failed(results.get(key))}
    done = sum(row["done"] for row in rows)
    wanted = sum(row["wanted"] for row in rows)
    return {
        "name": plan["name"],
        "question": plan["question"],
        "budget": plan["budget"],
        "seeds": plan["seeds"],
        "measure": measure.key,
        "unit": measure.unit,
        "rows": rows,
        "done": done,
        "wanted": wanted,
        "failed": failed,
        "verdict": verdict(rows, measure.unit) if done == wanted else _unfinished(rows, done, wanted, measure.unit),
        "rule": RULE,
    }


def _failed(result: Mapping[str, Any] | None) -> bool:
    return result is not None and result.get("error") is not None


def _row(label: str, results: Sequence[Mapping[str, Any]], wanted: int, measure: Measure) -> dict[str, Any]:
    losses = [float(result[measure.key]) for result in results]
    row: dict[str, Any] = {
        "label": label,
        "done": len(losses),
        "wanted": wanted,
        "losses": losses,
        "mean": statistics.fmean(losses) if losses else None,
        "deviation": statistics.stdev(losses) if len(losses) > 1 else None,
        "parameters": results[0]["parameters"] if results else None,
    }
    for key in _MEANS:
        known = [float(result[key]) for result in results if result.get(key) is not None]
        row[key] = statistics.fmean(known) if known else None
    return row


@dataclass(frozen=True, slots=True)
class Spread:
    """How much seeds differ, over all cells."""

    deviation: float
    """The pooled standard deviation."""
    times: float
    """How many standard errors of a difference count as one."""

    def error(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        """Standard error of the difference between the means of two cells."""
        return float(self.deviation * math.sqrt(1 / one["done"] + 1 / other["done"]))


def spread_of(rows: Sequence[Mapping[str, Any]]) -> Spread | None:
    """The spread over seeds, pooled over all cells; None where every cell has one seed."""
    several = [row for row in rows if row["done"] > 1]
    freedom = sum(row["done"] - 1 for row in several)
    if freedom == 0:
        return None
    deviation = math.sqrt(sum((row["done"] - 1) * row["deviation"] ** 2 for row in several) / freedom)
    return Spread(deviation, _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 2.0)


def verdict(rows: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    """One sentence, and what it rests on: `kind` is best, no_difference or undecided."""
    ranked = sorted((row for row in rows if row["done"]), key=lambda row: float(row["mean"]))
    spread = spread_of(ranked)
    if len(ranked) < 2:
        return {"kind": "undecided", "sentence": "Undecided: there is nothing to compare.", "best": [], "error": None}
    best, after = ranked[0], ranked[1]
    if spread is None:
        sentence = f"Undecided: one seed ranks nothing. {best['label']} came out lowest, at {best['mean']:.4f} {unit}."
        return {"kind": "undecided", "sentence": sentence, "best": [best["label"]], "error": None}
    alike = [row for row in ranked if row["mean"] - best["mean"] <= spread.times * spread.error(best, row)]
    error, gap = spread.error(best, after), after["mean"] - best["mean"]
    labels = [row["label"] for row in alike]
    if len(alike) == 1:
        sentence = (
            f"{best['label']} is best: {best['mean']:.4f} {unit}, {gap:.4f} below the next ({after['label']}), "
            f"{_ratio(gap, error)}."
        )
        return {"kind": "best", "sentence": sentence, "best": labels, "error": error}
    worse = [row["label"] for row in ranked if row not in alike]
    among = f" Not to be told from the best either: {', '.join(labels[2:])}." if len(labels) > 2 else ""
    behind = f" Worse: {', '.join(worse)}." if worse else ""
    sentence = (
        f"No difference between {best['label']} ({best['mean']:.4f} {unit}) and {after['label']} "
        f"({after['mean']:.4f}): {gap:.4f} apart, {_ratio(gap, error)}.{among}{behind}"
    )
    return {"kind": "no_difference", "sentence": sentence, "best": labels, "error": error}


def _ratio(gap: float, error: float) -> str:
    if error == 0.0:
        return "and the seeds do not differ at all"
    return f"{gap / error:.1f} standard errors of the difference ({error:.4f})"


def _unfinished(rows: Sequence[Mapping[str, Any]], done: int, wanted: int, unit: str) -> dict[str, Any]:
    ranked = sorted((row for row in rows if row["done"]), key=lambda row: float(row["mean"]))
    so_far = f" Lowest so far: {ranked[0]['label']}, {ranked[0]['mean']:.4f} {unit}." if ranked else ""
    sentence = f"Undecided: {done} of {wanted} trainings are done.{so_far}"
    return {"kind": "undecided", "sentence": sentence, "best": [], "error": None}
