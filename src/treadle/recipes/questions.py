"""Questions with given answers: which of the choices does a model think likeliest after the context?

A file of JSON lines, one question each: `{"context": "The cat sat on the", "choices": [" mat", " moon"], "answer": 0}`,
with `id` and `group` if wanted. The score of a choice is the log-probability of its tokens after the context, as the
beginning of a document; normalised, it is divided by the bytes of the choice, so that long ones do not lose for being
long (both as in the evaluation harness of Gao et al. 2021, `acc` and `acc_norm`).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.hashing import hash_file
from treadle.base.names import did_you_mean
from treadle.data.tokenizers.tokenizer import UnknownCharactersError
from treadle.generation.engine import Rows
from treadle.recipes.opened_engine import open_sampling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.engine import Engine
    from treadle.store.workspace import WorkspaceFolder

_KEYS: Final = ("context", "choices", "answer", "id", "group")
_MOST_BYTES: Final = 256 << 20
_MOST_CHOICES: Final = 64


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the file."""

    context: str
    choices: tuple[str, ...]
    answer: int
    """Index of the right one."""
    id: str
    group: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model made of one question; `None` in `skipped` where it could read it."""

    question: Question
    plain: bool = False
    normalised: bool = False
    skipped: str | None = None


def read_questions(path: Path) -> list[Question]:
    """Read a file of questions; raises `DataError` naming the line that is wrong."""
    if not path.is_file():
        raise NotFoundError(
            f"There is no file of questions at {path}. The guide says what it holds: docs/guide/sharing.md"
        )
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path} has more than {_MOST_BYTES:,} bytes. Split it into files of that size.")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Convert it first.") from error
    found = [_question(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError(f"{path} holds no questions. Each line is one, as JSON.")
    return found


def _question(path: Path, number: int, line: str) -> Question:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{number}: this is no JSON ({error}). Each line is one question.") from error
    problem = _problem(row)
    if problem:
        raise DataError(f"{path}:{number}: {problem}.")
    return Question(
        row["context"], tuple(row["choices"]), row["answer"], str(row.get("id", number)), str(row.get("group", ""))
    )


def _problem(row: Any) -> str:  # noqa: ANN401 - whatever the line says
    if not isinstance(row, dict):
        return "a question is a table with context, choices and answer"
    odd = next((key for key in row if key not in _KEYS), None)
    if odd is not None:
        return f"unknown key {odd!r}.{did_you_mean(odd, _KEYS)} Known: {', '.join(_KEYS)}"
    if not isinstance(row.get("context"), str):
        return "`context` must be a text"
    choices, answer = row.get("choices"), row.get("answer")
    if not isinstance(choices, list) or not 2 <= len(choices) <= _MOST_CHOICES:
        return f"`choices` must be a list of 2 to {_MOST_CHOICES} texts"
    if not all(isinstance(choice, str) and choice for choice in choices):
        return "each of `choices` must be a text, and not an empty one"
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        return f"`answer` must be the index of the right choice, 0 to {len(choices) - 1}"
    return ""


def answer_all(
    workspace: WorkspaceFolder, name: str, which: str, path: Path, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], list[Answered]]:
    """Put the questions of a file to a model; the figures, and what became of each question."""
    questions = read_questions(path)
    opened = open_sampling(workspace, name, which, overrides)
    try:
        answered = [_answer(opened.engine, opened.tokenizer, question) for question in questions]
        computed = {"engine": opened.engine.name, "precision": opened.engine.precision}
    finally:
        opened.engine.close()
    figures = {
        "model": opened.card.name,
        "step": opened.checkpoint.step,
        "checkpoint": str(opened.checkpoint.path),
        **computed,
        "file": str(path),
        "sha256": hash_file(path),
        **_figures(answered),
        "groups": {
            group: _figures([one for one in answered if one.question.group == group])
            for group in sorted({question.group for question in questions if question.group})
        },
    }
    if not figures["answered"]:
        reasons = ", ".join(f"{reason} ({number:,})" for reason, number in figures["skipped"].items())
        raise UsageError(f"`{opened.card.name}` can read none of the questions of {path}: {reasons}.")
    return figures, answered


def _figures(answered: Sequence[Answered]) -> dict[str, Any]:
    read = [one for one in answered if one.skipped is None]
    count = len(read)
    plain = sum(one.plain for one in read) / count if count else 0.0
    return {
        "questions": len(answered),
        "answered": count,
        "skipped": dict(Counter(one.skipped for one in answered if one.skipped is not None)),
        "accuracy": plain,
        "accuracy_normalised": sum(one.normalised for one in read) / count if count else 0.0,
        "standard_error": math.sqrt(plain * (1 - plain) / (count - 1)) if count > 1 else None,
        "chance": sum(1 / len(one.question.choices) for one in read) / count if count else 0.0,
    }


def _answer(engine: Engine, tokenizer: Tokenizer, question: Question) -> Answered:
    try:
        before, tails = _split(tokenizer, question)
    except UnknownCharactersError:
        return Answered(question, skipped="unknown characters")
    if len(before) + max(map(len, tails)) - 1 > engine.context:
        return Answered(question, skipped="longer than the context")
    scores = _scores(engine, before, tails)
    sizes = np.array([len(choice.encode()) for choice in question.choices])
    right = question.answer
    return Answered(question, int(scores.argmax()) == right, int((scores / sizes).argmax()) == right)


def _split(tokenizer: Tokenizer, question: Question) -> tuple[list[int], list[list[int]]]:
    """Tokens that all choices share, after the boundary, and those that remain of each.

    Context and choice are encoded together, as the model has seen text; where a choice changes the last tokens of the
    context, these are scored with every choice.
    """
    alone = tokenizer.encode(question.context).tolist()
    whole = [tokenizer.encode(question.context + choice).tolist() for choice in question.choices]
    shared = min(_shared(alone, one) for one in whole)
    shared = min(shared, *(len(one) - 1 for one in whole))
    return [tokenizer.boundary, *alone[:shared]], [one[shared:] for one in whole]


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def _scores(engine: Engine, before: Sequence[int], tails: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
    """Log-probability of each tail after `before`, (C,); the engine reads `before` once."""
    last = len(before) - 1
    first = engine.step(Rows.of((token, 0, place, place == last) for place, token in enumerate(before)))  # (1, V)
    scores = []
    for tail in tails:
        logits = first
        if len(tail) > 1:
            rows = Rows.of((token, 0, last + 1 + place, True) for place, token in enumerate(tail[:-1]))
            logits = np.concatenate([first, engine.step(rows)])  # (T, V)
        x = logits.astype(np.float64)
        x -= x.max(axis=1, keepdims=True)
        scores.append(float((x[np.arange(len(tail)), list(tail)] - np.log(np.exp(x).sum(axis=1))).sum()))
    return np.array(scores)


def beside(first: Sequence[Answered], second: Sequence[Answered]) -> dict[str, Any]:
    """Two models on the questions that both could read: who was right where, and whether chance would do as much.

    `chance` is the two-sided exact sign test over the questions that only one got right (McNemar 1947).
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.skipped is None and b.skipped is None]
    counts = Counter((a.plain, b.plain) for a, b in pairs)
    one, other = counts[True, False], counts[False, True]
    return {
        "questions": len(pairs),
        "both": counts[True, True],
        "only_first": one,
        "only_second": other,
        "neither": counts[False, False],
        "chance": _sign_test(one, other),
    }


def _sign_test(one: int, other: int) -> float:
    total, least = one + other, min(one, other)
    if one == other:
        return 1.0
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(least + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))
