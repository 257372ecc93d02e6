"""From text shards to two streams of token ids, memory-mapped: one to train on, one held out.

A stream is one boundary, then for every segment its tokens and one boundary; a segment is what the hold-out rule gives
of one document. Inputs are `stream[:-1]` and targets `stream[1:]`. So every token of a document, and one closing
boundary per segment, is a target exactly once, and a document's first token is predicted from the boundary before it.

For each text shard the tokens of each side are one content-addressed object of little-endian uint16 (uint32 when the
vocabulary has more than 65,535 ids). `tokens/KEY.json` beside the versions names them; KEY is the hash of text shard,
tokenizer and split. They are made once, verified when opened, and made again when damaged or gone. Encoding holds one
piece of a document in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from treadle.base.errors import DataError
from treadle.base.files import read_json, write_json
from treadle.base.hashing import hash_json
from treadle.config.spec import Spec
from treadle.data.coverage import Piece
from treadle.data.shards import TextShard, read_document, read_entries
from treadle.data.splits import WINDOWS_TO_SPLIT, sides
from treadle.data.tokenizers.tokenizer import Tokenizer, UnknownCharactersError, tokenizer_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from treadle.data.config import DataSettings
    from treadle.data.tokenizers.tokenizer import TokenIds
    from treadle.data.versions import Dataset
    from treadle.store.objects import ObjectStore, ObjectWriter


class TokenStream:
    """Ids of one side of the split, as if they were one array; the parts stay where they are."""

    def __init__(self, parts: Sequence[NDArray[Any]], boundary: int) -> None:
        """Join the boundary that every stream begins with, and `parts`, each (N,)."""
        self._parts = [np.array([boundary], np.uint32), *(part for part in parts if len(part))]
        self._starts = np.cumsum([0, *(len(part) for part in self._parts)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def targets(self) -> int:
        """Number of ids that are targets: all but the first."""
        return len(self) - 1

    def copy_into(self, start: int, out: NDArray[np.int32]) -> None:
        """Fill `out`, (N,), with the ids from `start` on, across parts where need be."""
        part = bisect_right(self._starts, start) - 1
        filled = 0
        while filled < len(out):
            offset = start + filled - self._starts[part]
            ids = self._parts[part][offset : offset + len(out) - filled]
            out[filled : filled + len(ids)] = ids
            filled += len(ids)
            part += 1

    def read(self, start: int, stop: int) -> NDArray[np.int32]:
        """Copy out the ids from `start` up to `stop`; raises `IndexError` outside the stream."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"ids {start} to {stop} of a stream of {len(self)}")
        out = np.empty(stop - start, np.int32)
        self.copy_into(start, out)
        return out


@dataclass(frozen=True, slots=True)
class TokenStreams:
    """Both sides of one dataset version, in the ids of one tokenizer."""

    train: TokenStream
    held_out: TokenStream
    boundary: int
    byte_lengths: NDArray[np.uint16]
    """UTF-8 bytes that each id stands for, (V,)."""
    train_bytes: int
    """UTF-8 bytes of the text to train on, as far as the vocabulary knows it."""
    held_out_bytes: int
    """The same of the held-out text: bits per byte = nats / ln 2 / this, for any tokenizer."""
    skipped: int
    """Characters left out because the vocabulary lacks them."""
    pieces: tuple[Piece, ...] = ()
    """What each text shard gives, in the order of arrival."""

    @property
    def targets(self) -> int:
        """All targets of both sides: the `in` of the token ledger."""
        return self.train.targets + self.held_out.targets


class _Side(Spec):
    """One object of tokens; none where the shard gives nothing to this side."""

    object: str | None
    tokens: int
    bytes: int


class _TokenShard(Spec):
    """What `tokens/KEY.json` holds."""

    train: _Side
    held_out: _Side
    skipped: int


def open_streams(dataset: Dataset, tokenizer: Tokenizer, settings: DataSettings) -> TokenStreams:
    """Open a dataset version as tokens, encoding what is not encoded yet.

    Raises:
        UnknownCharactersError: The vocabulary lacks characters and `settings.unknown` is `error`; counts all text.
        DataError: A text shard is missing or damaged.
    """
    shards = []
    unknown: Counter[str] = Counter()
    for text in dataset.manifest.shards:
        try:
            shards.append(_open_shard(dataset, text, tokenizer, settings))
        except UnknownCharactersError as error:
            unknown.update(error.counts)
    if unknown:
        raise UnknownCharactersError(unknown, tokenizer.vocabulary_size)
    dtype = id_type(tokenizer.vocabulary_size)
    return TokenStreams(
        TokenStream([_map(dataset.objects, shard.train, dtype) for shard in shards], tokenizer.boundary),
        TokenStream([_map(dataset.objects, shard.held_out, dtype) for shard in shards], tokenizer.boundary),
        tokenizer.boundary,
        tokenizer.byte_lengths,
        sum(shard.train.bytes for shard in shards),
        sum(shard.held_out.bytes for shard in shards),
        sum(shard.skipped for shard in shards),
        tuple(Piece(shard.train.object, shard.train.tokens, shard.held_out.tokens) for shard in shards),
    )


def id_type(vocabulary_size: int) -> np.dtype[Any]:
    """How ids are stored: little-endian, 2 bytes while that suffices, else 4."""
    return np.dtype("<u2" if vocabulary_size <= 65_535 else "<u4")


def _open_shard(dataset: Dataset, text: TextShard, tokenizer: Tokenizer, settings: DataSettings) -> _TokenShard:
    key = hash_json(
        {
            "format": 2,
            "text": text.text,
            "index": text.index,
            "tokenizer": tokenizer_hash(tokenizer),
            "held_out": settings.held_out,
            "smallest_split": WINDOWS_TO_SPLIT * settings.sequence_length,
            "unknown": settings.unknown,
        }
    )
    path = dataset.folder / "tokens" / f"{key}.json"
    if path.is_file():
        try:
            shard = _TokenShard.model_validate(read_json(path))
        except (DataError, ValidationError):
            shard = None  # a damaged note about what can be made again
        if shard is not None and all(
            side.object is None or dataset.objects.verify(side.object) for side in (shard.train, shard.held_out)
        ):
            return shard
    shard = _encode_shard(dataset.objects, text, tokenizer, settings)
    write_json(path, shard.model_dump(mode="json"))
    return shard


def _encode_shard(objects: ObjectStore, text: TextShard, tokenizer: Tokenizer, settings: DataSettings) -> _TokenShard:
    path = objects.check(text.text)
    unknown: Counter[str] = Counter()
    with objects.writer() as train_file, objects.writer() as held_out_file:
        train = _SideWriter(train_file, tokenizer)
        held_out = _SideWriter(held_out_file, tokenizer)
        for entry in read_entries(objects, text):
            for piece, is_held_out in sides(read_document(path, entry), settings):
                unknown.update(tokenizer.unknown_characters(piece))
                if unknown and settings.unknown == "error":
                    continue  # nothing will be kept, but all that is unknown is to be named
                (held_out if is_held_out else train).write(tokenizer.encode(piece, "skip"))
            train.close_segment()
            held_out.close_segment()
        if unknown and settings.unknown == "error":
            raise UnknownCharactersError(unknown, tokenizer.vocabulary_size)
    return _TokenShard(train=train.side(), held_out=held_out.side(), skipped=sum(unknown.values()))


class _SideWriter:
    def __init__(self, file: ObjectWriter, tokenizer: Tokenizer) -> None:
        self._file = file
        self._type = id_type(tokenizer.vocabulary_size)
        self._boundary = np.array([tokenizer.boundary], self._type)
        self._byte_lengths = tokenizer.byte_lengths
        self._open = False
        self._tokens = 0
        self._bytes = 0

    def write(self, ids: TokenIds) -> None:
        if len(ids):
            self._file.write(ids.astype(self._type, copy=False).data)
            self._open = True
            self._tokens += len(ids)
            self._bytes += int(self._byte_lengths[ids].sum(dtype=np.int64))

    def close_segment(self) -> None:
        if self._open:
            self._file.write(self._boundary.data)
            self._tokens += 1
            self._open = False

    def side(self) -> _Side:
        return _Side(object=self._file.id if self._tokens else None, tokens=self._tokens, bytes=self._bytes)


def _map(objects: ObjectStore, side: _Side, dtype: np.dtype[Any]) -> NDArray[Any]:
    if side.object is None:
        return np.empty(0, dtype)
    # A plain view of the mapping: slicing the subclass costs several times as much.
    return np.asarray(np.memmap(objects.path(side.object), dtype, mode="r"))
