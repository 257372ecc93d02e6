"""Tokenizers as others read them: the same ids, and back."""

import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError, UsageError
from treadle.data.tokenizers.definitions import boundary_name, definition_of
from treadle.data.tokenizers.exchange import bpe_definition, from_definition
from treadle.data.tokenizers.gguf_vocabulary import OWN, vocabulary_facts, vocabulary_of
from treadle.data.tokenizers.huggingface import HuggingFaceTokenizer
from treadle.data.tokenizers.tokenizer import tokenizer_hash, train_tokenizer

TEXT = (
    "First Citizen:\nBefore we proceed any further, hear me speak. \tIt's 1595 — «Ünïcödé» 日本語 \\ \\n\x01\r\n" * 20
)
CHOICES = ["bytes", "char", "bpe:400", "unigram:380"]
LETTERS = st.text(st.sampled_from(sorted(set(TEXT))), max_size=60)


@cache
def made(choice):
    return train_tokenizer(choice, [TEXT])


@cache
def theirs(choice):
    tokenizers = pytest.importorskip("tokenizers", reason="the extra `tokenizers` is not installed")
    library = tokenizers.Tokenizer.from_str(json.dumps(definition_of(made(choice))))
    library.encode_special_tokens = True
    return library


@settings(max_examples=60, deadline=None)
@given(text=LETTERS, choice=st.sampled_from(CHOICES))
def test_hugging_faces_library_gives_the_same_ids_and_text(text, choice):
    ours, library = made(choice), theirs(choice)
    ids = ours.encode(text).tolist()
    assert library.encode(text, add_special_tokens=False).ids == ids
    assert library.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("choice", CHOICES)
def test_the_boundary_has_its_own_id_there(choice):
    ours, library = made(choice), theirs(choice)
    assert library.token_to_id(boundary_name(ours)) == ours.boundary
    assert library.get_vocab_size() == ours.vocabulary_size


def test_a_foreign_tokenizer_without_a_boundary_gets_one():
    definition = {**bpe_definition(made("bpe:400")), "added_tokens": []}
    foreign = HuggingFaceTokenizer(json.dumps(definition))
    assert foreign.boundary == len(definition["model"]["vocab"])
    assert definition_of(foreign)["added_tokens"][-1]["id"] == foreign.boundary
    assert boundary_name(foreign) == "<|endoftext|>"


@pytest.mark.parametrize("choice", ["bytes", "char", "bpe:400"])
def test_a_definition_comes_back_as_our_own(choice):
    assert tokenizer_hash(from_definition(definition_of(made(choice)))) == tokenizer_hash(made(choice))


def test_what_only_resembles_ours_is_run_by_its_own_library():
    definition = definition_of(made("bytes"))
    with pytest.raises(DataError, match="loses text"):
        from_definition({**definition, "normalizer": {"type": "NFC"}})
    without_boundary = from_definition({**definition, "added_tokens": []})
    assert without_boundary.kind == "huggingface"
    facts = vocabulary_facts(without_boundary)
    assert len(facts["tokenizer.ggml.tokens"]) == 257
    with pytest.raises(DataError):
        from_definition({**definition_of(made("char")), "added_tokens": []})


@pytest.mark.parametrize("choice", ["bytes", "char", "bpe:400"])
def test_gguf_gives_back_what_it_was_given(choice):
    ours = made(choice)
    facts = vocabulary_facts(ours)
    assert len(facts["tokenizer.ggml.tokens"]) == ours.vocabulary_size
    assert facts["tokenizer.ggml.eos_token_id"] == ours.boundary
    assert tokenizer_hash(vocabulary_of(facts)) == tokenizer_hash(ours)


def test_a_file_of_others_is_read_by_its_tokens_and_pairs():
    ours = made("bpe:400")
    facts = {key: value for key, value in vocabulary_facts(ours).items() if key != OWN}
    assert tokenizer_hash(vocabulary_of(facts)) == tokenizer_hash(ours)
    with pytest.raises(DataError, match="kind 'llama'"):
        vocabulary_of({**facts, "tokenizer.ggml.model": "llama"})
    with pytest.raises(DataError, match="cut by 'tekken'"):
        vocabulary_of({**facts, "tokenizer.ggml.pre": "tekken"})
    with pytest.raises(DataError, match="no vocabulary"):
        vocabulary_of({})
    with pytest.raises(DataError, match="is damaged"):
        vocabulary_of({**facts, OWN: "{"})


def test_what_llama_cpp_has_no_tokenizer_for_is_refused():
    for unigram in (made("unigram:380"), HuggingFaceTokenizer(json.dumps(definition_of(made("unigram:380"))))):
        with pytest.raises(UsageError, match=r"kind unigram .* by its bytes .* --to huggingface"):
            vocabulary_facts(unigram)
    odd = bpe_definition(made("bpe:400"))
    odd["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\S+|\s+"
    with pytest.raises(UsageError, match="patterns of GPT-2 and Qwen2"):
        vocabulary_facts(HuggingFaceTokenizer(json.dumps(odd)))
