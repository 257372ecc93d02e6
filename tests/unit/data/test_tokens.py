from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.data import tokens
from treadle.data.config import DataSettings
from treadle.data.document import PIECE, Document
from treadle.data.splits import sides
from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.tokenizer import Tokenizer, UnknownCharactersError
from treadle.data.tokens import TokenStream, TokenStreams, open_streams

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.versions import Dataset, DatasetVersions

SETTINGS = DataSettings(sequence_length=8)


def dataset_of(versions: DatasetVersions, *texts: str) -> Dataset:
    return versions.add(Document.from_text(text, f"{number}.txt") for number, text in enumerate(texts))


def ids_of(stream: TokenStream) -> list[int]:
    return stream.read(0, len(stream)).tolist()


def segments(streams: TokenStreams, tokenizer: Tokenizer, stream: TokenStream) -> list[str]:
    ids = np.array(ids_of(stream))
    ends = np.flatnonzero(ids == streams.boundary)
    assert ends[0] == 0
    assert ends[-1] == len(ids) - 1
    return [
        tokenizer.decode(ids[first + 1 : last])
        for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]


def test_a_stream_is_a_boundary_and_then_each_segment_closed_by_one(versions: DatasetVersions) -> None:
    streams = open_streams(
        dataset_of(versions, "ab", "c"), BytesTokenizer(), DataSettings(sequence_length=8, held_out=0)
    )
    assert ids_of(streams.train) == [256, 97, 98, 256, 99, 256]
    assert ids_of(streams.held_out) == [256]
    assert (streams.train.targets, streams.held_out.targets, streams.targets) == (5, 0, 5)
    assert (streams.train_bytes, streams.held_out_bytes, streams.skipped) == (3, 0, 0)


@pytest.mark.parametrize("kind", ["bytes", "char"])
def test_no_text_is_on_both_sides_and_none_is_lost(versions: DatasetVersions, kind: str) -> None:
    texts = [f"{number} ä{'xyz' * (number * 7 % 90)}" for number in range(60)]
    dataset = dataset_of(versions, *texts)
    tokenizer: Tokenizer = BytesTokenizer() if kind == "bytes" else CharTokenizer.train(texts)
    streams = open_streams(dataset, tokenizer, SETTINGS)
    trained = segments(streams, tokenizer, streams.train)
    held_out = segments(streams, tokenizer, streams.held_out)
    rest = list(held_out)
    remaining = list(trained)
    for document in dataset.documents():
        for piece, is_held_out in sides(document, SETTINGS):
            assert (rest if is_held_out else remaining).pop(0) == piece
    assert (remaining, rest) == ([], [])
    assert not set(trained) & set(held_out)
    assert len(held_out) > 5
    assert streams.train_bytes + streams.held_out_bytes == sum(len(text.encode()) for text in texts)


def test_held_out_text_does_not_depend_on_the_tokenizer(versions: DatasetVersions) -> None:
    dataset = dataset_of(versions, "to be or not to be\n" * 200)
    by_bytes = open_streams(dataset, BytesTokenizer(), SETTINGS)
    by_char = open_streams(dataset, CharTokenizer.train(dataset.texts()), SETTINGS)
    by_bpe = open_streams(dataset, BpeTokenizer.train(dataset.texts(), 270), SETTINGS)
    assert by_bytes.held_out_bytes == by_char.held_out_bytes == by_bpe.held_out_bytes == 380
    assert len(by_bpe.held_out) < len(by_char.held_out)


def test_shards_are_made_once_and_shared_by_versions(versions: DatasetVersions) -> None:
    first = dataset_of(versions, "one " * 100)
    open_streams(first, BytesTokenizer(), SETTINGS)
    notes = sorted((versions.folder / "tokens").iterdir())
    stamps = [note.stat().st_mtime_ns for note in notes]
    second = versions.add([Document.from_text("two " * 100, "two")])
    streams = open_streams(second, BytesTokenizer(), SETTINGS)
    assert [note.stat().st_mtime_ns for note in notes] == stamps
    assert len(list((versions.folder / "tokens").iterdir())) == len(notes) + 1
    assert streams.train_bytes == 720


@pytest.mark.parametrize(
    "other",
    [SETTINGS.model_copy(update={"held_out": 0.2}), SETTINGS.model_copy(update={"sequence_length": 500})],
)
def test_other_split_settings_make_other_shards(versions: DatasetVersions, other: DataSettings) -> None:
    dataset = dataset_of(versions, *(f"{number} text " * 40 for number in range(20)))
    one = open_streams(dataset, BytesTokenizer(), SETTINGS)
    assert len(open_streams(dataset, BytesTokenizer(), other).held_out) != len(one.held_out)
    assert len(open_streams(dataset, BytesTokenizer(), SETTINGS).held_out) == len(one.held_out)


def token_files(dataset: Dataset) -> list[Path]:
    texts = {dataset.objects.path(name) for shard in dataset.manifest.shards for name in (shard.text, shard.index)}
    return sorted(path for path in dataset.objects.folder.rglob("*") if path.is_file() and path not in texts)


def test_a_damaged_or_missing_shard_is_made_again(versions: DatasetVersions) -> None:
    dataset = dataset_of(versions, "words and words " * 50)
    right = ids_of(open_streams(dataset, BytesTokenizer(), SETTINGS).train)
    for damage in ("flip", "cut", "remove", "note"):
        for path in token_files(dataset):
            path.chmod(0o644)
            if damage == "flip":
                path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
            elif damage == "cut":
                path.write_bytes(path.read_bytes()[:7])
            elif damage == "remove":
                path.unlink()
        if damage == "note":
            for note in (versions.folder / "tokens").iterdir():
                note.write_text("{")
        assert ids_of(open_streams(dataset, BytesTokenizer(), SETTINGS).train) == right
        assert all(dataset.objects.verify(path.name) for path in token_files(dataset))


def test_damaged_text_is_not_encoded(versions: DatasetVersions) -> None:
    dataset = dataset_of(versions, "words and words " * 50)
    text = dataset.objects.path(dataset.manifest.shards[0].text)
    text.chmod(0o644)
    text.write_bytes(text.read_bytes().replace(b"and", b"END"))
    with pytest.raises(DataError, match="damaged"):
        open_streams(dataset, BytesTokenizer(), SETTINGS)


def test_a_document_of_several_pieces_is_encoded_like_a_whole(versions: DatasetVersions) -> None:
    text = "ä€x" * PIECE
    dataset = dataset_of(versions, text)
    tokenizer = CharTokenizer("ä€x")
    streams = open_streams(dataset, tokenizer, SETTINGS)
    parts = list(sides(next(dataset.documents()), SETTINGS))
    for held, stream in enumerate((streams.train, streams.held_out)):
        assert segments(streams, tokenizer, stream) == ["".join(piece for piece, side in parts if side == held)]
    assert streams.train_bytes + streams.held_out_bytes == 6 * PIECE


def test_unknown_characters_are_counted_over_all_shards_and_nothing_is_kept(versions: DatasetVersions) -> None:
    dataset_of(versions, "abé", "éé", "ab")
    dataset = versions.add([Document.from_text("é ü", "more")])
    files = token_files(dataset)
    with pytest.raises(UnknownCharactersError) as error:
        open_streams(dataset, CharTokenizer("ab"), SETTINGS)
    assert error.value.counts == {"é": 4, "ü": 1, " ": 1}
    assert token_files(dataset) == files


def test_skipped_characters_are_counted(versions: DatasetVersions) -> None:
    settings = DataSettings(sequence_length=8, held_out=0, unknown="skip")
    streams = open_streams(dataset_of(versions, "aéb", "éé", "b"), CharTokenizer("ab"), settings)
    assert ids_of(streams.train) == [0, 1, 2, 0, 2, 0]
    assert (streams.skipped, streams.train_bytes) == (3, 3)


def test_a_large_vocabulary_is_stored_in_four_bytes(versions: DatasetVersions) -> None:
    characters = "".join(chr(point) for point in range(0x10000, 0x10000 + 66_000))
    tokenizer = CharTokenizer(characters)
    settings = DataSettings(sequence_length=8, held_out=0)
    streams = open_streams(dataset_of(versions, characters), tokenizer, settings)
    assert ids_of(streams.train) == [0, *range(1, 66_001), 0]


@pytest.mark.parametrize(("vocabulary", "bytes_each"), [(257, 2), (65_535, 2), (65_536, 4)])
def test_ids_are_stored_little_endian_and_as_narrow_as_the_vocabulary_allows(vocabulary: int, bytes_each: int) -> None:
    assert tokens.id_type(vocabulary).itemsize == bytes_each
    assert tokens.id_type(vocabulary).newbyteorder("<") == tokens.id_type(vocabulary)


def test_a_dataset_without_documents_gives_empty_streams(versions: DatasetVersions) -> None:
    from treadle.data.document import Refusal

    streams = open_streams(versions.add([Refusal("x", "empty", "?")]), BytesTokenizer(), SETTINGS)
    assert streams.targets == 0


def test_reading_across_parts_joins_them_and_reading_outside_is_refused() -> None:
    stream = TokenStream([np.array([1, 2], np.uint16), np.array([], np.uint16), np.array([3], np.uint16)], 9)
    assert len(stream) == 4
    for start in range(5):
        for stop in range(start, 5):
            assert stream.read(start, stop).tolist() == [9, 1, 2, 3][start:stop]
    for start, stop in ((-1, 2), (0, 5), (3, 2)):
        with pytest.raises(IndexError):
            stream.read(start, stop)
