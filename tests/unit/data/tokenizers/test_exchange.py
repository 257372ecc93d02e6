from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError, UsageError
from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.exchange import merges_of, read_tokenizer, write_tokenizer
from treadle.data.tokenizers.huggingface import HuggingFaceTokenizer
from treadle.data.tokenizers.tokenizer import tokenizer_hash

if TYPE_CHECKING:
    from pathlib import Path

PLAY = bundled_text("shakespeare").read_text(encoding="utf-8")[:200_000]
OURS = BpeTokenizer.train([PLAY, "日本語 жшю λλλ aaaa abab " * 50], 1500)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exchange") / "tokenizer.json"
    write_tokenizer(OURS, path)
    return path


def theirs() -> Any:
    from tokenizers import Tokenizer

    if not _THEIRS:
        from treadle.data.tokenizers.exchange import bpe_definition

        _THEIRS.append(Tokenizer.from_str(json.dumps(bpe_definition(OURS))))
        _THEIRS[0].encode_special_tokens = True
    return _THEIRS[0]


_THEIRS: list[Any] = []


def test_hugging_face_reads_the_file_and_gives_the_same_ids(file: Path) -> None:
    from tokenizers import Tokenizer

    foreign = Tokenizer.from_file(str(file))
    assert foreign.get_vocab_size() == OURS.vocabulary_size
    assert foreign.token_to_id("<|endoftext|>") == OURS.boundary
    ids = foreign.encode(PLAY[50_000:150_000], add_special_tokens=False).ids
    assert ids == OURS.encode(PLAY[50_000:150_000]).tolist()
    assert foreign.decode(ids) == PLAY[50_000:150_000]


@settings(deadline=None, max_examples=150)
@given(text=st.text(alphabet=st.sampled_from("abcdehilnorst  \n\t'.,!0159ABTéß日本жшюλ😀\u0301"), max_size=80))
def test_the_same_ids_come_of_any_text_of_known_scripts(text: str) -> None:
    assert theirs().encode(text, add_special_tokens=False).ids == OURS.encode(text).tolist()


@settings(deadline=None, max_examples=60)
@given(word=st.text(alphabet="ab", max_size=60))
def test_the_same_ids_come_of_runs_that_overlap(word: str) -> None:
    assert theirs().encode(word, add_special_tokens=False).ids == OURS.encode(word).tolist()


def test_what_was_written_is_read_back_as_the_same_tokenizer(file: Path) -> None:
    assert tokenizer_hash(read_tokenizer(file)) == tokenizer_hash(OURS)


def test_every_token_is_merged_from_two_of_lower_rank() -> None:
    merges = merges_of(OURS.tokens)
    assert merges is not None
    assert [left + right for left, right in merges] == list(OURS.tokens[256:])


def test_a_vocabulary_that_is_not_made_of_pairs_cannot_be_written(tmp_path: Path) -> None:
    odd = BpeTokenizer([*(bytes([byte]) for byte in range(256)), b"abc"])
    with pytest.raises(DataError, match="not made of pairs"):
        write_tokenizer(odd, tmp_path / "odd.json")


def test_other_kinds_are_written_in_our_own_form(tmp_path: Path) -> None:
    tokenizer = CharTokenizer("abc")
    write_tokenizer(tokenizer, tmp_path / "char.json")
    assert tokenizer_hash(read_tokenizer(tmp_path / "char.json")) == tokenizer_hash(tokenizer)


def changed(file: Path, path: Path, **parts: Any) -> Path:
    path.write_text(json.dumps({**json.loads(file.read_text()), **parts}))
    return path


def test_a_file_with_further_tokens_is_kept_as_it_is(file: Path, tmp_path: Path) -> None:
    definition = json.loads(file.read_text())
    special = {**definition["added_tokens"][0], "id": OURS.boundary + 1, "content": "<|user|>"}
    path = changed(file, tmp_path / "t.json", added_tokens=[*definition["added_tokens"], special])
    tokenizer = read_tokenizer(path)
    assert isinstance(tokenizer, HuggingFaceTokenizer)
    assert (tokenizer.boundary, tokenizer.vocabulary_size) == (OURS.boundary, OURS.vocabulary_size + 1)
    assert tokenizer.decode(tokenizer.encode("<|user|> hi")) == "<|user|> hi"
    write_tokenizer(tokenizer, tmp_path / "again.json")
    assert tokenizer_hash(read_tokenizer(tmp_path / "again.json")) == tokenizer_hash(tokenizer)


def test_gpt2s_way_of_cutting_is_known(file: Path, tmp_path: Path) -> None:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    path = changed(file, tmp_path / "t.json", pre_tokenizer=level)
    tokenizer = read_tokenizer(path)
    assert isinstance(tokenizer, BpeTokenizer)
    assert tokenizer.pattern != OURS.pattern
    text = PLAY[:5_000] + "it's 123  4 !?\n\n ok"
    assert tokenizer.encode(text).tolist() == HuggingFaceTokenizer(path.read_text()).encode(text).tolist()


def test_a_pattern_that_only_their_engine_reads_is_left_to_it(file: Path, tmp_path: Path) -> None:
    definition = json.loads(file.read_text())
    split = {
        **definition["pre_tokenizer"]["pretokenizers"][0],
        "pattern": {"Regex": r"\p{Alpha}+|[^\p{^Alpha}&&\d]+|\s+|\y"},
    }
    parts = {"type": "Sequence", "pretokenizers": [split, definition["pre_tokenizer"]["pretokenizers"][1]]}
    assert isinstance(read_tokenizer(changed(file, tmp_path / "t.json", pre_tokenizer=parts)), HuggingFaceTokenizer)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "loses text.*comes back as"),
        ({"decoder": None}, "not byte-level"),
        ({"model": {"type": "Nonsense"}}, "no tokenizer.json"),
    ],
)
def test_what_would_lose_text_is_refused_with_the_reason(
    file: Path, tmp_path: Path, parts: dict[str, Any], reason: str
) -> None:
    path = changed(file, tmp_path / "lossy.json", **parts)
    with pytest.raises(DataError, match=rf"(?s)lossy\.json cannot be used: .*{reason}"):
        read_tokenizer(path)


def test_a_vocabulary_with_single_bytes_to_fall_back_on_is_read(tmp_path: Path) -> None:
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"\u2581": 256, "a": 257, "\u2581a": 258}
    definition = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        "pre_tokenizer": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {"type": "BPE", "byte_fallback": True, "unk_token": None, "vocab": vocabulary, "merges": ["\u2581 a"]},
    }
    path = tmp_path / "fallback.json"
    path.write_text(json.dumps(definition))
    tokenizer = read_tokenizer(path)
    assert (tokenizer.vocabulary_size, tokenizer.boundary) == (260, 259)
    assert tokenizer.decode(tokenizer.encode("a a é\n")) == "a a é\n"
    assert 258 in tokenizer.encode("b a")


@pytest.mark.parametrize("content", ["[]", "{}", '{"model": 3}', "not json"])
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "none.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"none\.json"):
        read_tokenizer(path)


def test_an_absent_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="treadle tokenizer train"):
        read_tokenizer(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("library", "call"),
    [
        ("sentencepiece", "train_tokenizer('unigram', ['text'])"),
        ("tokenizers", "tokenizer_from_description({'kind': 'huggingface', 'definition': '{}'})"),
    ],
)
def test_without_the_extra_the_error_says_what_to_install(library: str, call: str) -> None:
    script = (
        f"import sys; sys.modules['{library}'] = None\n"
        "from treadle.base.errors import MissingExtraError\n"
        "from treadle.data.tokenizers.tokenizer import *\n"
        f"try:\n    {call}\nexcept MissingExtraError as error:\n    assert 'treadle[tokenizers]' in str(error)\n"
        "else:\n    raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
