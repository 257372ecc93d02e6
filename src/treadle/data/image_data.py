"""Labelled pictures as examples; the classes and the size of the pictures are fixed when a model first trains.

The hold-out rule is that of texts, with pictures in the place of tokens: a document of many pictures (a pair of IDX
files) gives its last share by position, a document of one falls on one side by its content hash.

The pictures of each shard are decoded once, into one content-addressed object of uint8 (N, edge, edge, channels);
`pictures/KEY.json` beside the versions names it. It is made again when it is damaged or gone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import UsageError
from treadle.base.files import read_json, write_json
from treadle.base.hashing import hash_json
from treadle.config.spec import Spec
from treadle.data.batch import Batch
from treadle.data.coverage import Piece
from treadle.data.order import seeded_number
from treadle.data.pictures import KIND, read_header, read_pictures
from treadle.data.pixel_examples import PixelShard, examples_of, noted_shard
from treadle.data.prepared import Prepared
from treadle.data.shards import read_document, read_entries
from treadle.data.shuffled import Shuffled
from treadle.data.splits import WINDOWS_TO_SPLIT, hash_share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.data.config import DataSettings
    from treadle.data.pixel_examples import PixelExamples
    from treadle.data.shards import TextShard
    from treadle.data.versions import Dataset

LARGEST_EDGE = 64
"""Of the pictures as a network sees them, unless `data.image_size` says otherwise."""


class Decided(Spec):
    """What a model holds on to since its first training; also what its checkpoints know of the data."""

    kind: str = KIND
    classes: tuple[str, ...]
    size: int
    """Edge of the pictures, in pixels."""
    channels: int
    """1 = grey, 3 = colour; further pictures are converted."""


class _PictureShard(PixelShard):
    """What `pictures/KEY.json` holds."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    """Pictures of each document."""


def prepare_images(dataset: Dataset, folder: Path, settings: DataSettings, seed: int, *, fix: bool) -> Prepared | None:
    """Decode a dataset version for one model; see `prepared.Prepare`."""
    decided = _decided(dataset, folder / "classes.json", settings, fix=fix)
    if decided is None:
        return None
    train, held_out, pieces = _sides(dataset, decided, settings)
    loader = ImageLoader(train, held_out, round(settings.image_shift * decided.size), seed, pieces)
    return Prepared(loader, len(decided.classes), decided.size, decided.model_dump(mode="json"))


def _decided(dataset: Dataset, path: Path, settings: DataSettings, *, fix: bool) -> Decided | None:
    if path.is_file():
        found = Decided.model_validate(read_json(path))
        if settings.image_size not in {None, found.size}:
            raise UsageError(
                f"This model has seen pictures of {found.size} x {found.size} pixels since its first training; "
                f"data.image_size={settings.image_size} needs a new model."
            )
        return found
    if not fix:
        return None
    found = _decide(dataset, settings)
    write_json(path, found.model_dump(mode="json"))
    return found


def _decide(dataset: Dataset, settings: DataSettings) -> Decided:
    headers = []
    classes: set[str] = set()
    for document in dataset.documents():
        header, labels = read_header(document)
        headers.append(header)
        classes.update(labels)
    if len(classes) < 2:
        only = ", ".join(classes)
        raise UsageError(f"There is only one class of pictures, {only}; feed pictures of at least one more.")
    edge = settings.image_size or min(LARGEST_EDGE, max(headers[0].height, headers[0].width))
    channels = max(header.channels for header in headers)
    return Decided(classes=tuple(sorted(classes, key=_numbers_by_value)), size=edge, channels=channels)


def _numbers_by_value(label: str) -> tuple[float, str]:
    return (float(label), "") if label.isdecimal() else (float("inf"), label)


def _sides(
    dataset: Dataset, decided: Decided, settings: DataSettings
) -> tuple[PixelExamples, PixelExamples, tuple[Piece, ...]]:
    """Both sides of the split, and what each shard gives to them.

    Raises `UsageError` for classes that the model does not know.
    """
    numbers = {name: number for number, name in enumerate(decided.classes)}
    edge, channels = decided.size, decided.channels
    parts: list[NDArray[np.uint8]] = []
    kept: tuple[list[Any], list[Any]] = ([], [])  # (part, row, class) of each side
    pieces: list[Piece] = []
    unknown: Counter[str] = Counter()
    for text in dataset.manifest.shards:
        before = [len(side) for side in kept]
        shard = _open_shard(dataset, text, edge, channels)
        mapped = np.memmap(dataset.objects.path(shard.pixels), np.uint8, mode="r")
        parts.append(np.asarray(mapped).reshape(-1, edge, edge, channels))
        row = 0
        for entry, count in zip(read_entries(dataset.objects, text), shard.counts, strict=True):
            trained = _trained(entry.id, count, settings.held_out)
            for place in range(count):
                label = shard.labels[row + place]
                if label in numbers:
                    kept[place >= trained].append((len(parts) - 1, row + place, numbers[label]))
                else:
                    unknown[label] += 1
            row += count
        given = [len(side) - known for side, known in zip(kept, before, strict=True)]
        pieces.append(Piece(text.text, *given))
    if unknown and settings.unknown == "error":
        shown = ", ".join(f"{label} ({number:,})" for label, number in unknown.most_common(8))
        raise UsageError(
            f"This model has known {len(numbers)} classes since its first training; these are not among them: {shown}. "
            "Leave their pictures out with data.unknown=skip, or make a new model and feed it all."
        )
    train, held_out = (examples_of(parts, side) for side in kept)
    return train, held_out, tuple(pieces)


def _trained(document_id: str, count: int, held_out: float) -> int:
    """How many of a document's pictures, from its beginning, are trained on."""
    if count >= WINDOWS_TO_SPLIT:
        return count - round(count * held_out)
    return 0 if hash_share(document_id) < held_out else count


def _open_shard(dataset: Dataset, text: TextShard, edge: int, channels: int) -> _PictureShard:
    facts = {"format": 1, "text": text.text, "index": text.index, "edge": edge, "channels": channels}
    path = dataset.folder / "pictures" / f"{hash_json(facts)}.json"
    if (shard := noted_shard(dataset, path, _PictureShard)) is not None:
        return shard
    stored = dataset.objects.check(text.text)
    labels: list[str] = []
    counts: list[int] = []
    with dataset.objects.writer() as writer:
        for entry in read_entries(dataset.objects, text):
            pictures = read_pictures(read_document(stored, entry))
            writer.write(pictures.pixels(edge, channels).tobytes())
            labels += pictures.labels
            counts.append(len(pictures.labels))
    shard = _PictureShard(pixels=writer.id, labels=tuple(labels), counts=tuple(counts))
    write_json(path, shard.model_dump(mode="json"))
    return shard


class ImageLoader(Shuffled):
    """Pictures in a seeded order; see `loader.Loader`.

    Pictures to train on are shifted by up to `shift` pixels each way, by a number that hangs on seed and position
    alone; what moves in is 0. Held-out pictures are as they are.
    """

    def __init__(
        self, train: PixelExamples, held_out: PixelExamples, shift: int, seed: int, pieces: tuple[Piece, ...] = ()
    ) -> None:
        """Read the examples, which are made of `pieces`, in the order that `seed` gives."""
        super().__init__(train, held_out, "pictures", seed, pieces)
        self._train, self._held_out, self._shift, self._seed = train, held_out, shift, seed

    def batch(self, position: int, size: int) -> Batch:
        """The `size` pictures from `position` on; raises `NotReadyError` when there is nothing to train on."""
        batch = _batch(self._train, self._places(position, size))
        if self._shift:
            for offset, picture in enumerate(batch.inputs):
                picture[:] = self._shifted(picture, position + offset)
        return batch

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out pictures in order, `size` at a time."""
        places = self._held_out_places(limit)
        for first in range(0, len(places), size):
            yield _batch(self._held_out, places[first : first + size])

    def _shifted(self, picture: NDArray[np.uint8], position: int) -> NDArray[np.uint8]:
        side = 2 * self._shift + 1
        down, right = divmod(seeded_number(side * side, f"picture shift, seed {self._seed}, {position}"), side)
        padded = np.pad(picture, ((self._shift, self._shift), (self._shift, self._shift), (0, 0)))
        edge = len(picture)
        return padded[down : down + edge, right : right + edge]


def _batch(examples: PixelExamples, places: NDArray[np.int64]) -> Batch:
    """The pictures at `places` (B,): inputs uint8 (B, edge, edge, channels), targets int32 (B,)."""
    return Batch(np.stack([examples.pixels(place) for place in places.tolist()]), examples.targets[places])
