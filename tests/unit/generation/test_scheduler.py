"""Who gets a slot when, and that nobody's text depends on it."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import DataError, TreadleError, UsageError, WeightsError
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import EngineModel, Rows, WantedText, Written
from treadle.generation.generate import Burst, Completion, GenerationRequest, complete
from treadle.generation.native_engine import NativeEngine
from treadle.generation.scheduler import BusyError, Finished, Scheduler
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENIZER = BytesTokenizer()
CONTEXT = 160
CONFIG = GPTConfig(layers=1, width=32, heads=2)
LONG = "It was the best of times, it was the worst of times, " * 3
PATIENCE = 60


def model(scale: float = 0.4) -> EngineModel:
    generator = np.random.default_rng(5)
    weights = {
        name: (generator.standard_normal(shape) * scale).astype(np.float32)
        for name, shape in weight_shapes(CONFIG, TOKENIZER.vocabulary_size, CONTEXT).items()
    }
    return EngineModel("gpt", CONFIG, weights, TOKENIZER.vocabulary_size, CONTEXT)


def native(slots: int, precision: str = "int8") -> NativeEngine:
    return NativeEngine(model(), precision, slots, threads=1)


def request(prompt: str, tokens: int = 20, seed: int = 3, *, endless: bool = True, **changes: Any) -> GenerationRequest:
    settings = GenerationSettings(tokens=tokens, seed=seed, **changes)
    bias = {TOKENIZER.boundary: -80.0} if endless else {}
    return GenerationRequest(prompt, settings, logit_bias=bias, log_probabilities=True, alternatives=2)


class Listener:
    """What one text was told."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.bursts: list[Burst] = []

    def __call__(self, told: Any) -> None:
        self.told.put(told)

    def burst(self) -> Burst:
        found = self.told.get(timeout=PATIENCE)
        assert isinstance(found, Burst)
        self.bursts.append(found)
        return found

    def end(self) -> Finished:
        while True:
            found = self.told.get(timeout=PATIENCE)
            if isinstance(found, Finished):
                return found
            if isinstance(found, TreadleError):
                raise found
            self.bursts.append(found)


@pytest.fixture
def scheduled() -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def make(engine: Any, **options: Any) -> Scheduler:
        made.append(Scheduler(engine, TOKENIZER, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def asked(scheduler: Scheduler, requests: list[GenerationRequest]) -> list[Finished]:
    listeners = [Listener() for _ in requests]
    for one, listener in zip(requests, listeners, strict=True):
        scheduler.submit([one], [listener])
    return [listener.end() for listener in listeners]


def same(one: Completion, other: Completion) -> bool:
    """All but the place in its call."""
    fields = ("prompt_ids", "ids", "text", "reason", "seed", "unread", "log_probabilities", "alternatives")
    return all(getattr(one, name) == getattr(other, name) for name in fields)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_text_is_bit_for_bit_the_same_alone_and_among_seven_others(
    scheduled: Callable[..., Scheduler], precision: str
) -> None:
    ours = request(LONG[:100], tokens=200, seed=11, temperature=1.0)
    others = [request(LONG[at : at + 20 * at], tokens=30 + at, seed=at, temperature=0.9) for at in range(7)]
    alone = asked(scheduled(native(1, precision)), [ours])[0]
    among = asked(scheduled(native(12, precision), active=8), [*others[:4], ours, *others[4:]])[4]
    (plain,) = complete(native(1, precision), TOKENIZER, [ours])
    assert same(alone.completion, among.completion)
    assert same(alone.completion, plain), "and what `generate` writes"
    assert among.slid > 0, "it outgrew its window on the way"


def test_an_engine_that_only_steps_serves_too(
    scheduled: Callable[..., Scheduler], scripted: Callable[..., Any]
) -> None:
    done = asked(
        scheduled(scripted(b"hello world", slots=2)), [request("hello", tokens=50, endless=False) for _ in range(5)]
    )
    assert {one.completion.text for one in done} == {"o world"}, "it counts places, not letters"
    assert {one.completion.reason for one in done} == {"boundary"}


def test_what_was_read_before_is_not_read_again(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(5), active=2)
    first = asked(scheduler, [request(LONG[:120], tokens=3)])[0]
    again = asked(scheduler, [request(LONG[:120], tokens=3)])[0]
    longer = asked(scheduler, [request(LONG[:150], tokens=3)])[0]
    assert (first.cached, again.cached) == (0, 119)
    assert longer.cached >= 119
    assert same(first.completion, again.completion)
    assert scheduler.figures.cached_tokens == again.cached + longer.cached


def test_texts_that_share_a_beginning_read_it_once(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(9), active=8)
    listeners = [Listener() for _ in range(6)]
    requests = [request(LONG[:140], tokens=4, seed=seed) for seed in range(6)]
    scheduler.submit(requests, listeners)
    cached = [listener.end().cached for listener in listeners]
    assert cached == [0] + [139] * 5


def test_the_next_slot_goes_to_the_client_that_has_the_fewest(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(3), active=1)
    order: list[str] = []

    def telling(name: str) -> Callable[[Any], None]:
        return lambda told: order.append(name) if isinstance(told, Finished) else None

    blocker = Listener()
    ticket = scheduler.submit([request("a", tokens=60_000)], [blocker], "greedy")
    blocker.burst()
    scheduler.submit([request("b", tokens=2, seed=seed) for seed in range(20)], [telling("greedy")] * 20, "greedy")
    scheduler.submit([request("c", tokens=2)], [telling("modest")], "modest")
    scheduler.cancel(ticket)
    until(lambda: len(order) == 21)
    assert order.index("modest") == 0, "greedy's texts came first but wait for each other"


def test_a_short_prompt_does_not_wait_for_a_long_one(scheduled: Callable[..., Scheduler]) -> None:
    order: list[str] = []
    scheduler = scheduled(native(5), active=4)
    blocker = Listener()
    gate = scheduler.submit([request("x", tokens=60_000)], [blocker])
    blocker.burst()
    with scheduler._change:  # both are seen at once
        scheduler.submit([request(LONG[:159], tokens=1)], [lambda told: order.append("long")])
        scheduler.submit([request("short", tokens=1)], [lambda told: order.append("short")])
    until(lambda: len(order) == 4)
    assert order[0] == "short"
    scheduler.cancel(gate)


def test_a_text_that_nobody_waits_for_loses_its_slot(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(3), active=1)
    gone, next_one, never = Listener(), Listener(), Listener()
    tickets = scheduler.submit([request("a", tokens=60_000)], [gone])
    gone.burst()
    scheduler.submit([request("b", tokens=3)], [next_one])
    waiting = scheduler.submit([request("c", tokens=3)], [never])
    scheduler.cancel(waiting)
    scheduler.cancel(tickets)
    assert len(next_one.end().completion.ids) == 3
    until(lambda: scheduler.figures.endings["cancelled"] == 2)
    assert never.told.empty()
    assert (scheduler.active, scheduler.waiting) == (0, 0)


def test_more_than_may_wait_is_refused_with_the_time_to_come_back(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(3), active=1, waiting=2)
    listeners = [Listener() for _ in range(4)]
    first = scheduler.submit([request("a", tokens=60_000)], [listeners[0]])
    listeners[0].burst()
    for listener in listeners[1:3]:
        scheduler.submit([request("b", tokens=2)], [listener])
    with pytest.raises(BusyError, match="2 texts wait already") as refused:
        scheduler.submit([request("c")], [listeners[3]])
    assert 1 <= refused.value.retry_after <= 60
    assert scheduler.figures.refused == 1
    scheduler.cancel(first)
    assert [len(one.end().completion.ids) for one in listeners[1:3]] == [2, 2]


def test_a_request_that_is_wrong_is_refused_before_it_waits(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(2), active=1)
    wrong = GenerationRequest([5, 9999], GenerationSettings())
    with pytest.raises(DataError, match="9999"):
        scheduler.submit([request("fine"), wrong], [print, print])
    assert scheduler.waiting == 0
    other = GenerationRequest("a", GenerationSettings(precision="fp32"))
    with pytest.raises(UsageError, match="precision fp32"):
        scheduler.submit([other], [print])


def test_weights_that_are_no_numbers_end_the_texts_and_not_the_server(scheduled: Callable[..., Scheduler]) -> None:
    broken = model()
    broken.weights["norm.weight"][:] = np.nan
    scheduler = scheduled(NativeEngine(broken, "fp32", 3, threads=1), active=2)
    for _ in range(2):
        with pytest.raises(WeightsError, match="not a number"):
            asked(scheduler, [request("a")])
    assert scheduler.figures.endings["error"] == 2


class Failing:
    """An engine with a defect."""

    name, precision, vocabulary, context, slots = "failing", "fp32", TOKENIZER.vocabulary_size, 50, 2
    closed = False

    def step(self, rows: Rows) -> Any:
        raise RuntimeError("no such thing")

    def close(self) -> None:
        self.closed = True


class FailingToBegin(Failing):
    """One that writes itself, and fails at once."""

    def begin(self, slot: int, text: WantedText) -> int:
        raise RuntimeError("no such thing")

    def write(self, seconds: float) -> list[Written]:
        return []

    def forget(self, slot: int) -> None:
        pass


@pytest.mark.parametrize("kind", [Failing, FailingToBegin])
def test_a_defect_of_an_engine_is_told_to_who_waits(
    scheduled: Callable[..., Scheduler], capsys: pytest.CaptureFixture[str], kind: type[Failing]
) -> None:
    engine = kind()
    scheduler = scheduled(engine)
    with pytest.raises(TreadleError, match="defect: RuntimeError: no such thing"):
        asked(scheduler, [request("a")])
    assert "no such thing" in capsys.readouterr().err
    scheduler.close()
    assert engine.closed


def test_draining_writes_what_was_asked_for_and_takes_no_more(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(3), active=1)
    listeners = [Listener() for _ in range(3)]
    for listener in listeners:
        scheduler.submit([request("a", tokens=40)], [listener])
    scheduler.close(drain=True)
    assert [len(one.end().completion.ids) for one in listeners] == [40, 40, 40]
    with pytest.raises(BusyError, match="unloaded"):
        scheduler.submit([request("b")], [print])
    with pytest.raises(BusyError, match="unloaded"):
        scheduler.embed([1, 2])


def test_closing_tells_those_who_still_wait(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(2), active=1)
    listeners = [Listener(), Listener()]
    for listener in listeners:
        scheduler.submit([request("a", tokens=60_000)], [listener])
    listeners[0].burst()
    scheduler.close()
    for listener in listeners:
        with pytest.raises(BusyError, match="ending"):
            listener.end()


def test_an_embedding_is_the_same_in_company_and_of_length_one(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(4), active=2)
    ids = TOKENIZER.encode(LONG[:130]).tolist()
    alone = scheduler.embed(ids).result(PATIENCE)
    listener = Listener()
    ticket = scheduler.submit([request("a", tokens=60_000)], [listener])
    listener.burst()
    among = [scheduler.embed(ids).result(PATIENCE), scheduler.embed(ids[:7]).result(PATIENCE)]
    scheduler.cancel(ticket)
    assert alone.shape == (32,)
    assert np.array_equal(alone, among[0])
    assert abs(float(np.linalg.norm(alone)) - 1) < 1e-6
    assert not np.array_equal(among[0], among[1])
    engine = native(1, "fp32")
    whole = engine.states(Rows.of((token, 0, place, True) for place, token in enumerate(ids)))
    mean = whole.mean(axis=0) / np.linalg.norm(whole.mean(axis=0))
    assert float(mean @ alone) > 0.99, "int8's is close to fp32's"


class Reader(Failing):
    """An engine that tells states when it is let."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()

    def states(self, rows: Rows) -> Any:
        self.begun.set()
        assert self.let.wait(PATIENCE)
        return np.ones((rows.wanted.size, 4), np.float32)


def test_closing_in_the_middle_of_an_embedding_is_no_defect(
    scheduled: Callable[..., Scheduler], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Reader()
    scheduler = scheduled(engine, active=1)
    at_its_end, waiting = scheduler.embed([1, 2]), scheduler.embed([3])
    assert engine.begun.wait(PATIENCE)
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    until(lambda: scheduler._closing and not scheduler._readings)
    engine.let.set()
    closing.join(PATIENCE)
    assert at_its_end.result(0).shape == (4,)
    with pytest.raises(BusyError, match="ending"):
        waiting.result(0)
    assert (engine.closed, capsys.readouterr().err) == (True, "")


def test_an_engine_without_states_has_no_embeddings(
    scheduled: Callable[..., Scheduler], scripted: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match="no embeddings"):
        scheduled(scripted(b"x", slots=3), active=1).embed([1])


def test_many_threads_may_ask_at_once(scheduled: Callable[..., Scheduler]) -> None:
    scheduler = scheduled(native(6), active=4)
    found: list[Finished] = []
    threads = [
        threading.Thread(target=lambda seed=seed: found.extend(asked(scheduler, [request("a", seed=seed)])))
        for seed in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len({one.completion.text for one in found}) == 12
