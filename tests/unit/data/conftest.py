from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects")


@pytest.fixture
def versions(tmp_path: Path, objects: ObjectStore) -> DatasetVersions:
    return DatasetVersions(tmp_path / "datasets" / "plays", objects)
