"""A dataset version as files for others: JSON Lines, Parquet, or a folder as Hugging Face's hub has them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, UsageError
from treadle.base.files import new_folder
from treadle.data.config import DataSettings
from treadle.data.splits import sides
from treadle.recipes.datasets import find_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.data.versions import Dataset
    from treadle.store.workspace import WorkspaceFolder

_BATCH_ROWS = 1000
_BATCH_BYTES = 32 << 20
_SIDES = {False: "train", True: "validation"}


def export(workspace: WorkspaceFolder, name: str, out: Path, form: str, held_out: float) -> dict[str, Any]:
    """Write a version into the new folder `out`; all of it is there at the end, or nothing."""
    named, dataset = find_version(workspace, name)
    target = out.expanduser().absolute()
    if target.exists():
        raise UsageError(f"{out} exists already. Name a new folder, or remove it first.")
    if not 0 <= held_out <= 0.9:
        raise UsageError(f"held-out is {held_out}; it must be 0 to 0.9.")
    settings = DataSettings(held_out=held_out)
    with new_folder(target) as folder:
        place = folder / "data" if form == "huggingface" else folder
        place.mkdir(exist_ok=True)
        counts = _write_parquet(dataset, settings, place) if form != "jsonl" else _write_lines(dataset, settings, place)
        if form == "huggingface":
            (folder / "README.md").write_text(_card(named.name, dataset, counts), encoding="utf-8")
        about = {"dataset": named.name, "version": dataset.number, "id": dataset.id, "held_out": held_out, **counts}
        (folder / "treadle.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    files = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    return {
        "name": named.name,
        "version": dataset.number,
        "id": dataset.id,
        "format": form,
        "folder": str(target),
        "documents": counts,
        "files": files,
    }


def _rows(dataset: Dataset, settings: DataSettings) -> Iterator[tuple[bool, dict[str, Any]]]:
    """The text of each document on each side of the split; a long document has a row on both."""
    for document in dataset.documents():
        texts: dict[bool, list[str]] = {}
        for piece, held_out in sides(document, settings):
            texts.setdefault(held_out, []).append(piece)
        for held_out, pieces in sorted(texts.items()):
            text = "".join(pieces)
            yield held_out, {"id": document.id, "text": text, "source": document.source, **_facts(document.metadata)}


def _facts(metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - plain JSON
    plain = {key: metadata.get(key) for key in ("language", "form", "licence")}
    return {**plain, "metadata": json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)}


def _write_lines(dataset: Dataset, settings: DataSettings, folder: Path) -> dict[str, int]:
    counts = dict.fromkeys(_SIDES.values(), 0)
    with contextlib.ExitStack() as stack:
        files = {
            held_out: stack.enter_context((folder / f"{side}.jsonl").open("w", encoding="utf-8"))
            for held_out, side in _SIDES.items()
        }
        for held_out, row in _rows(dataset, settings):
            row["metadata"] = json.loads(row["metadata"])
            files[held_out].write(json.dumps(row, ensure_ascii=False) + "\n")
            counts[_SIDES[held_out]] += 1
    for side, count in counts.items():
        if not count:
            (folder / f"{side}.jsonl").unlink()
    return counts


def _write_parquet(dataset: Dataset, settings: DataSettings, folder: Path) -> dict[str, int]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Writing Parquet needs an extra: pip install 'treadle[tables]'.") from error
    columns = ("id", "text", "source", "language", "form", "licence", "metadata")
    schema = pa.schema([(name, pa.large_string()) for name in columns])
    counts = dict.fromkeys(_SIDES.values(), 0)
    writers: dict[bool, Any] = {}
    waiting: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    sizes = {False: 0, True: 0}

    def flush(side: bool) -> None:
        if not waiting[side]:
            return
        if side not in writers:
            writers[side] = parquet.ParquetWriter(folder / f"{_SIDES[side]}-00000-of-00001.parquet", schema)
        writers[side].write_table(pa.Table.from_pylist(waiting[side], schema))
        waiting[side], sizes[side] = [], 0

    for held_out, row in _rows(dataset, settings):
        waiting[held_out].append(row)
        sizes[held_out] += len(row["text"])
        counts[_SIDES[held_out]] += 1
        if len(waiting[held_out]) >= _BATCH_ROWS or sizes[held_out] >= _BATCH_BYTES:
            flush(held_out)
    for side in _SIDES:
        flush(side)
        if side in writers:
            writers[side].close()
    return counts


def _card(name: str, dataset: Dataset, counts: dict[str, int]) -> str:
    """The page of the dataset as the hub shows it: which file is which split, and where it came from."""
    licences = sorted({str(entry.metadata.get("licence")) for entry in dataset.entries()})
    stated = ", ".join(one for one in licences if one != "None") or "none stated"
    files = "".join(
        f"      - split: {side}\n        path: data/{side}-*.parquet\n" for side, count in counts.items() if count
    )
    return (
        f"---\npretty_name: {name}\nconfigs:\n  - config_name: default\n    data_files:\n{files}---\n\n# {name}\n\n"
        f"Version {dataset.number} of a dataset made with Treadle: {dataset.manifest.documents:,} documents, "
        f"{dataset.manifest.bytes:,} bytes of text.\n\n- id `{dataset.id}`\n- licences of the sources: {stated}\n"
        f"- splits: {', '.join(f'{side} {count:,}' for side, count in counts.items())}\n\n"
        "Each row has `id` (SHA-256 of the document's text), `text`, `source`, `language`, `form`, `licence` and\n"
        "`metadata` (JSON). A long document has its last part in `validation` and the rest in `train`.\n"
    )
