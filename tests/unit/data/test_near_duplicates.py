from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from treadle.data.near_duplicates import BANDS, band_keys, clusters, jaccard, runs_of
from treadle.data.words_in_numbers import word_numbers

WORDS = [f"word{number}" for number in range(3000)]


def text_of(chance: random.Random, length: int = 300) -> str:
    return " ".join(chance.choices(WORDS, k=length))


def changed(text: str, places: int, chance: random.Random) -> str:
    words = text.split()
    for place in chance.sample(range(len(words)), places):
        words[place] = "changed"
    return " ".join(words)


def keys_of(texts: list[str]) -> np.ndarray:
    return np.stack([band_keys(runs_of(word_numbers(text.split()))) for text in texts])


def found(texts: list[str], ids: list[str], similarity: float = 0.8) -> list[list[str]]:
    made = clusters(keys_of(texts), ids, lambda place: [texts[place]], similarity)
    return [[ids[place] for place in cluster.members] for cluster in made]


def test_documents_that_share_most_runs_are_one_cluster_and_others_are_none() -> None:
    chance = random.Random(1)
    base = text_of(chance)
    texts = [base, changed(base, 4, chance), text_of(chance), changed(base, 120, chance)]
    assert found(texts, ["d", "b", "c", "a"]) == [["b", "d"]]


def test_case_and_punctuation_do_not_make_another_document() -> None:
    assert found(["To be, or not to be: that is!", "to be or not TO BE that is"], ["x", "y"]) == [["x", "y"]]


def test_clusters_do_not_depend_on_the_order_of_documents() -> None:
    chance = random.Random(2)
    texts, ids = [], []
    for group in range(12):
        base = text_of(chance, 120)
        for member in range(1 + group % 4):
            texts.append(changed(base, 2 * member, chance))
            ids.append(f"{chance.randrange(10**9):09d}")
    expected = found(texts, ids)
    assert len(expected) >= 8
    for _ in range(3):
        order = list(range(len(texts)))
        chance.shuffle(order)
        assert found([texts[place] for place in order], [ids[place] for place in order]) == expected


def test_a_chain_of_similar_documents_is_one_cluster() -> None:
    chance = random.Random(3)
    chain = [text_of(chance)]
    for _ in range(5):
        chain.append(changed(chain[-1], 3, chance))
    assert all(jaccard(*(runs_of(word_numbers(t.split())) for t in pair)) > 0.85 for pair in pairwise(chain))
    assert found(chain, list("fedcba")) == [list("abcdef")]


@pytest.mark.parametrize(("places", "least"), [(4, 0.99), (8, 0.9)])
def test_nearly_all_pairs_above_the_threshold_are_found(places: int, least: float) -> None:
    chance = random.Random(4)
    hits = total = 0
    for _ in range(80):
        base = text_of(chance, 400)
        other = changed(base, places, chance)
        if jaccard(*(runs_of(word_numbers(t.split())) for t in (base, other))) >= 0.8:
            total += 1
            hits += bool(found([base, other], ["a", "b"]))
    assert total > 25
    assert hits / total >= least


def test_short_texts_have_keys_and_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert runs_of(word_numbers(["...", "!"])).size == 0
    assert band_keys(runs_of(word_numbers([]))).shape == (BANDS,)
    assert found(["hi", "Hi!", "--", "??"], ["a", "b", "c", "d"]) == [["a", "b"]]


def test_words_have_the_same_numbers_everywhere() -> None:
    assert word_numbers(["Loom", "loom,", "--"]).tolist() == [word_numbers(["loom"])[0]] * 2 + [0]
    assert int(band_keys(runs_of(word_numbers(["the", "quick", "brown", "fox", "jumps", "over"])))[0]) == EXPECTED_KEY


EXPECTED_KEY = 6016092139638345547
