"""Named datasets: make one, find a version of it, say what is in it."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from treadle.base.errors import DataError, NotFoundError, NotReadyError, SettingsError
from treadle.base.names import did_you_mean
from treadle.data.checks import failed_checks, parse_checks
from treadle.data.document import Document
from treadle.data.settling import KeyTaker, Settler
from treadle.data.steps.catalog import STEPS
from treadle.data.steps.config import DatasetSettings
from treadle.data.versions import DatasetVersions
from treadle.store.datasets import DatasetCards
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from treadle.data.document import Refusal
    from treadle.data.shards import Entry
    from treadle.data.versions import Dataset
    from treadle.store.datasets import DatasetCard
    from treadle.store.workspace import WorkspaceFolder


PREFIX = "dataset:"
"""Begins the name of a dataset where files are expected, too."""


@dataclass(frozen=True, slots=True)
class Named:
    """One named dataset, opened; what a model was fed counts as the dataset of the model's name."""

    name: str
    versions: DatasetVersions
    settings: DatasetSettings
    card: DatasetCard | None
    """None for a model's."""

    def add(self, items: Iterable[Document | Refusal], *, checked: bool = True) -> Dataset:
        """Store documents as the next version: near-duplicates are found, and the dataset's checks must hold.

        Without `checked` they need not, for versions that grow bit by bit.

        Raises:
            DataError: A check fails, and no version was made; or there is nothing to add.
        """
        if self.card is None:
            return self.versions.add(items)
        settle = None
        taker = KeyTaker()
        if self.settings.near_duplicates != "ignore":
            drop = self.settings.near_duplicates == "drop"
            settle = Settler(self.versions.objects, taker, self.settings.similarity, drop=drop)
        return self.versions.add(taker(items), settle=settle, approve=self._approve if checked else None)

    def _approve(self, dataset: Dataset) -> None:
        failed = failed_checks(dataset, parse_checks(self.settings.check))
        if failed:
            said = " ".join(failed)
            raise DataError(f"No version was made: {said} Change the files, or make a dataset with other checks.")

    def version(self, which: str = "") -> Dataset:
        """A version by number or tag; the newest unless one is named."""
        if not which:
            latest = self.versions.latest()
            if latest is None:
                step = f"treadle data add {shlex.quote(self.name)} FILES"
                raise NotReadyError(f"`{self.name}` has no version yet. Add documents: {step}")
            return latest
        if which.isdecimal():
            return self.versions.get(int(which))
        tags = self.card.tags if self.card else {}
        if which not in tags:
            known = ", ".join(tags) or "none"
            raise NotFoundError(f"`{self.name}` has no tag `{which}`.{did_you_mean(which, tags)} There are: {known}.")
        return self.versions.get(tags[which])


def settings_from(given: Mapping[str, Any]) -> DatasetSettings:
    """Check settings of a dataset; raises `SettingsError` that names the first wrong one."""
    try:
        return DatasetSettings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"`{place}`: {first['msg']}.") from error


def open_named(workspace: WorkspaceFolder, name: str) -> Named:
    """Open a dataset, or what a model was fed, by name; raises `NotFoundError`."""
    cards = DatasetCards(workspace)
    objects = ObjectStore(workspace.objects)
    card = cards.find(name)
    if card is not None:
        settings = settings_from(card.settings)
        versions = DatasetVersions(cards.folder(card), objects, settings.preparation())
        return Named(name, versions, settings, card)
    try:
        model = ModelCards(workspace).get(name)
    except NotFoundError:
        cards.get(name)  # says what there is
        raise
    return Named(model.name, DatasetVersions(workspace.datasets / model.id, objects), DatasetSettings(), None)


def find_version(workspace: WorkspaceFolder, name: str) -> tuple[Named, Dataset]:
    """Find NAME, NAME@NUMBER or NAME@TAG."""
    plain, _, which = name.partition("@")
    named = open_named(workspace, plain)
    return named, named.version(which)


def names_dataset(path: str) -> bool:
    """Whether what was given to feed is `dataset:NAME` and not a file that is called so."""
    return Path(path).name.startswith(PREFIX) and not Path(path).exists()


def documents_of(workspace: WorkspaceFolder, path: str) -> Iterator[Document]:
    """The documents of the version that `.../dataset:NAME[@VERSION]` names, each with where it was taken from."""
    named, dataset = find_version(workspace, Path(path).name.removeprefix(PREFIX))
    for document in dataset.documents():
        facts = {**document.metadata, "dataset": f"{named.name}@{dataset.number}"}
        yield Document(document.id, document.source, document.size, document.pieces, facts)


def new(workspace: WorkspaceFolder, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Make a dataset without documents."""
    settings = settings_from(given)
    parse_checks(settings.check)
    for step in settings.step:
        STEPS.get(step)
    card = DatasetCards(workspace).create(name, settings.model_dump(mode="json", exclude_defaults=True))
    return {
        "name": card.name,
        "settings": settings.model_dump(mode="json"),
        "next_step": f"treadle data add {shlex.quote(name)} FILES",
    }


def listing(workspace: WorkspaceFolder) -> dict[str, Any]:
    """All named datasets, in short."""
    rows = []
    for card in DatasetCards(workspace).all():
        latest = open_named(workspace, card.name).versions.latest()
        manifest = latest.manifest if latest else None
        rows.append(
            {
                "name": card.name,
                "version": manifest.version if manifest else None,
                "documents": manifest.documents if manifest else 0,
                "bytes": manifest.bytes if manifest else 0,
                "id": manifest.id if manifest else None,
                "tags": dict(card.tags),
            }
        )
    return {"datasets": rows}


def show(workspace: WorkspaceFolder, name: str, document: str | None) -> dict[str, Any]:
    """One version in short; or the lineage of one of its documents, by id (or its beginning) or source."""
    named, dataset = find_version(workspace, name)
    manifest = dataset.manifest
    lineage: list[dict[str, Any]] = []
    if document is not None:
        lineage = [_lineage(entry) for entry in dataset.entries() if _is_meant(entry, document)]
        if not lineage:
            raise NotFoundError(f"Version {dataset.number} of `{named.name}` holds no document {document!r}.")
    tags = named.card.tags if named.card else {}
    return {
        "name": named.name,
        "version": dataset.number,
        "id": dataset.id,
        "parent": manifest.parent,
        "created": manifest.created,
        "documents": manifest.documents,
        "bytes": manifest.bytes,
        "refused": manifest.refused,
        "aside": sum(1 for _ in dataset.aside()),
        "clusters": len(dataset.clusters()),
        "tags": sorted(tag for tag, number in tags.items() if number == dataset.number),
        "settings": named.settings.model_dump(mode="json", exclude_defaults=True),
        "lineage": lineage,
    }


def versions(workspace: WorkspaceFolder, name: str) -> dict[str, Any]:
    """All versions of a dataset."""
    named = open_named(workspace, name)
    tags = named.card.tags if named.card else {}
    rows = []
    for number in named.versions.numbers():
        manifest = named.versions.get(number).manifest
        rows.append(
            {
                "version": number,
                "id": manifest.id,
                "created": manifest.created,
                "documents": manifest.documents,
                "bytes": manifest.bytes,
                "accepted": manifest.accepted,
                "refused": manifest.refused,
                "tags": sorted(tag for tag, value in tags.items() if value == number),
            }
        )
    return {"name": named.name, "versions": rows}


def refused(workspace: WorkspaceFolder, name: str, reason: str | None) -> dict[str, Any]:
    """What was refused, and why: of all versions, or of the one that is named."""
    plain, _, which = name.partition("@")
    named = open_named(workspace, plain)
    numbers = [named.version(which).number] if which else named.versions.numbers()
    rows = [
        {"version": number, **asdict(refusal)}
        for number in numbers
        for refusal in named.versions.get(number).refusals()
        if reason is None or refusal.reason == reason
    ]
    counts = Counter(row["reason"] for row in rows)
    return {"name": named.name, "reasons": dict(counts.most_common()), "refused": rows}


def diff(workspace: WorkspaceFolder, first: str, second: str) -> dict[str, Any]:
    """What the second version holds otherwise than the first."""
    one, before = find_version(workspace, first)
    other, after = find_version(workspace, second)
    old = {entry.id: entry for entry in before.entries()}
    new_ = {entry.id: entry for entry in after.entries()}
    gone = {entry.source: entry for key, entry in old.items() if key not in new_}
    come = {entry.source: entry for key, entry in new_.items() if key not in old}
    changed = sorted(gone.keys() & come.keys())
    return {
        "first": {"name": one.name, "version": before.number, "id": before.id},
        "second": {"name": other.name, "version": after.number, "id": after.id},
        "same": before.id == after.id,
        "preparation": _changed_settings(before, after),
        "unchanged": len(old.keys() & new_.keys()),
        "added": [_row(entry) for source, entry in come.items() if source not in gone],
        "removed": [_row(entry) for source, entry in gone.items() if source not in come],
        "changed": [{"source": source, "before": gone[source].id, "after": come[source].id} for source in changed],
    }


def tag(workspace: WorkspaceFolder, name: str, name_of_tag: str, *, remove: bool) -> dict[str, Any]:
    """Give a version a name, or take it away."""
    plain, _, which = name.partition("@")
    card = DatasetCards(workspace).get(plain)
    number = None if remove else open_named(workspace, plain).version(which).number
    if remove and name_of_tag not in card.tags:
        raise NotFoundError(f"`{plain}` has no tag `{name_of_tag}`.{did_you_mean(name_of_tag, card.tags)}")
    card = DatasetCards(workspace).tag(plain, name_of_tag, number)
    return {"name": plain, "tag": name_of_tag, "version": number, "tags": dict(card.tags)}


def _changed_settings(before: Dataset, after: Dataset) -> dict[str, list[Any]]:
    """Settings that differ: key to [before, after]; None where the default holds."""
    old, new_ = (_chosen(one.manifest.preparation) for one in (before, after))
    return {key: [old.get(key), new_.get(key)] for key in sorted(old | new_) if old.get(key) != new_.get(key)}


def _chosen(preparation: Mapping[str, str]) -> dict[str, Any]:
    known = {key: value for key, value in preparation.items() if key != "settings"}
    return {**known, **json.loads(preparation.get("settings", "{}"))}


def _row(entry: Entry) -> dict[str, Any]:
    return {"source": entry.source, "id": entry.id, "bytes": entry.size}


def _lineage(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "source": entry.source, "bytes": entry.size, "metadata": dict(entry.metadata)}


def _is_meant(entry: Entry, document: str) -> bool:
    near = len(document) >= 6 and entry.id.startswith(document)
    return near or entry.source == document or entry.source.endswith("/" + document)
