"""The suite that every tokenizer in the catalogue must pass."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError
from treadle.data.tokenizers.catalog import TOKENIZERS
from treadle.data.tokenizers.choice import FILE
from treadle.data.tokenizers.huggingface import HuggingFaceTokenizer
from treadle.data.tokenizers.tokenizer import (
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
    tokenizer_from_description,
    tokenizer_hash,
    train_tokenizer,
)

if TYPE_CHECKING:
    from pathlib import Path

EVERY_BYTE = bytes(range(256)).decode("latin-1")
TEXTS = {
    "empty": "",
    "one": "a",
    "prose": "First Citizen:\nBefore we proceed any further, hear me speak.\n\n",
    "every byte as a character": EVERY_BYTE,
    "NUL": "a\0b\0\0",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \U0001f600",
    "scripts": "Ελληνικά русский 日本語 हिन्दी العربية \u202eabc\u202c",
    "highest": "\U0010ffff\ufffd\ufeff",
    "line ends": "a\r\nb\rc\u2028d\n",
    "looks special": "<|endoftext|> <boundary> <|user|></s><unk><s><0x41> \\u0000 256 Ġ \u2581 ▁▁a",
    "white space": "  a   b\n\n\n  \t\t c    ",
}


CHOICES = ["bytes", "char", "bpe:400", "unigram:400", FILE]
"""One of each kind, with vocabularies that the texts suffice for."""


@cache
def made(choice: str) -> Tokenizer:
    return HuggingFaceTokenizer(foreign_definition()) if choice == FILE else train_tokenizer(choice, TEXTS.values())


def foreign_definition() -> str:
    """A tokenizer.json by another maker: learned by its own library, with three special tokens."""
    from tokenizers import Tokenizer as Foreign
    from tokenizers import decoders, models, pre_tokenizers, trainers

    foreign = Foreign(models.BPE())
    foreign.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    foreign.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|user|>", "<boundary>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    foreign.train_from_iterator(list(TEXTS.values()), trainer)
    return str(foreign.to_str())


@pytest.fixture(scope="module", params=CHOICES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return made(request.param)


def test_every_kind_of_the_catalogue_is_in_this_suite() -> None:
    assert {choice.partition(":")[0] for choice in CHOICES} == set(TOKENIZERS.names())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_decoding_gives_back_what_was_encoded(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype in (np.uint16, np.uint32)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids.tolist()) == text


@settings(deadline=None, max_examples=50)
@given(text=st.text())
@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "char"])
def test_any_text_at_all_comes_back(choice: str, text: str) -> None:
    tokenizer = made(choice)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids.tolist())) == text.encode()
    assert tokenizer.boundary not in ids


@settings(deadline=None, max_examples=50)
@given(text=st.text(alphabet=sorted(set("".join(TEXTS.values())))), cuts=st.lists(st.integers(1, 5)))
@pytest.mark.parametrize("choice", CHOICES)
def test_a_stream_decodes_like_the_whole_wherever_it_is_cut(choice: str, text: str, cuts: list[int]) -> None:
    tokenizer = made(choice)
    ids = tokenizer.encode(text)
    decoder = tokenizer.decoder()
    given_out = []
    start = 0
    for cut in cuts:
        given_out.append(decoder.push(ids[start : start + cut]))
        start += cut
    given_out.append(decoder.push(ids[start:]))
    assert "".join(given_out) + decoder.finish() == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_gives_the_boundary_and_ids_are_inside_the_vocabulary(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.boundary not in ids
    assert tokenizer.encode("").size == 0
    assert (ids < tokenizer.vocabulary_size).all()
    assert 0 <= tokenizer.boundary < tokenizer.vocabulary_size


def test_the_boundary_decodes_to_nothing(tokenizer: Tokenizer) -> None:
    a, b = tokenizer.encode("a").tolist(), tokenizer.encode("b").tolist()
    boundary = [tokenizer.boundary]
    assert tokenizer.decode(boundary + a + boundary + boundary + b + boundary) == "ab"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_byte_lengths_add_up_to_the_bytes_of_the_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.byte_lengths.shape == (tokenizer.vocabulary_size,)
    assert tokenizer.byte_lengths[tokenizer.boundary] == 0
    assert int(tokenizer.byte_lengths[tokenizer.encode(text)].sum()) == len(text.encode())


def test_saving_and_loading_keeps_the_hash_and_the_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    digest = save_tokenizer(tokenizer, path)
    loaded = load_tokenizer(path)
    assert tokenizer_hash(loaded) == digest == tokenizer_hash(tokenizer)
    assert (loaded.kind, loaded.vocabulary_size, loaded.boundary) == (
        tokenizer.kind,
        tokenizer.vocabulary_size,
        tokenizer.boundary,
    )
    assert loaded.encode(TEXTS["scripts"]).tolist() == tokenizer.encode(TEXTS["scripts"]).tolist()


def test_a_description_is_plain_json(tokenizer: Tokenizer) -> None:
    description = json.loads(json.dumps(tokenizer.describe()))
    assert tokenizer_hash(tokenizer_from_description(description)) == tokenizer_hash(tokenizer)


def test_a_description_with_more_than_its_keys_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError):
        tokenizer_from_description({**tokenizer.describe(), "surprise": 1})


def test_the_bytes_of_an_id_are_those_that_its_length_counts(tokenizer: Tokenizer) -> None:
    for token in range(tokenizer.vocabulary_size):
        assert len(tokenizer.token_bytes(token)) == tokenizer.byte_lengths[token]
    assert tokenizer.token_bytes(tokenizer.boundary) == b""


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "char"])
def test_every_byte_has_an_id_so_nothing_is_ever_unknown(choice: str) -> None:
    tokenizer = made(choice)
    assert {tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size)} >= {
        bytes([byte]) for byte in range(256)
    }
    assert tokenizer.unknown_characters("\U0010fffe never seen") == {}


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "char"])
def test_bytes_that_are_no_text_become_replacement_characters(choice: str) -> None:
    tokenizer = made(choice)
    single = {tokenizer.token_bytes(token): token for token in range(tokenizer.vocabulary_size)}
    invalid = b"a\xff\xc3(\xe2\x82b\xf0\x9f"
    assert tokenizer.decode([single[bytes([byte])] for byte in invalid]) == invalid.decode(errors="replace")
    assert tokenizer.decode([single[b"\xc3"], tokenizer.boundary, single[b"\xa9"]]) == "\ufffd\ufffd"


@pytest.mark.parametrize("text", [" " * 300_000, "\t " * 150_000 + "x", "a" * 300_000, "!" * 70_000, "\r\n" * 50_000])
def test_endless_runs_are_encoded_in_little_time(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, "skip")) in {text, text.translate({ord(c): "" for c in "!\t"})}


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_an_id_outside_the_vocabulary_is_named(tokenizer: Tokenizer, wrong: int) -> None:
    with pytest.raises(DataError, match=f"Token id {wrong} is outside the vocabulary"):
        tokenizer.decode([*tokenizer.encode("ab").tolist(), wrong])
    with pytest.raises(DataError, match=f"Token id {wrong} is outside the vocabulary"):
        tokenizer.token_bytes(wrong)


def test_half_a_surrogate_pair_is_refused_in_words(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"U\+D800|U\+DCFF"):
        tokenizer.encode("a\udcff")


def test_a_damaged_file_is_refused_by_name(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    path.write_text(path.read_text().replace(f'"kind": "{tokenizer.kind}"', '"kind": "char2"'))
    with pytest.raises(DataError, match=r"tokenizer\.json is damaged"):
        load_tokenizer(path)


@pytest.mark.parametrize("content", ["[]", '{"tokenizer": 3}'])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(DataError, match="not a stored tokenizer"):
        load_tokenizer(path)


def test_a_description_without_a_kind_is_refused() -> None:
    with pytest.raises(DataError, match="kind"):
        tokenizer_from_description({})
