"""Checks: steps that look at a whole version before it is numbered, and may refuse it.

A check is written `NAME:ARGUMENT[:ARGUMENT]` and is a function `check(dataset, arguments) -> str | None` that gives one
sentence on what is wrong. Plugins add to them through the entry-point group `treadle.check`.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base import units
from treadle.base.errors import UsageError
from treadle.data.leaks import leak_of
from treadle.data.tokenizers.exchange import read_tokenizer
from treadle.registry.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from treadle.data.document import Document
    from treadle.data.versions import Dataset

    Check = Callable[[Dataset, Sequence[str]], str | None]

CHECKS: Final = Catalogue(
    "check",
    {
        "size": "treadle.data.checks:size",
        "language": "treadle.data.checks:language",
        "leak": "treadle.data.checks:leak",
        "licence": "treadle.data.checks:licence",
        "vocabulary": "treadle.data.checks:vocabulary",
        "schema": "treadle.data.checks:schema",
    },
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_TYPES: Final[dict[str, type]] = {"text": str, "integer": int, "number": float}
_ARGUMENTS: Final = {"size": 1, "language": 2, "leak": 1, "licence": 1, "vocabulary": 2, "schema": 1}


def parse_checks(written: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Take apart `NAME:ARGUMENT:...`; raises `UsageError` for an unknown check or a wrong number of arguments."""
    found = []
    for one in written:
        name, *arguments = one.split(":")
        CHECKS.get(name)
        wanted = _ARGUMENTS.get(name)
        if wanted is not None and len(arguments) != wanted:
            raise UsageError(f"The check {one!r} needs {wanted} argument{'s' if wanted > 1 else ''} after the name.")
        found.append((name, arguments))
    return found


def failed_checks(dataset: Dataset, checks: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """What is wrong with a version, one sentence for each check that it fails."""
    found = [CHECKS.get(name)(dataset, arguments) for name, arguments in checks]
    return [said for said in found if said is not None]


def size(dataset: Dataset, arguments: Sequence[str]) -> str | None:
    """Check that there is enough text: `size:1MB`."""
    match = _SIZE.fullmatch(arguments[0])
    if match is None:
        raise UsageError(f"The check size:{arguments[0]} needs a size such as 500kB or 1MB.")
    least = float(match[1]) * _UNITS[match[2].lower()]
    if dataset.manifest.bytes >= least:
        return None
    return f"It has {units.size(dataset.manifest.bytes)} of text, fewer than {units.size(least)}."


def language(dataset: Dataset, arguments: Sequence[str]) -> str | None:
    """Check the share of a language by bytes, of all text whose language was told: `language:en:0.9`."""
    told: Counter[str] = Counter()
    for entry in dataset.entries():
        if "language" in entry.metadata:
            told[entry.metadata["language"]] += entry.size
    share = told[arguments[0]] / max(sum(told.values()), 1)
    least = _share(arguments[1], "language")
    return None if share >= least else f"{share:.1%} of its text is in {arguments[0]}, less than {least:.1%}."


def leak(dataset: Dataset, arguments: Sequence[str]) -> str | None:
    """Check how much of the held-out text stands in the training text: `leak:0.01`."""
    found = leak_of(dataset).share
    most = _share(arguments[0], "leak")
    return (
        None
        if found <= most
        else f"{found:.2%} of its held-out text stands in the training text, more than {most:.2%}."
    )


def licence(dataset: Dataset, arguments: Sequence[str]) -> str | None:
    """Check that each document came under one of these licences: `licence:CC0-1.0,MIT`."""
    allowed = set(arguments[0].split(","))
    others = Counter(str(entry.metadata.get("licence", "none stated")) for entry in dataset.entries())
    wrong = {name: count for name, count in others.items() if name not in allowed}
    if not wrong:
        return None
    shown = ", ".join(f"{name} ({units.counted(count, 'document')})" for name, count in sorted(wrong.items())[:3])
    return f"Allowed are {', '.join(sorted(allowed))}; there is {shown}. State it with --licence."


def vocabulary(dataset: Dataset, arguments: Sequence[str]) -> str | None:
    """Check how many of the characters a tokenizer knows: `vocabulary:FILE:0.999`."""
    tokenizer = read_tokenizer(Path(arguments[0]))
    unknown: Counter[str] = Counter()
    total = 0
    for text in dataset.texts():
        unknown.update(tokenizer.unknown_characters(text))
        total += len(text)
    share = 1 - sum(unknown.values()) / max(total, 1)
    least = _share(arguments[1], "vocabulary")
    if share >= least:
        return None
    shown = ", ".join(repr(character) for character, _ in unknown.most_common(5))
    return f"The vocabulary knows {share:.3%} of the characters, fewer than {least:.3%}; it lacks {shown}."


def schema(dataset: Dataset, arguments: Sequence[str]) -> str | None:
    """Check tables and rows against a JSON object of column names to text, integer or number: `schema:FILE`."""
    path = Path(arguments[0])
    try:
        wanted: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(wanted.values()) - set(_TYPES)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"The schema {path} cannot be read: {error}.") from error
    if unknown:
        raise UsageError(f"The schema {path} names the unknown type {min(unknown)!r}: {', '.join(_TYPES)}.")
    for document in dataset.documents():
        said = _fits(document, wanted)
        if said is not None:
            return f"{document.source} does not fit the schema: {said}."
    return None


def _fits(document: Document, wanted: dict[str, str]) -> str | None:
    if "row" in document.metadata:
        text = {str(document.metadata.get("text_column")): ""}
        return _row_fits({**text, **document.metadata["row"]}, wanted)
    if document.metadata.get("format") not in {"csv", "tsv"}:
        return None
    lines = document.text.splitlines()
    mark = "\t" if document.metadata["format"] == "tsv" else max(",;", key=lines[0].count)
    for number, row in enumerate(csv.DictReader(lines, delimiter=mark), 2):
        said = _row_fits(row, wanted)
        if said is not None:
            return f"row {number}: {said}"
    return None


def _row_fits(row: dict[str, Any], wanted: dict[str, str]) -> str | None:
    for name, kind in wanted.items():
        if name not in row or row[name] is None:
            return f"column {name!r} is missing"
        try:
            _TYPES[kind](row[name])
        except (TypeError, ValueError):
            return f"{row[name]!r} in column {name!r} is no {kind}"
    return None


def _share(text: str, name: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise UsageError(f"The check {name} needs a share from 0 to 1, not {text!r}.")
    return share
