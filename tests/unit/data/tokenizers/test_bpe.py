from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError
from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.tokenizer import tokenizer_hash, train_tokenizer

PLAY = bundled_text("shakespeare").read_text(encoding="utf-8")[:200_000]


def plainly_merged(text: str, tokens: tuple[bytes, ...]) -> list[bytes]:
    """The definition, with nothing clever: merge the pair of lowest rank, leftmost first, until none is left."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    parts = [bytes([byte]) for byte in text.encode()]
    while True:
        known = [(ranks[a + b], n) for n, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in ranks]
        if not known:
            return parts
        place = min(known)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def test_ids_are_bytes_then_merges_and_the_boundary_comes_last() -> None:
    tokenizer = BpeTokenizer.train(["aaab aaab aaab"], 259)
    assert tokenizer.tokens[:256] == tuple(bytes([byte]) for byte in range(256))
    assert tokenizer.tokens[256] == b"aa"
    assert (tokenizer.vocabulary_size, tokenizer.boundary) == (259, 258)


def test_a_text_that_is_used_up_gives_a_smaller_vocabulary() -> None:
    assert BpeTokenizer.train(["ab"], 8192).vocabulary_size == 258


@settings(deadline=None, max_examples=60)
@given(word=st.text(alphabet="abcehiost", max_size=24))
def test_a_word_is_cut_as_the_definition_says(word: str) -> None:
    tokenizer = trained(512)
    assert [tokenizer.token_bytes(n) for n in tokenizer.encode(word).tolist()] == plainly_merged(word, tokenizer.tokens)


_TRAINED: dict[int, BpeTokenizer] = {}


def trained(vocabulary: int) -> BpeTokenizer:
    if vocabulary not in _TRAINED:
        _TRAINED[vocabulary] = BpeTokenizer.train([PLAY], vocabulary)
    return _TRAINED[vocabulary]


def test_more_ids_say_a_text_with_fewer_tokens() -> None:
    lengths = [len(trained(vocabulary).encode(PLAY)) for vocabulary in (300, 512, 2048)]
    assert len(PLAY) > lengths[0] > 1.2 * lengths[1] > 1.2 * lengths[2]


def test_the_order_of_the_texts_does_not_matter() -> None:
    texts = [PLAY[start : start + 7_000] for start in range(0, 70_000, 7_000)]
    straight = tokenizer_hash(BpeTokenizer.train(texts, 700))
    assert tokenizer_hash(BpeTokenizer.train(reversed(texts), 700)) == straight
    assert tokenizer_hash(BpeTokenizer.train(texts[5:] + texts[:5], 700)) == straight


@pytest.mark.parametrize("choice", ["bpe:400", "unigram:400"])
def test_another_process_with_other_threads_learns_the_same(choice: str) -> None:
    script = (
        "from treadle.data.tokenizers.tokenizer import *\nfrom treadle.data.bundled.texts import bundled_text\n"
        f"print(tokenizer_hash(train_tokenizer('{choice}', [bundled_text('shakespeare').read_text()[:40_000]])))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
        ).stdout.strip()
        for threads in ("1", "2")
    }
    assert found == {tokenizer_hash(train_tokenizer(choice, [PLAY[:40_000]]))}


def test_ids_are_narrow_while_that_suffices() -> None:
    assert trained(512).encode("to be").dtype == np.uint16
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [bytes([a, b]) for a in range(256) for b in range(256)]
    assert BpeTokenizer(tokens).encode("to be").dtype == np.uint32


def test_a_wide_vocabulary_is_stored_and_read_in_full() -> None:
    tokens = [bytes([byte]) for byte in range(256)] + [bytes([a, b]) for a in range(200) for b in range(250)]
    tokenizer = BpeTokenizer(tokens)
    again = BpeTokenizer.from_description(tokenizer.describe())
    assert again.tokens == tokenizer.tokens
    assert again.vocabulary_size == 50_257


@pytest.mark.parametrize(
    "tokens", [[], [b"a"], [bytes([byte]) for byte in range(255)], [*(bytes([b]) for b in range(256)), b"ab", b"ab"]]
)
def test_a_vocabulary_without_all_bytes_or_with_one_twice_is_refused(tokens: list[bytes]) -> None:
    with pytest.raises(DataError, match="every single byte"):
        BpeTokenizer(tokens)


def test_damaged_tokens_are_refused_in_words() -> None:
    description = {**trained(300).describe(), "tokens": "a b \u20ac"}
    with pytest.raises(DataError, match="damaged"):
        BpeTokenizer.from_description(description)


@pytest.mark.parametrize("choice", ["bpe", "unigram"])
@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_gives_no_vocabulary(choice: str, texts: list[str]) -> None:
    with pytest.raises(DataError, match="Feed some first"):
        train_tokenizer(choice, texts)


def test_endless_runs_can_be_learned_from_and_no_token_is_endless() -> None:
    tokenizer = BpeTokenizer.train([" " * 1_000_000, "x" * 300_000], 300)
    assert 260 < tokenizer.vocabulary_size <= 300
    assert tokenizer.byte_lengths.max() <= 8192


def test_a_token_too_long_to_be_counted_is_refused() -> None:
    with pytest.raises(DataError, match="more than 65,535 bytes"):
        BpeTokenizer([*(bytes([byte]) for byte in range(256)), b"x" * 70_000])


def test_neither_training_nor_encoding_loads_what_talks_to_the_network() -> None:
    script = (
        "import sys, socket\n"
        "def refuse(*_, **__): raise AssertionError('a socket')\n"
        "socket.socket = refuse\n"
        "from treadle.data.tokenizers.bpe import BpeTokenizer\n"
        "t = BpeTokenizer.train(['to be or not to be'], 270)\n"
        "t.decode(t.encode('to be'))\n"
        "assert not {'requests', 'urllib3', 'regex', 'httpx', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
