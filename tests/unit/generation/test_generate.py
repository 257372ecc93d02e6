from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import DataError, UsageError, WeightsError
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokenizers.char import CharTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.generate import Burst, Completion, GenerationRequest, complete, generate, window_start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from treadle.generation.engine import Rows

TOKENIZER = BytesTokenizer()


def request(prompt: str | Sequence[int] = "", **settings: Any) -> GenerationRequest:
    return GenerationRequest(prompt, GenerationSettings(**{"temperature": 0, **settings}))


def test_an_empty_prompt_begins_a_document_and_its_end_ends_the_text(scripted: Callable[..., Any]) -> None:
    [done] = complete(scripted(b"To be."), TOKENIZER, [request()])
    assert (done.text, done.reason, done.prompt_ids) == ("To be.", "boundary", (TOKENIZER.boundary,))
    assert done.ids == tuple(b"To be.")
    assert (done.engine, done.precision, done.unread) == ("script", "fp32", 0)


def test_an_empty_document_is_never_written(scripted: Callable[..., Any]) -> None:
    [done] = complete(scripted(b""), TOKENIZER, [request()])
    assert done.ids == (0,)


def test_a_prompt_is_continued_without_a_boundary_before_it(scripted: Callable[..., Any]) -> None:
    engine = scripted(b"-MEO")
    [done] = complete(engine, TOKENIZER, [request("RO")])
    assert done.prompt_ids == tuple(b"RO")
    assert done.text == "MEO"
    assert engine.steps[0].tokens.tolist() == list(b"RO")
    assert engine.steps[0].wanted.tolist() == [1]


def test_a_prompt_may_be_ids(scripted: Callable[..., Any]) -> None:
    [done] = complete(scripted(b"-MEO"), TOKENIZER, [request(np.array(list(b"RO")))])  # type: ignore[arg-type]
    assert done.text == "MEO"


def test_the_length_ends_a_text(scripted: Callable[..., Any]) -> None:
    [done] = complete(scripted(b"To be."), TOKENIZER, [request(tokens=3)])
    assert (done.text, done.reason, len(done.ids)) == ("To ", "length", 3)


def test_a_stop_across_tokens_ends_a_text_before_it_and_never_leaks(scripted: Callable[..., Any]) -> None:
    events = list(generate(scripted(b"one END two"), TOKENIZER, [request(stop=("END", "two"))]))
    done = events[-1]
    assert isinstance(done, Completion)
    assert (done.text, done.reason) == ("one ", "stop")
    assert done.ids == tuple(b"one END")
    assert [event.text for event in events if isinstance(event, Burst)] == ["o", "n", "e", " ", "", "", ""]


def test_what_was_held_back_for_a_stop_comes_out_at_the_end(scripted: Callable[..., Any]) -> None:
    [done] = complete(scripted(b"one EN"), TOKENIZER, [request(stop=("END",))])
    assert (done.text, done.reason) == ("one EN", "boundary")
    [cut] = complete(scripted(b"one END"), TOKENIZER, [request(stop=("END",), tokens=5)])
    assert (cut.text, cut.reason) == ("one E", "length")


def test_bursts_never_hold_half_a_character(scripted: Callable[..., Any]) -> None:
    events = list(generate(scripted("aé€😀".encode()), TOKENIZER, [request()]))
    assert [event.text for event in events if isinstance(event, Burst)] == [
        *("a", "", "é", "", "", "€", "", "", "", "😀", ""),
    ]


def test_half_a_character_at_the_end_is_shown_as_such(scripted: Callable[..., Any]) -> None:
    [done] = complete(scripted("a€".encode()), TOKENIZER, [request(tokens=3)])
    assert done.text == "a�"
    [stopped] = complete(scripted("a€".encode()), TOKENIZER, [request(tokens=3, stop=("�",))])
    assert (stopped.text, stopped.reason) == ("a", "stop")


def test_bursts_joined_are_the_completion(scripted: Callable[..., Any]) -> None:
    events = list(generate(scripted("päper END".encode()), TOKENIZER, [request(stop=("ENE",)), request(tokens=4)]))
    for index in range(2):
        bursts = [event for event in events if isinstance(event, Burst) and event.request == index]
        [done] = [event for event in events if isinstance(event, Completion) and event.request == index]
        assert "".join(burst.text for burst in bursts) == done.text
        assert tuple(token for burst in bursts for token in burst.ids) == done.ids


def test_more_requests_than_slots_wait_for_a_free_one(scripted: Callable[..., Any]) -> None:
    engine = scripted(b"0123456789", slots=2)
    done = complete(engine, TOKENIZER, [request(tokens=count) for count in (1, 5, 2, 3, 9)])
    assert [found.text for found in done] == ["0", "01234", "01", "012", "012345678"]
    assert max(len(set(rows.slots.tolist())) for rows in engine.steps) == 2
    assert len(engine.steps) < 1 + 5 + 2 + 3 + 9


def test_no_requests_give_nothing(scripted: Callable[..., Any]) -> None:
    assert complete(scripted(b"x"), TOKENIZER, []) == []


def test_a_window_begins_at_multiples_of_half_the_context() -> None:
    assert [window_start(length, 8) for length in (1, 8, 9, 12, 13, 16, 17)] == [0, 0, 4, 4, 8, 8, 12]
    assert [window_start(length, 7) for length in (7, 8, 11, 12)] == [0, 4, 4, 8]
    assert [window_start(length, 1) for length in (1, 2, 3)] == [0, 1, 2]


@pytest.mark.parametrize("context", range(1, 12))
def test_a_window_always_fits_and_once_moved_shows_more_than_half_the_context(context: int) -> None:
    for length in range(1, 60):
        seen = length - window_start(length, context)
        assert 1 <= seen <= context
        assert length <= context or seen >= context // 2 + 1


def test_beyond_the_context_the_window_restarts_at_position_zero(scripted: Callable[..., Any]) -> None:
    engine = scripted(b"abcdefgh", context=8)
    [done] = complete(engine, TOKENIZER, [request("123456", tokens=8)])
    assert done.text == "fghefghe"  # position 7 is the last one; after it, five tokens are read again
    assert [rows.positions.tolist() for rows in engine.steps] == [
        list(range(6)), [6], [7], list(range(5)), [5], [6], [7], list(range(5)),
    ]  # fmt: skip
    assert engine.steps[3].tokens.tolist() == list(b"56fgh")
    assert done.unread == 0


def test_a_prompt_beyond_the_context_is_read_as_if_it_had_been_written(scripted: Callable[..., Any]) -> None:
    engine = scripted(b"abcdefgh", context=8)
    [done] = complete(engine, TOKENIZER, [request("0123456789", tokens=1)])
    assert engine.steps[0].tokens.tolist() == list(b"456789")
    assert engine.steps[0].positions.tolist() == list(range(6))
    assert done.unread == 4
    assert done.prompt_ids == tuple(b"0123456789")


def test_a_seed_that_is_left_open_is_fresh_and_stated(scripted: Callable[..., Any]) -> None:
    first, second = complete(scripted(b"x" * 9), TOKENIZER, [request(tokens=2), request(tokens=2)])
    assert first.seed != second.seed
    [given] = complete(scripted(b"x" * 9), TOKENIZER, [request(tokens=2, seed=5)])
    assert given.seed == 5


def test_logit_bias_reaches_the_draw(scripted: Callable[..., Any]) -> None:
    biased = GenerationRequest("", GenerationSettings(temperature=0, tokens=2), logit_bias={65: 100.0})
    assert complete(scripted(b"xyz"), TOKENIZER, [biased])[0].text == "AA"


def test_a_tokenizer_of_another_model_is_refused(scripted: Callable[..., Any]) -> None:
    with pytest.raises(WeightsError, match=r"char tokenizer has 4 ids and the model 257"):
        generate(scripted(b"x"), CharTokenizer("abc"), [request()])


@pytest.mark.parametrize(("setting", "value"), [("engine", "native"), ("precision", "int8")])
def test_a_request_for_another_engine_is_refused(scripted: Callable[..., Any], setting: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{setting} {value}"):
        generate(scripted(b"x"), TOKENIZER, [request(**{setting: value})])
    complete(scripted(b"x"), TOKENIZER, [request(engine="script", precision="fp32")])


def test_ids_outside_the_vocabulary_are_refused_before_the_first_token(scripted: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="300"):
        generate(scripted(b"x"), TOKENIZER, [request([300])])
    with pytest.raises(DataError, match="300"):
        generate(scripted(b"x"), TOKENIZER, [GenerationRequest("", GenerationSettings(), logit_bias={300: 1.0})])


def test_unknown_characters_of_a_prompt_are_refused_or_skipped() -> None:
    tokenizer = CharTokenizer("abc")
    with pytest.raises(DataError, match="'z'"):
        generate(ConstantEngine(), tokenizer, [request("az")])
    for prompt, ids in (("az", (1,)), ("zz", (tokenizer.boundary,))):
        skipping = GenerationRequest(prompt, GenerationSettings(temperature=0, tokens=1), unknown="skip")
        [done] = complete(ConstantEngine(), tokenizer, [skipping])
        assert done.prompt_ids == ids
        assert done.text == "c"


class ConstantEngine:
    """Always writes id 3 of 4."""

    name, precision, vocabulary, context, slots = "constant", "fp32", 4, 8, 1

    def step(self, rows: Rows) -> Any:
        return np.tile(np.array([0, 0, 0, 9], np.float32), (rows.wanted.size, 1))

    def close(self) -> None:
        pass
