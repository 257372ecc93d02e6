"""What a classifier's held-out answers say: accuracy, how each class fares, which is taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.training.evaluation import Evaluation

_ANSWERED = "answered "


def class_answers(found: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """The fields of an evaluation that only a classifier has; `confusion` has a row per truth, a column per guess."""
    table = _table(found.extra, len(classes))
    return {
        "accuracy": found.accuracy,
        "correct": int(found.extra["correct"]),
        "classes": list(classes),
        "confusion": table,
        "per_class": [
            {
                "class": name,
                "pictures": sum(row),
                "correct": row[index],
                "accuracy": row[index] / sum(row) if sum(row) else None,
                "taken_for_it": sum(line[index] for line in table) - row[index],
            }
            for index, (name, row) in enumerate(zip(classes, table, strict=True))
        ],
    }


def _table(sums: Mapping[str, float], classes: int) -> list[list[int]]:
    table = [[0] * classes for _ in range(classes)]
    for key, count in sums.items():
        if key.startswith(_ANSWERED):
            truth, _, guess = key.removeprefix(_ANSWERED).partition("/")
            table[int(truth)][int(guess)] = int(count)
    return table
