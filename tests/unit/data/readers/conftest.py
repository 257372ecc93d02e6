"""Reads a file as a reading process does, in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from treadle.data.document import Document
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.one_file import read_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def texts_of(tmp_path: Path) -> Callable[..., list[str]]:
    """Writes a file and gives the texts of its documents; refusals as `!reason: detail`."""

    def read(name: str, content: bytes | str, **settings: str) -> list[str]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [
            item.text if isinstance(item, Document) else f"!{item.reason}: {item.detail}"
            for item in read_file(path, ReadSettings.model_validate(settings))
        ]

    return read


@pytest.fixture
def facts_of(tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Writes a file and gives the metadata of its only document."""

    def read(name: str, content: bytes | str, **settings: str) -> dict[str, object]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (item,) = read_file(path, ReadSettings.model_validate(settings))
        assert isinstance(item, Document), item
        return dict(item.metadata)

    return read
