"""The versions of one named dataset: numbered, immutable, each a manifest over content-addressed text shards.

`datasets/NAME/versions/000001.json` names its shards (after many feeds lists of them: `shard_lists.py`), its parent and
what its feed accepted and refused. A version holds all documents of its parent. Its id is the SHA-256 of the canonical
JSON of the sorted document ids and of how they were prepared: parent, time and order stand outside it, so equal content
has equal ids wherever it was fed.

Memory: one piece of one document, and about half a kilobyte for each document of the dataset while a feed is added.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import ValidationError

from treadle.base.errors import DataError, NotFoundError
from treadle.base.files import locked, read_json, remove_leftovers, write_json
from treadle.base.hashing import canonical_json, hash_json
from treadle.config.spec import Spec
from treadle.data.document import Document, Refusal
from treadle.data.shard_lists import FAN, FOLDER, read_lists, store_lists
from treadle.data.shards import Entry, TextShard, read_aside, read_document, read_entries, write_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from treadle.store.objects import ObjectStore

PREPARATION = {"line_ends": "\n", "unicode": "as given"}
"""What was done to every text; part of the id, because other preparation makes another dataset of the same files."""


class Manifest(Spec):
    """What `versions/NNNNNN.json` holds; in memory all shards stand in it."""

    format: Literal[1, 2] = 1
    """2 where the first shards stand in lists."""
    version: int
    id: str
    parent: int | None
    created: str
    """UTC, ISO 8601."""
    preparation: dict[str, str]
    documents: int
    """All documents of this version."""
    bytes: int
    """UTF-8 bytes of all documents."""
    accepted: int
    """Documents that this version adds to its parent."""
    refused: dict[str, int]
    """Inputs that this version's feed refused, by reason."""
    refusals: str | None
    """Object that lists them."""
    shards: tuple[TextShard, ...]
    clusters: str | None = None
    """Object that lists the near-duplicates that were found, for datasets that look for them."""
    lists: tuple[str, ...] = ()
    """Lists of shards that come before `shards`, by their hashes; in memory none."""


class Settle(Protocol):
    """What is done with the shards of a new version before it is numbered, such as putting near-duplicates aside."""

    def __call__(self, shards: tuple[TextShard, ...], refusals: list[Refusal]) -> Settled:
        """Settle all shards of the version; may add to `refusals`."""
        ...


@dataclass(frozen=True, slots=True)
class Settled:
    """The shards as the version names them, and what was found on the way."""

    shards: tuple[TextShard, ...]
    clusters: str | None


@dataclass(frozen=True, slots=True)
class DocumentLedger:
    """Every input that was ever fed is in here exactly once."""

    accepted: int
    refused: dict[str, int]
    """Number by reason."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One version of prepared documents; it never changes."""

    manifest: Manifest
    objects: ObjectStore
    folder: Path
    """The named dataset's folder, which also keeps what is derived from it."""

    @property
    def id(self) -> str:
        """Hash of the content and its preparation."""
        return self.manifest.id

    @property
    def number(self) -> int:
        """The version's number, from 1."""
        return self.manifest.version

    def entries(self) -> Iterator[Entry]:
        """Id, source, size and metadata of each document, in the order of feeding: the lineage."""
        for shard in self.manifest.shards:
            yield from read_entries(self.objects, shard)

    def documents(self) -> Iterator[Document]:
        """Each document; its text is read when it is asked for."""
        for shard in self.manifest.shards:
            path = self.objects.path(shard.text)
            for entry in read_entries(self.objects, shard):
                yield read_document(path, entry)

    def texts(self) -> Iterator[str]:
        """All text, in pieces."""
        for document in self.documents():
            yield from document.pieces()

    def aside(self) -> Iterator[Entry]:
        """Documents whose text is kept, but that the version does not hold: near-duplicates of others."""
        for shard in self.manifest.shards:
            yield from read_aside(self.objects, shard)

    def clusters(self) -> list[dict[str, Any]]:
        """Near-duplicates: `documents` (ids, the one that stands for them first) and their least `similarity`."""
        if self.manifest.clusters is None:
            return []
        found: list[dict[str, Any]] = json.loads(self.objects.read(self.manifest.clusters))
        return found

    def refusals(self) -> list[Refusal]:
        """What this version's feed refused."""
        if self.manifest.refusals is None:
            return []
        return [Refusal(**refusal) for refusal in json.loads(self.objects.read(self.manifest.refusals))]

    def verify(self) -> None:
        """Read every object and recompute the id; raises `DataError` naming the first thing that is damaged."""
        for shard in self.manifest.shards:
            self.objects.check(shard.text)
        self.refusals()
        if content_id((entry.id for entry in self.entries()), self.manifest.preparation) != self.id:
            raise DataError(f"The documents of version {self.number} in {self.folder} are not those that its id names.")


class DatasetVersions:
    """The numbered versions of one named dataset."""

    def __init__(self, folder: Path, objects: ObjectStore, preparation: Mapping[str, str] | None = None) -> None:
        """`folder` is `datasets/NAME`; it need not exist yet. `preparation` is what is done to every text."""
        self.folder = folder
        self.objects = objects
        self.preparation = dict(preparation or PREPARATION)

    def numbers(self) -> list[int]:
        """The versions that there are, in order."""
        return sorted(int(path.stem) for path in (self.folder / "versions").glob("[0-9]*.json"))

    def latest(self) -> Dataset | None:
        """The newest version; none before the first feed."""
        numbers = self.numbers()
        return self.get(numbers[-1]) if numbers else None

    def get(self, number: int) -> Dataset:
        """One version; raises `NotFoundError` with those that exist, `DataError` if its manifest is damaged."""
        path = self._path(number)
        if not path.is_file():
            known = ", ".join(map(str, self.numbers())) or "none"
            raise NotFoundError(f"{self.folder.name} has no version {number}. There are: {known}.")
        return Dataset(self._read(path), self.objects, self.folder)

    def add(
        self,
        items: Iterable[Document | Refusal],
        *,
        settle: Settle | None = None,
        approve: Callable[[Dataset], None] | None = None,
    ) -> Dataset:
        """Store one feed as a new version: accepted documents, and the list of what was refused and why.

        A text that the dataset holds already, or that comes twice, is refused as `duplicate`. Feeds of one dataset
        wait for each other. A feed that dies leaves the dataset at its last version; so does one whose version
        `approve` does not let pass, by raising an error.

        Raises:
            DataError: `items` is empty.
        """
        with locked(self.folder / ".lock"):
            for name in ("versions", FOLDER):
                remove_leftovers(self.folder / name)
            parent = self.latest()
            known, held = _held_by(parent)
            refusals: list[Refusal] = []
            added = write_shards(self.objects, _accepted(iter(items), known, refusals), refusals)
            if not added and not refusals:
                raise DataError("Nothing was given to add. Name at least one file or folder.")
            settled = Settled((*(parent.manifest.shards if parent else ()), *added), None)
            if settle is None:
                held += [entry.id for shard in added for entry in read_entries(self.objects, shard)]
            else:
                settled = settle(settled.shards, refusals)
                held = [entry.id for shard in settled.shards for entry in read_entries(self.objects, shard)]
            manifest = self._manifest(parent, settled, len(added), refusals, content_id(held, self.preparation))
            if approve is not None:
                approve(Dataset(manifest, self.objects, self.folder))
            self._write(manifest)
        return Dataset(manifest, self.objects, self.folder)

    def ledger(self) -> DocumentLedger:
        """Count the inputs of all feeds."""
        accepted = 0
        refused: Counter[str] = Counter()
        for number in self.numbers():
            manifest = self._outline(self._path(number))
            accepted += manifest.accepted
            refused.update(manifest.refused)
        return DocumentLedger(accepted, dict(sorted(refused.items())))

    def compact(self) -> int:
        """Write manifests anew that name all their shards, as they were first written; gives the bytes that this frees.

        The caller holds the lock of the dataset.
        """
        freed = 0
        for number in self.numbers():
            path = self._path(number)
            outline = self._outline(path)
            if not outline.lists and len(outline.shards) >= FAN:
                before = path.stat().st_size
                self._write(self._read(path))
                freed += before - path.stat().st_size
        return freed

    def _outline(self, path: Path) -> Manifest:
        """A manifest as it lies there, without the shards that stand in lists."""
        try:
            return Manifest.model_validate(read_json(path))
        except ValidationError as error:
            raise DataError(f"{path} is no manifest of a dataset version: {error}") from error

    def _read(self, path: Path) -> Manifest:
        outline = self._outline(path)
        if not outline.lists:
            return outline
        shards = (*read_lists(self.folder, outline.lists), *outline.shards)
        return outline.model_copy(update={"format": 1, "lists": (), "shards": shards})

    def _write(self, manifest: Manifest) -> None:
        lists, rest = store_lists(self.folder, manifest.shards)
        if lists:
            manifest = manifest.model_copy(update={"format": 2, "lists": lists, "shards": rest})
        write_json(self._path(manifest.version), manifest.model_dump(mode="json"))

    def _path(self, number: int) -> Path:
        return self.folder / "versions" / f"{number:06d}.json"

    def _manifest(
        self, parent: Dataset | None, settled: Settled, added: int, refusals: list[Refusal], identity: str
    ) -> Manifest:
        shards = settled.shards
        listed = self.objects.put(canonical_json([asdict(refusal) for refusal in refusals])) if refusals else None
        return Manifest(
            version=parent.number + 1 if parent else 1,
            id=identity,
            parent=parent.number if parent else None,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            preparation=self.preparation,
            documents=sum(shard.documents for shard in shards),
            bytes=sum(shard.bytes for shard in shards),
            accepted=sum(shard.documents for shard in shards[len(shards) - added :]),
            refused=dict(sorted(Counter(refusal.reason for refusal in refusals).items())),
            refusals=listed,
            shards=shards,
            clusters=settled.clusters,
        )


def content_id(document_ids: Iterable[str], preparation: Mapping[str, str] = PREPARATION) -> str:
    """The id of a dataset that holds exactly these documents, prepared in this way."""
    return hash_json({"documents": sorted(document_ids), "preparation": dict(preparation)})


def _held_by(parent: Dataset | None) -> tuple[dict[str, str], list[str]]:
    """Where each text came from that a version keeps, also those put aside, by id; and the ids of what it holds."""
    known: dict[str, str] = {}
    held: list[str] = []
    for entry in parent.entries() if parent else ():
        known[entry.id] = entry.source
        held.append(entry.id)
    for entry in parent.aside() if parent else ():
        known[entry.id] = entry.source
    return known, held


def _accepted(
    items: Iterator[Document | Refusal], known: dict[str, str], refusals: list[Refusal]
) -> Iterator[Document]:
    for item in items:
        if isinstance(item, Refusal):
            refusals.append(item)
        elif item.id in known:
            refusals.append(Refusal(item.source, "duplicate", f"The same text is already here, from {known[item.id]}."))
        else:
            known[item.id] = item.source
            refused_before = len(refusals)
            yield item
            if len(refusals) > refused_before:
                del known[item.id]  # it could not be read again, and was refused after all
