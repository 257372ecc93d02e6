from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from treadle.base.errors import UsageError
from treadle.data.config import DataSettings
from treadle.data.document import PIECE, Document
from treadle.data.splits import sides
from treadle.data.token_data import prepare_tokens
from treadle.data.tokenizers.learning import fitting, sampled, tokenizer_for, training_text
from treadle.data.tokenizers.tokenizer import stored_choice, tokenizer_hash
from treadle.data.versions import DatasetVersions

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.versions import Dataset
    from treadle.store.objects import ObjectStore

SETTINGS = DataSettings(sequence_length=8, tokenizer="bpe:400")
TEXTS = [f"speech {number}: " + f"the {number * 7919} winters of our discontent, " * 40 for number in range(40)]


def fed(tmp_path: Path, objects: ObjectStore, name: str, texts: list[str]) -> Dataset:
    return DatasetVersions(tmp_path / name, objects).add(Document.from_text(text, "x") for text in texts)


def test_held_out_text_never_shapes_the_vocabulary(versions: DatasetVersions) -> None:
    common, secret = "to be or not to be, that is the question; " * 400, "zyzzyva quixotry " * 80
    document = Document.from_text(common + secret, "x")
    held_out = "".join(piece for piece, held in sides(document, SETTINGS) if held)
    assert len(secret) < len(held_out)
    tokenizer, choice = tokenizer_for(versions.add([document]), SETTINGS)
    assert choice == "bpe:400"
    assert not any(b"zy" in tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size))
    nothing_held_out = SETTINGS.model_copy(update={"held_out": 0.0})
    other, _ = tokenizer_for(versions.add([Document.from_text("x " * 9, "y")]), nothing_held_out)
    assert any(b"zy" in other.token_bytes(token) for token in range(other.vocabulary_size))


def test_characters_of_held_out_text_are_known_all_the_same(versions: DatasetVersions) -> None:
    dataset = versions.add([Document.from_text("abc " * 500 + "Ω", "x")])
    tokenizer, _ = tokenizer_for(dataset, SETTINGS.model_copy(update={"tokenizer": "char"}))
    assert tokenizer.unknown_characters("Ω") == {}


@pytest.mark.parametrize("kind", ["bpe:400", "unigram:400", "char"])
def test_equal_datasets_give_equal_tokenizers_in_whatever_order_they_were_fed(
    tmp_path: Path, objects: ObjectStore, kind: str
) -> None:
    settings = SETTINGS.model_copy(update={"tokenizer": kind})
    straight = fed(tmp_path, objects, "one", TEXTS)
    turned = fed(tmp_path, objects, "two", TEXTS[::-1])
    assert straight.id == turned.id
    made = [tokenizer_hash(tokenizer_for(dataset, settings)[0]) for dataset in (straight, turned)]
    assert made[0] == made[1]


def test_a_sample_is_of_the_stated_size_and_does_not_hang_on_the_order(tmp_path: Path, objects: ObjectStore) -> None:
    straight, turned = fed(tmp_path, objects, "one", TEXTS), fed(tmp_path, objects, "two", TEXTS[::-1])
    whole = sum(map(len, training_text(straight, SETTINGS)))
    most = straight.manifest.bytes // 3
    pieces = list(training_text(straight, SETTINGS, most))
    assert 0.6 * whole / 3 < sum(map(len, pieces)) < 1.5 * whole / 3
    assert sorted(training_text(turned, SETTINGS, most)) == sorted(pieces)


def test_a_sample_of_one_long_document_comes_from_all_over_it() -> None:
    pieces = [f"{number}" for number in range(1000)]
    chosen = [int(piece) for piece in sampled([("id", pieces)], 1000, 250)]
    assert 200 < len(chosen) < 300
    assert chosen[0] < 30
    assert chosen[-1] > 970
    assert PIECE == 1 << 20


@pytest.mark.parametrize(("size", "kind"), [(0, "bytes"), (1 << 30, "bpe")])
def test_auto_goes_by_how_much_text_there_is(size: int, kind: str) -> None:
    assert fitting(size).kind == kind


def test_more_text_never_means_a_smaller_vocabulary() -> None:
    sizes = [fitting(1 << shift).vocabulary for shift in range(10, 32)]
    assert sizes == sorted(sizes)


def test_what_auto_decided_stays_when_more_is_fed(versions: DatasetVersions, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"tokenizer": "auto"})
    small = versions.add([Document.from_text(TEXTS[0], "x")])
    assert prepare_tokens(small, tmp_path, settings, 1, fix=False) is None
    prepared = prepare_tokens(small, tmp_path, settings, 1, fix=True)
    assert prepared is not None
    decided = stored_choice(tmp_path / "tokenizer.json")
    assert decided == str(fitting(small.manifest.bytes))
    large = versions.add([Document.from_text("more of it " * 200_000, "y")])
    assert str(fitting(large.manifest.bytes)) != decided
    again = prepare_tokens(large, tmp_path, settings, 1, fix=True)
    assert again is not None
    assert again.tokenizer == prepared.tokenizer
    named = settings.model_copy(update={"tokenizer": decided})
    assert prepare_tokens(large, tmp_path, named, 1, fix=True) is not None
    with pytest.raises(UsageError, match=f"with the {decided} tokenizer since its first training"):
        prepare_tokens(large, tmp_path, SETTINGS, 1, fix=True)


def test_a_file_must_be_named_by_its_whole_path(versions: DatasetVersions) -> None:
    dataset = versions.add([Document.from_text("a", "x")])
    with pytest.raises(UsageError, match="absolute path"):
        tokenizer_for(dataset, SETTINGS.model_copy(update={"tokenizer": "mine.json"}))
