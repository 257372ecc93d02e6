"""Long lists of shards lie beside the versions, each under its hash, so that manifests stay small after many feeds.

A version holds all shards of its parent. If each manifest named them all, a thousand feeds would write half a million
names. So shards are cut into lists of 32, of 32 times 32 and so on, always from the first one on: a list that is full
is written once, and the versions behind it name it by its hash. A manifest holds fewer than 32 names of each kind.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from treadle.base.errors import DataError
from treadle.base.files import write_bytes
from treadle.base.hashing import canonical_json, hash_bytes
from treadle.data.shards import TextShard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

FOLDER: Final = "shards"
FAN: Final = 32
"""From so many shards on there are lists."""


def store_lists(dataset: Path, shards: Sequence[TextShard]) -> tuple[tuple[str, ...], tuple[TextShard, ...]]:
    """Keep the lists of `shards` in the folder of their dataset; gives their hashes, and the shards that stand in none.

    The caller holds the lock of the dataset.
    """
    hashes: list[str] = []
    start = 0
    for size in _sizes(len(shards)):
        data = canonical_json([shard.model_dump(mode="json") for shard in shards[start : start + size]])
        start += size
        name = hash_bytes(data)
        path = dataset / FOLDER / f"{name}.json"
        if not path.is_file() or hash_bytes(path.read_bytes()) != name:
            write_bytes(path, data)
        hashes.append(name)
    return tuple(hashes), tuple(shards[start:])


def read_lists(dataset: Path, hashes: Sequence[str]) -> tuple[TextShard, ...]:
    """The shards of all these lists; raises `DataError` if one is missing or damaged."""
    return tuple(shard for name in hashes for shard in _read(dataset / FOLDER / f"{name}.json"))


def unused_lists(dataset: Path, without: Collection[Path]) -> list[Path]:
    """Lists that no version of a dataset names, those in `without` left out; the caller holds its lock."""
    used: set[str] = set()
    for path in (dataset / "versions").glob("[0-9]*.json"):
        if path not in without:
            try:
                used.update(json.loads(path.read_bytes()).get("lists", ()))
            except (ValueError, AttributeError) as error:
                said = f"{path} is damaged, so what it refers to is not known; nothing was removed."
                raise DataError(said) from error
    return [path for path in sorted((dataset / FOLDER).glob("*.json")) if path.stem not in used]


def _sizes(count: int) -> Iterator[int]:
    """How many shards each list holds, the longest lists first."""
    size = FAN
    while size * FAN <= count:
        size *= FAN
    while size >= FAN:
        for _ in range(count // size):
            yield size
        count %= size
        size //= FAN


@lru_cache(maxsize=256)
def _read(path: Path) -> tuple[TextShard, ...]:
    """A list; one that has been read never changes."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing. Restore it from a copy.") from error
    if hash_bytes(data) != path.stem:
        raise DataError(f"{path} is damaged: its bytes do not have its hash. Restore it from a copy.")
    return tuple(TextShard.model_validate(shard) for shard in json.loads(data))
