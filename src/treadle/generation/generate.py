"""The one way from a prompt to text: the trainer's samples, `sample`, chat and serving all come through here.

**Beyond the context.** No position that training did not see is ever used. A model with a context of T positions reads
one window of the text at a time. While the text (prompt and what was written) has at most T tokens, the window is all
of it. When token T + 1 would not fit, the window restarts: its first T - T // 2 tokens are left behind, the rest is fed
again at positions 0, 1, ..., and writing goes on. So every window begins at a multiple of T - T // 2 and, once it has
moved, shows the last T // 2 + 1 to T tokens. The window is a function of the text's length alone: a prompt longer than
the context is read as if it had been written, and `Completion.unread` says how many of its tokens were left behind.

**Repeatability.** A request's tokens depend on weights, prompt, settings and seed: not on the other requests of a call,
their order, or the number of slots (the engine's batch invariance, and a chance number per token and seed).
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from treadle.base.errors import UsageError, WeightsError
from treadle.generation.engine import Rows, WantedText, WritingEngine, Written
from treadle.generation.sampling import Sampler, likeliest, log_probability
from treadle.generation.stops import StopFilter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import Tokenizer, Unknown
    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import Engine

Reason = Literal["length", "stop", "boundary"]
"""Why a text ended: `tokens` were written, a stop string came, or the model ended the document."""

Alternatives = tuple[tuple[int, float], ...]
"""Ids with their log-probabilities, likeliest first."""

_SECONDS_OF_A_BURST = 0.02


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to write."""

    prompt: str | Sequence[int]
    """Text or token ids to continue; empty = the beginning of a document, after the boundary."""
    settings: GenerationSettings
    unknown: Unknown = "error"
    """What to do with characters of the prompt that the vocabulary lacks."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these ids."""
    log_probabilities: bool = False
    """Whether bursts and completion tell each token's."""
    alternatives: int = 0
    """With them, those of so many likeliest tokens in each token's place."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Some tokens of a request, as they come."""

    request: int
    """Index of the request."""
    ids: tuple[int, ...]
    text: str
    """Text that is now certain; may be empty while a character or a stop string may still become whole."""
    log_probabilities: tuple[float, ...] = ()
    """Of each token in nats, as the model sees it: before penalties, bias and temperature. Empty unless asked for."""
    alternatives: tuple[Alternatives, ...] = ()
    """For each token the likeliest ids in its place with their log-probabilities. Empty unless asked for."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished text; the texts of all bursts of the request, joined, are `text`."""

    request: int
    """Index of the request."""
    prompt_ids: tuple[int, ...]
    """Tokens that were continued; only the boundary for an empty prompt."""
    ids: tuple[int, ...]
    """Tokens written, with those of the stop string, without an ending boundary."""
    text: str
    """Text written, up to the stop string."""
    reason: Reason
    seed: int
    unread: int
    """Tokens at the beginning of the prompt that did not fit into the context."""
    engine: str
    precision: str
    log_probabilities: tuple[float, ...] = ()
    """Of each token, as in `Burst`; empty unless asked for."""
    alternatives: tuple[Alternatives, ...] = ()
    """For each token, as in `Burst`; empty unless asked for."""


def generate(
    engine: Engine, tokenizer: Tokenizer, requests: Sequence[GenerationRequest]
) -> Generator[Burst | Completion, None, None]:
    """Write all requests, as many at a time as the engine has slots; yields bursts, and each text's completion.

    Checks everything before the first token. Raises `WeightsError` if tokenizer and model do not belong together,
    `UsageError` for a request made for another engine, `DataError` for a prompt that the vocabulary cannot say. An
    engine serves one call at a time.
    """
    if tokenizer.vocabulary_size != engine.vocabulary:
        raise WeightsError(
            f"The {tokenizer.kind} tokenizer has {tokenizer.vocabulary_size:,} ids and the model "
            f"{engine.vocabulary:,}: they do not belong together. Use the tokenizer that was saved with the weights."
        )
    texts = deque(Writing(engine, tokenizer, index, request) for index, request in enumerate(requests))
    return _run_below(engine, texts) if isinstance(engine, WritingEngine) else _run(engine, texts)


def complete(engine: Engine, tokenizer: Tokenizer, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """Write all requests and return their completions, in the order of the requests."""
    events = generate(engine, tokenizer, requests)
    return sorted((event for event in events if isinstance(event, Completion)), key=lambda done: done.request)


def window_start(length: int, context: int) -> int:
    """Index of the first token of a text of `length` tokens that the model reads, as the module says."""
    stride = context - context // 2
    return -(-max(0, length - context) // stride) * stride


def _run(engine: Engine, waiting: deque[Writing]) -> Generator[Burst | Completion, None, None]:
    free = deque(range(engine.slots))
    active: list[tuple[int, Writing]] = []
    while waiting or active:
        while waiting and free:
            active.append((free.popleft(), waiting.popleft()))
        logits = engine.step(Rows.of(row for slot, text in active for row in text.rows(slot)))
        going = []
        for (slot, text), scores in zip(active, logits, strict=True):
            yield text.accept(scores)
            if text.reason is None:
                going.append((slot, text))
            else:
                free.append(slot)
                yield text.completion(engine, text.reason)
        active = going


def _run_below(engine: WritingEngine, waiting: deque[Writing]) -> Generator[Burst | Completion, None, None]:
    """Let the engine draw the tokens: the same ones, several at a time."""
    free = deque(range(engine.slots))
    active: dict[int, Writing] = {}
    try:
        while waiting or active:
            while waiting and free:
                slot, text = free.popleft(), waiting.popleft()
                engine.begin(slot, text.wanted())
                active[slot] = text
            for written in engine.write(_SECONDS_OF_A_BURST):
                text = active[written.slot]
                burst = text.accept_written(written)
                if burst.ids or text.reason is not None:  # else its prompt is still being read
                    yield burst
                if text.reason is not None:
                    engine.forget(written.slot)
                    free.append(written.slot)
                    del active[written.slot]
                    yield text.completion(engine, text.reason)
    finally:
        for slot in active:
            engine.forget(slot)


class Writing:
    """One request on its way. `generate` and the scheduler of the server differ only in who gets a slot when."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, index: int, request: GenerationRequest) -> None:
        """Check the request and begin with its prompt; nothing of the engine but its facts is touched."""
        settings = request.settings
        _check_engine(engine, settings)
        prompt = prompt_ids(tokenizer, request.prompt, request.unknown)
        tokenizer.decode(list(request.logit_bias))  # refuses ids outside the vocabulary
        self._index = index
        self._settings = settings
        self._seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
        self._boundary = tokenizer.boundary
        self._context = engine.context
        self._ids = prompt
        self._prompt_length = len(prompt)
        self._window = self._fed = window_start(len(prompt), engine.context)
        self._unread = self._window
        self._vocabulary = engine.vocabulary
        self._bias = dict(request.logit_bias)
        self._sampler: Sampler | None = None
        self._wants_logs = request.log_probabilities
        self._wanted_alternatives = request.alternatives if request.log_probabilities else 0
        self._logs: list[float] = []
        self._alternatives: list[Alternatives] = []
        self._decoder = tokenizer.decoder()
        self._filter = StopFilter(settings.stop)
        self._text: list[str] = []
        self.reason: Reason | None = None

    @property
    def ids(self) -> Sequence[int]:
        """The prompt's tokens and those written so far."""
        return self._ids

    @property
    def prompt_tokens(self) -> int:
        """How many of them are the prompt's."""
        return self._prompt_length

    def rows(self, slot: int) -> Iterator[tuple[int, int, int, bool]]:
        """Rows that bring the slot up to date; the last one's logits are wanted."""
        window = window_start(len(self._ids), self._context)
        if window != self._window:
            self._window = self._fed = window
        for place in range(self._fed, len(self._ids)):
            yield self._ids[place], slot, place - window, place == len(self._ids) - 1
        self._fed = len(self._ids)

    def accept(self, logits: NDArray[np.float32]) -> Burst:
        """Choose the next token from logits (V,), and end the text if it ends here."""
        if self._sampler is None:
            self._sampler = Sampler(self._settings, self._seed, self._vocabulary, self._boundary, self._ids, self._bias)
        token = self._sampler.pick(logits)
        if token == self._boundary:
            return self._burst(Written(0, (), ""), 0, self._end("boundary"))
        text = self._take(token)
        if self.reason is None and len(self._ids) - self._prompt_length == self._settings.tokens:
            text += self._end("length")
        logs = [log_probability(logits, token)] if self._wants_logs else []
        likely = [likeliest(logits, self._wanted_alternatives)] if self._wanted_alternatives else []
        return self._burst(Written(0, (token,), "", logs, likely), 1, text)

    def wanted(self) -> WantedText:
        """The text as an engine needs it that draws tokens itself."""
        bias, logs, likely = self._bias, self._wants_logs, self._wanted_alternatives
        return WantedText(self._ids, self._settings, self._seed, self._boundary, bias, logs, likely)

    def accept_written(self, written: Written) -> Burst:
        """Take tokens that the engine drew; those after a stop string were never written."""
        text, taken = "", 0
        if not self._settings.stop:  # one call for all: with many texts, calls are what costs
            self._ids += written.tokens
            text, taken = self._decoder.push(written.tokens), len(written.tokens)
        for token in written.tokens[taken:]:
            text += self._take(token)
            taken += 1
            if self.reason is not None:
                break
        if written.ending and self.reason is None:
            text += self._end(written.ending)
        return self._burst(written, taken, text)

    def _take(self, token: int) -> str:
        """Add a token and give the text that it makes certain."""
        self._ids.append(token)
        text = self._filter.push(self._decoder.push([token]))
        if self._filter.stopped:
            self.reason = "stop"
        return text

    def completion(self, engine: Engine, reason: Reason) -> Completion:
        """What came of the request."""
        return Completion(
            request=self._index,
            prompt_ids=tuple(self._ids[: self._prompt_length]),
            ids=tuple(self._ids[self._prompt_length :]),
            text="".join(self._text),
            reason=reason,
            seed=self._seed,
            unread=self._unread,
            engine=engine.name,
            precision=engine.precision,
            log_probabilities=tuple(self._logs),
            alternatives=tuple(self._alternatives),
        )

    def _end(self, reason: Reason) -> str:
        """Note why the text ends and give what was held back."""
        text = self._filter.push(self._decoder.finish())
        self.reason = "stop" if self._filter.stopped else reason
        return text + self._filter.finish()

    def _burst(self, written: Written, taken: int, text: str) -> Burst:
        """The first `taken` tokens of what was written, which made `text` certain."""
        logs = tuple(written.log_probabilities[:taken])
        likely = tuple(tuple(one) for one in written.alternatives[:taken])
        self._text.append(text)
        self._logs += logs
        self._alternatives += likely
        return Burst(self._index, tuple(written.tokens[:taken]), text, logs, likely)


def _check_engine(engine: Engine, settings: GenerationSettings) -> None:
    for what, asked, given in (
        ("engine", settings.engine, engine.name),
        ("precision", settings.precision, engine.precision),
    ):
        if asked not in {"auto", given}:
            raise UsageError(f"The request asks for {what} {asked}, but the engine that is open has {given}.")


def prompt_ids(tokenizer: Tokenizer, prompt: str | Sequence[int], unknown: Unknown) -> list[int]:
    """The tokens that a prompt is continued from: at least the boundary, where documents begin."""
    if isinstance(prompt, str):
        ids = tokenizer.encode(prompt, unknown).tolist()
    else:
        ids = [int(token) for token in prompt]
        tokenizer.decode(ids)  # refuses ids outside the vocabulary
    return ids or [tokenizer.boundary]
