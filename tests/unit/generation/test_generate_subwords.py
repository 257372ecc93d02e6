"""Streamed text where tokens are parts of characters, or more than a stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.unigram import UnigramTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.generate import Burst, Completion, GenerationRequest, generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.engine import Rows

TEXT = "the end of the END, né 日本語 👩\u200d👧 and on "
TOKENIZERS: dict[str, Tokenizer] = {
    "bpe": BpeTokenizer.train(["the end of the END and on " * 20], 300),
    "unigram": UnigramTokenizer.train(["the end of the END and on " * 20, "words to learn from\n" * 20], 300),
}
each = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())


class Dictated:
    """An engine that writes given ids, then the boundary."""

    name, precision, context, slots = "dictated", "fp32", 1000, 1

    def __init__(self, ids: Sequence[int], tokenizer: Tokenizer) -> None:
        self.vocabulary = tokenizer.vocabulary_size
        self._ids = [*ids, tokenizer.boundary]

    def step(self, rows: Rows) -> np.ndarray[Any, np.dtype[np.float32]]:
        logits = np.zeros((1, self.vocabulary), np.float32)
        logits[0, self._ids[int(rows.positions[-1])]] = 50
        return logits

    def close(self) -> None:
        """Nothing is held."""


def written(tokenizer: Tokenizer, *stop: str) -> tuple[list[str], Completion]:
    engine = Dictated(tokenizer.encode(TEXT).tolist(), tokenizer)
    request = GenerationRequest("", GenerationSettings(temperature=0, tokens=400, stop=stop))
    *bursts, done = generate(engine, tokenizer, [request])  # type: ignore[arg-type]
    assert isinstance(done, Completion)
    return [burst.text for burst in bursts if isinstance(burst, Burst)], done


@each
def test_a_character_of_several_tokens_comes_out_whole(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("日")) == 3
    bursts, done = written(tokenizer)
    assert done.text == "".join(bursts) == TEXT
    assert not any("\ufffd" in burst for burst in bursts)
    assert [burst for burst in bursts if "日" in burst or "👩" in burst] == ["日", "👩"]


@each
@pytest.mark.parametrize("stop", ["END", "nd of", "é 日", "本", " 👩\u200d", "e"])
def test_a_stop_counts_wherever_the_tokens_begin_and_end(tokenizer: Tokenizer, stop: str) -> None:
    bursts, done = written(tokenizer, stop)
    assert done.reason == "stop"
    assert done.text == "".join(bursts) == TEXT[: TEXT.index(stop)]


@each
def test_a_document_that_ends_inside_a_character_says_so_once(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("né日").tolist()[:-1]
    engine = Dictated(ids, tokenizer)
    *bursts, done = generate(engine, tokenizer, [GenerationRequest("", GenerationSettings(temperature=0))])  # type: ignore[arg-type]
    assert isinstance(done, Completion)
    assert done.text == "né\ufffd"
    assert done.reason == "boundary"
    assert "".join(burst.text for burst in bursts if isinstance(burst, Burst)) == done.text
