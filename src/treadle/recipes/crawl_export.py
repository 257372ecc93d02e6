"""Kept pages as one file: a line of JSON for each, or WARC 1.1, which archives and other tools read."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, UsageError
from treadle.base.files import disk_errors
from treadle.data.crawl.frontier import FILE, Frontier
from treadle.store.crawls import CrawlCards
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.store.crawls import CrawlCard
    from treadle.store.workspace import WorkspaceFolder


def export(workspace: WorkspaceFolder, card: CrawlCard, path: Path) -> dict[str, Any]:
    """Write all kept pages to `path`, which appears whole or not at all."""
    target = path.expanduser().absolute()
    record = _writer_of(target.name)
    folder = CrawlCards(workspace).folder(card)
    if not (folder / FILE).is_file():
        raise NotReadyError(f"`{card.name}` has kept nothing yet. Crawl: treadle crawl resume {card.name}")
    objects = ObjectStore(workspace.objects)
    pages = 0
    with disk_errors(target), Frontier(folder, read_only=True) as frontier:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                for row in frontier.export():
                    record(file, row, objects.read(row["body"]))
                    pages += 1
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return {"path": str(target), "pages": pages, "bytes": target.stat().st_size}


def _writer_of(name: str) -> Callable[[IO[bytes], dict[str, Any], bytes], None]:
    if name.endswith(".jsonl"):
        return _json_line
    if name.endswith(".warc.gz"):
        return lambda file, row, body: _packed(file, _warc(row, body))
    if name.endswith(".warc"):
        return lambda file, row, body: _plain(file, _warc(row, body))
    raise UsageError(f"{name} must end in .jsonl, .warc or .warc.gz: that says what is written.")


def _json_line(file: IO[bytes], row: dict[str, Any], body: bytes) -> None:
    try:
        content = {"content": body.decode()}
    except UnicodeDecodeError:
        content = {"content_base64": base64.b64encode(body).decode("ascii")}
    file.write((json.dumps({**row, **content}, ensure_ascii=False) + "\n").encode())


def _packed(file: IO[bytes], record: bytes) -> None:
    file.write(gzip.compress(record, 6, mtime=0))


def _plain(file: IO[bytes], record: bytes) -> None:
    file.write(record)


def _warc(row: dict[str, Any], body: bytes) -> bytes:
    """One `resource` record: the bytes as they came, unpacked."""
    fetched = dt.datetime.fromtimestamp(row["fetched"], dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{row['url']} {row['body']}")
    head = (
        "WARC/1.1\r\nWARC-Type: resource\r\n"
        f"WARC-Record-ID: <urn:uuid:{identity}>\r\nWARC-Date: {fetched}\r\nWARC-Target-URI: {row['url']}\r\n"
        f"Content-Type: {row['type'] or 'application/octet-stream'}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"
