"""Parquet: one document for each row where a column holds text, else the rows as one table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from treadle.data.document import RefusedError
from treadle.data.readers.parsing import Items, reader, sourced, text_of
from treadle.data.readers.sources import source_of
from treadle.data.readers.tables import other_columns, text_field

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

_ROWS = 1024
_MOST_TABLE = 256 << 20


@reader
def read(path: Path, settings: ReadSettings) -> Items:
    """Read one Parquet file, some rows at a time."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise RefusedError("missing_extra", "Install what reads it: pip install 'treadle[tables]'.") from error
    source = source_of(path)
    try:
        file = parquet.ParquetFile(path)
        columns = list(file.schema_arrow.names)
        field = text_field(columns, settings.text_field)
        if field is None:
            yield text_of(
                _table(file, columns), source, {"format": "parquet", "columns": columns[:64], "form": "table"}
            )
            return
        number = 0
        for batch in file.iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                number += 1
                facts = {"format": "row", "text_column": field, "row": other_columns(row, field)}
                yield text_of(str(row.get(field) or ""), sourced(source, number), facts)
    except (pa.ArrowException, OSError) as error:
        raise RefusedError("damaged", f"It is no whole Parquet file: {str(error).partition(chr(10))[0]}.") from error


def _table(file: Any, columns: list[str]) -> str:  # noqa: ANN401 - a library without types
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for batch in file.iter_batches(batch_size=_ROWS):
        writer.writerows(list(row.values()) for row in batch.to_pylist())
        if out.tell() > _MOST_TABLE:
            raise RefusedError("too_large", "The table is too large for one document. Name its column of text.")
    return out.getvalue()
