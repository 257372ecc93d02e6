"""Clips of video as examples; their phrases, size and length are fixed when a model first trains.

An example is `data.clip_frames` frames in a row of one clip, with the control maps that are made of them and the
phrases of its caption. The hold-out rule is that of pictures, with whole clips in the place of pictures; of a document
of few clips, such as one film, the last share of the frames is held out.

The frames of each shard are scaled and cut once, into one content-addressed object of uint8 (N, T, S, S, 3);
`clips/KEY.json` beside the versions names it. It is made again when it is damaged or gone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import NotReadyError, UsageError
from treadle.base.files import read_json, write_json
from treadle.base.hashing import hash_json
from treadle.config.spec import Spec
from treadle.data.batch import Batch
from treadle.data.clip_maps import CELLS, EDGES, blur_maps, edge_maps, fitted
from treadle.data.clips import KIND, LARGEST_EDGE, ClipFacts, read_clip_facts, read_clips
from treadle.data.coverage import Piece
from treadle.data.order import seeded_number
from treadle.data.pixel_examples import PixelShard, examples_of, noted_shard
from treadle.data.prepared import Prepared
from treadle.data.shards import read_document, read_entries
from treadle.data.shuffled import Shuffled
from treadle.data.splits import WINDOWS_TO_SPLIT, hash_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.data.config import DataSettings
    from treadle.data.pixel_examples import PixelExamples
    from treadle.data.shards import TextShard
    from treadle.data.versions import Dataset

MOST_PHRASES: Final = 31
"""That a model knows: an example's phrases are the bits of one whole number above -1."""
PATCH: Final = 4
"""Pixels; the edge of clips is a multiple of it, so that networks may cut them into squares."""


class Decided(Spec):
    """What a model holds on to since its first training; also what its checkpoints know of the data."""

    kind: str = KIND
    phrases: tuple[str, ...]
    """The most frequent ones, in alphabetical order."""
    size: int
    """Edge of the frames, in pixels."""
    frames: int
    """Of one example."""

    def bits(self, phrases: Sequence[str]) -> int:
        """The known ones among `phrases` as one number."""
        return sum(1 << number for number, known in enumerate(self.phrases) if known in phrases)


class _ClipShard(PixelShard):
    """What `clips/KEY.json` holds."""

    captions: tuple[tuple[str, ...], ...]
    """Phrases of each example."""
    counts: tuple[tuple[int, ...], ...]
    """Examples of each clip of each document; 0 for one that is too short."""


def prepare_clips(dataset: Dataset, folder: Path, settings: DataSettings, seed: int, *, fix: bool) -> Prepared | None:
    """Cut a dataset version into examples for one model; see `prepared.Prepare`."""
    decided = _decided(dataset, folder / "clips.json", settings, fix=fix)
    if decided is None:
        return None
    train, held_out, pieces = _sides(dataset, decided, settings)
    loader = ClipLoader(train, held_out, seed, pieces)
    return Prepared(loader, max(1, len(decided.phrases)), decided.frames, decided.model_dump(mode="json"))


def _decided(dataset: Dataset, path: Path, settings: DataSettings, *, fix: bool) -> Decided | None:
    if path.is_file():
        found = Decided.model_validate(read_json(path))
        if settings.image_size not in {None, found.size} or settings.clip_frames != found.frames:
            raise UsageError(
                f"This model has seen {found.frames} frames of {found.size} x {found.size} pixels since its first "
                "training; another data.clip_frames or data.image_size needs a new model."
            )
        return found
    if not fix:
        return None
    counts: Counter[str] = Counter()
    largest = 0
    for document in dataset.documents():
        header, facts = read_clip_facts(document)
        largest = max(largest, header.height, header.width)
        counts.update(phrase for one in facts for phrase in one.phrases)
    size = settings.image_size or max(PATCH, min(LARGEST_EDGE, largest) // PATCH * PATCH)
    if size % PATCH or size > LARGEST_EDGE:
        raise UsageError(
            f"data.image_size={size} does not suit clips: give a multiple of {PATCH}, at most {LARGEST_EDGE}."
        )
    usual = sorted(counts, key=lambda phrase: (-counts[phrase], phrase))[:MOST_PHRASES]
    found = Decided(phrases=tuple(sorted(usual)), size=size, frames=settings.clip_frames)
    write_json(path, found.model_dump(mode="json"))
    return found


def _sides(
    dataset: Dataset, decided: Decided, settings: DataSettings
) -> tuple[PixelExamples, PixelExamples, tuple[Piece, ...]]:
    """Both sides of the split, and what each shard gives to them."""
    size, frames = decided.size, decided.frames
    parts: list[NDArray[np.uint8]] = []
    kept: tuple[list[Any], list[Any]] = ([], [])  # (part, row, bits) of each side
    pieces: list[Piece] = []
    for text in dataset.manifest.shards:
        before = [len(side) for side in kept]
        shard = _open_shard(dataset, text, size, frames)
        mapped = np.memmap(dataset.objects.path(shard.pixels), np.uint8, mode="r") if shard.captions else b""
        parts.append(np.asarray(mapped, np.uint8).reshape(-1, frames, size, size, 3) if shard.captions else _NONE)
        row = 0
        for entry, counts in zip(read_entries(dataset.objects, text), shard.counts, strict=True):
            trained = _trained(entry.id, counts, settings.held_out)
            for place in range(sum(counts)):
                bits = decided.bits(shard.captions[row + place])
                kept[place >= trained].append((len(parts) - 1, row + place, bits))
            row += sum(counts)
        given = [len(side) - known for side, known in zip(kept, before, strict=True)]
        pieces.append(Piece(text.text, *given))
    if not any(kept):
        raise NotReadyError(
            f"No clip has the {frames} frames of one example. Feed longer ones, or make a model with fewer: "
            "treadle new NAME --family video_flow data.clip_frames=4"
        )
    train, held_out = (examples_of(parts, side) for side in kept)
    return train, held_out, tuple(pieces)


_NONE: Final = np.empty((0,), np.uint8)


def _trained(document_id: str, counts: Sequence[int], held_out: float) -> int:
    """How many of a document's examples, from its beginning, are trained on; no clip of many is cut in two."""
    if len(counts) >= WINDOWS_TO_SPLIT:
        return sum(counts[: len(counts) - round(len(counts) * held_out)])
    examples = sum(counts)
    if examples >= WINDOWS_TO_SPLIT:
        return examples - round(examples * held_out)
    return 0 if hash_share(document_id) < held_out else examples


def _open_shard(dataset: Dataset, text: TextShard, size: int, frames: int) -> _ClipShard:
    facts = {"format": 1, "text": text.text, "index": text.index, "size": size, "frames": frames}
    path = dataset.folder / "clips" / f"{hash_json(facts)}.json"
    if (shard := noted_shard(dataset, path, _ClipShard)) is not None:
        return shard
    stored = dataset.objects.check(text.text)
    captions: list[tuple[str, ...]] = []
    counts: list[tuple[int, ...]] = []
    with dataset.objects.writer() as writer:
        for entry in read_entries(dataset.objects, text):
            clips = read_clips(read_document(stored, entry))
            first, found = 0, []
            for clip in clips.facts:
                windows = _windows(clips.frames[first : first + clip.frames], clip, size, frames)
                for window in windows:
                    writer.write(window.tobytes())
                captions += [tuple(clip.phrases)] * len(windows)
                found.append(len(windows))
                first += clip.frames
            counts.append(tuple(found))
    shard = _ClipShard(pixels=writer.id, captions=tuple(captions), counts=tuple(counts))
    write_json(path, shard.model_dump(mode="json"))
    return shard


def _windows(pixels: NDArray[np.uint8], clip: ClipFacts, size: int, frames: int) -> list[NDArray[np.uint8]]:
    """The examples of one clip, one after the other; what is left at its end is too short for one."""
    whole = clip.frames // frames * frames
    small = [fitted(frame, size) for frame in pixels[:whole]]
    return [np.stack(small[first : first + frames]) for first in range(0, whole, frames)]


class ClipLoader(Shuffled):
    """Clips in a seeded order; see `loader.Loader`.

    Inputs are uint8 (B, T, S, S, 7): red, green, blue, an edge map, a blurred picture. Targets (B,) are the bits of the
    phrases; what is learned are the clips themselves. How strong the maps to train on are hangs on seed and position.
    """

    def __init__(
        self, train: PixelExamples, held_out: PixelExamples, seed: int, pieces: tuple[Piece, ...] = ()
    ) -> None:
        """Read the examples, which are made of `pieces`, in the order that `seed` gives."""
        super().__init__(train, held_out, "clips", seed, pieces)
        self._train, self._held_out, self._seed = train, held_out, seed

    def batch(self, position: int, size: int) -> Batch:
        """The `size` clips from `position` on; raises `NotReadyError` when there is nothing to train on."""
        places = self._places(position, size).tolist()
        strengths = [self._strength(slot) for slot in range(position, position + size)]
        return _batch(self._train, places, strengths)

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out clips in order, `size` at a time, with maps of medium strength."""
        places = self._held_out_places(limit)
        for first in range(0, len(places), size):
            some = places[first : first + size].tolist()
            yield _batch(self._held_out, some, [("medium", "medium")] * len(some))

    def _strength(self, slot: int) -> tuple[str, str]:
        drawn = seeded_number(len(EDGES) * len(CELLS), f"strength of maps, seed {self._seed}, {slot}")
        return list(EDGES)[drawn % len(EDGES)], list(CELLS)[drawn // len(EDGES)]


def _batch(examples: PixelExamples, places: Sequence[int], strengths: Sequence[tuple[str, str]]) -> Batch:
    rows = []
    for place, (edges, blur) in zip(places, strengths, strict=True):
        frames = examples.pixels(place)
        rows.append(np.concatenate([frames, edge_maps(frames, edges), blur_maps(frames, blur)], axis=-1))
    return Batch(np.stack(rows), examples.targets[np.array(places)])
