"""Settling a version: near-duplicates among all its documents are found, recorded, and put aside if that is asked for.

The keys of each document are stored with its shard; clusters are found anew over all documents, so that they depend
on what the version holds and not on the order in which it came. Of a cluster the document with the smallest id stays.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.hashing import canonical_json
from treadle.data.document import Document, Refusal
from treadle.data.near_duplicates import BANDS, band_keys, clusters, runs_of
from treadle.data.shards import Entry, TextShard, read_aside, read_entries, read_pieces, write_index
from treadle.data.steps.cleaning import BANDS_KEY
from treadle.data.steps.lines import whole_lines
from treadle.data.steps.quality import Measure
from treadle.data.versions import Settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from treadle.store.objects import ObjectStore


@dataclass(slots=True)
class KeyTaker:
    """Takes the keys off documents on their way into a version."""

    keys: dict[bytes, bytes] = field(default_factory=dict)
    """By the first half of the document's id."""

    def __call__(self, items: Iterable[Document | Refusal]) -> Iterator[Document | Refusal]:
        """Pass items on; what is not a document passes untouched."""
        for item in items:
            if isinstance(item, Document) and BANDS_KEY in item.metadata:
                facts = dict(item.metadata)
                self.keys[_short(item.id)] = base64.b64decode(facts.pop(BANDS_KEY))
                yield Document(item.id, item.source, item.size, item.pieces, facts)
            else:
                yield item


@dataclass(frozen=True, slots=True)
class Settler:
    """What `DatasetVersions.add` calls to settle a version's shards."""

    objects: ObjectStore
    taker: KeyTaker
    similarity: float
    drop: bool

    def __call__(self, shards: tuple[TextShard, ...], refusals: list[Refusal]) -> Settled:
        """Find the clusters; mark their members, and put all but the first of each aside if `drop`."""
        shards = tuple(shard if shard.bands else self._with_keys(shard) for shard in shards)
        rows = _Rows(self.objects, shards)
        found = clusters(rows.keys(), rows.ids, rows.text, self.similarity)
        standing = {
            rows.ids[place]: _Standing(rows.ids[cluster.members[0]], cluster.similarity)
            for cluster in found
            for place in cluster.members
        }
        sources = rows.sources({one.first for one in standing.values()}) if self.drop else {}
        settled = tuple(self._settled(shard, standing, sources, refusals) for shard in shards)
        listed = [
            {"documents": [rows.ids[place] for place in cluster.members], "similarity": cluster.similarity}
            for cluster in found
        ]
        return Settled(settled, self.objects.put(canonical_json(listed)) if listed else None)

    def _with_keys(self, shard: TextShard) -> TextShard:
        """The shard with the keys of its documents; those that came without are worked out from their text."""
        path = self.objects.path(shard.text)
        keys = [
            self.taker.keys.get(_short(entry.id)) or _keys_of(read_pieces(path, entry))
            for entry in _written(self.objects, shard)
        ]
        return shard.model_copy(update={"bands": self.objects.put(b"".join(keys))})

    def _settled(
        self, shard: TextShard, standing: dict[str, _Standing], sources: dict[str, str], refusals: list[Refusal]
    ) -> TextShard:
        """The shard with its members of clusters marked, and with those put aside that others stand for."""
        was_aside = {entry.id for entry in read_aside(self.objects, shard)}
        kept: list[Entry] = []
        aside: list[Entry] = []
        for entry in _written(self.objects, shard):
            one = standing.get(entry.id)
            marked = _marked(entry, None if one is None else one.first)
            if one is None or not self.drop or one.first == entry.id:
                kept.append(marked)
                continue
            aside.append(marked)
            if entry.id not in was_aside:
                said = f"It is nearly the same as {sources[one.first]} (similarity {one.similarity:.0%} or more)."
                refusals.append(Refusal(entry.source, "near_duplicate", said))
        return shard.model_copy(
            update={
                "index": write_index(self.objects, kept),
                "aside": write_index(self.objects, aside) if aside else None,
                "documents": len(kept),
                "bytes": sum(entry.size for entry in kept),
            }
        )


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a member of a cluster has in common with the others."""

    first: str
    """The one with the smallest id, which stays."""
    similarity: float


class _Rows:
    """All documents of all shards, also those put aside, by number."""

    def __init__(self, objects: ObjectStore, shards: Sequence[TextShard]) -> None:
        self._objects = objects
        self._shards = shards
        self.ids: list[str] = []
        places: list[tuple[int, int, int]] = []
        for number, shard in enumerate(shards):
            for entry in _written(objects, shard):
                self.ids.append(entry.id)
                places.append((number, entry.offset, entry.size))
        self._places = np.array(places, np.int64).reshape(len(places), 3)

    def keys(self) -> NDArray[np.uint64]:
        """The keys of all documents, (N, BANDS)."""
        parts = [np.frombuffer(self._objects.read(shard.bands), "<u8") for shard in self._shards if shard.bands]
        return np.concatenate(parts).reshape(-1, BANDS) if parts else np.empty((0, BANDS), np.uint64)

    def text(self, place: int) -> Iterator[str]:
        shard, offset, size = self._places[place].tolist()
        return read_pieces(self._objects.path(self._shards[shard].text), Entry("", offset, size, "", {}))

    def sources(self, wanted: set[str]) -> dict[str, str]:
        """Where these documents came from."""
        return {
            entry.id: entry.source
            for shard in self._shards
            for entry in _written(self._objects, shard)
            if entry.id in wanted
        }


def _written(objects: ObjectStore, shard: TextShard) -> list[Entry]:
    """All documents of a shard in the order in which they were written."""
    return sorted((*read_entries(objects, shard), *read_aside(objects, shard)), key=lambda entry: entry.offset)


def _marked(entry: Entry, cluster: str | None) -> Entry:
    facts: dict[str, Any] = {key: value for key, value in entry.metadata.items() if key != "cluster"}
    if cluster is not None:
        facts["cluster"] = cluster
    return Entry(entry.id, entry.offset, entry.size, entry.source, facts)


def _keys_of(pieces: Iterable[str]) -> bytes:
    measure = Measure()
    for piece in whole_lines(pieces):
        measure.add(piece)
    return band_keys(runs_of(measure.numbers())).astype("<u8").tobytes()


def _short(document_id: str) -> bytes:
    return bytes.fromhex(document_id[:32])
