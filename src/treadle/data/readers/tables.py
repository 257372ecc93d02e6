"""CSV and TSV: one document for each row where a column holds text, else the whole table as one document."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any

from treadle.data.document import Document, RefusedError
from treadle.data.readers.decoding import text_document
from treadle.data.readers.parsing import Items, reader, sourced, text_of
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

TEXT_FIELDS = ("text", "content", "body", "article", "document")
_MOST_FIELD = 64 << 20
_MOST_METADATA = 200
"""Characters of another column's value that are kept with a document."""


@reader
def read_csv(path: Path, settings: ReadSettings) -> Items:
    """Read a table of values separated by commas or semicolons."""
    yield from _read(path, settings, None)


@reader
def read_tsv(path: Path, settings: ReadSettings) -> Items:
    """Read a table of values separated by tabs."""
    yield from _read(path, settings, "\t")


def text_field(columns: Sequence[str], wanted: str | None) -> str | None:
    """Which column holds the text; raises `RefusedError` if the one that is wanted is not there."""
    if wanted is not None:
        if wanted not in columns:
            shown = ", ".join(columns[:12])
            raise RefusedError("unknown_format", f"It has no column {wanted!r}. There are: {shown}.")
        return wanted
    return next((name for name in columns if name.lower() in TEXT_FIELDS), None)


def other_columns(row: Mapping[str, Any], field: str) -> dict[str, Any]:
    """What a row says beside its text, as far as it is short."""
    kept: dict[str, Any] = {}
    for name, value in row.items():
        if name == field or value in (None, "") or not isinstance(value, str | int | float | bool):
            continue
        kept[str(name)] = value[:_MOST_METADATA] if isinstance(value, str) else value
    return kept


def _read(path: Path, settings: ReadSettings, delimiter: str | None) -> Items:
    csv.field_size_limit(_MOST_FIELD)
    source = source_of(path)
    whole = text_document(lambda: path.open("rb"), source, {"format": "csv" if delimiter is None else "tsv"})
    separator = delimiter or _delimiter("".join(itertools.islice(whole.pieces(), 1))[:8192])
    try:
        rows = csv.reader(_lines(whole), delimiter=separator)
        columns = next(rows, [])
        field = text_field(columns, settings.text_field)
        if field is None:
            yield _described(whole, columns)
            return
        for number, values in enumerate(rows, 2):
            if not values:
                continue
            if len(values) > len(columns):
                said = f"Row {number} has {len(values)} values for {len(columns)} columns."
                yield RefusedError("damaged", said).refusal(sourced(source, number))
                continue
            row = dict(zip(columns, values, strict=False))
            facts = {"format": "row", "text_column": field, "row": other_columns(row, field)}
            yield text_of(row.get(field, ""), sourced(source, number), facts)
    except csv.Error as error:
        raise RefusedError("damaged", f"It is no table that can be read: {error}.") from error


def _described(whole: Document, columns: Sequence[str]) -> Document:
    facts = {**whole.metadata, "columns": list(columns[:64]), "form": "table"}
    return Document(whole.id, whole.source, whole.size, whole.pieces, facts)


def _delimiter(sample: str) -> str:
    first = sample.partition("\n")[0]
    return max(",;\t|", key=first.count) if any(mark in first for mark in ",;\t|") else ","


def _lines(document: Document) -> Iterator[str]:
    rest = ""
    for piece in document.pieces():
        lines = (rest + piece).splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        yield from lines
        if len(rest) > _MOST_FIELD:
            raise RefusedError("too_large", f"It has a line of more than {_MOST_FIELD >> 20} MB. Is it a table?")
    if rest:
        yield rest
