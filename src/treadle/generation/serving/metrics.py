"""Figures of the server in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from treadle.telemetry.hardware import resident_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.generation.serving.served import Models

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_EDGES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """How many durations fell below each edge, in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_EDGES) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(_EDGES, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str, meaning: str) -> Iterator[str]:
        """As Prometheus reads it."""
        yield from _head(name, "histogram", meaning)
        total = 0
        for edge, count in zip((*_EDGES, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{edge}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """What the app itself counts."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        """By route and status."""
        self.first_token = Histogram()
        self.whole = Histogram()
        self.gone = 0
        """Clients that went away before their answer was complete."""

    def text(self, models: Models) -> str:
        """All figures."""
        return "".join(f"{line}\n" for line in (*self._own(), *_of_models(models), *_of_process(models)))

    def _own(self) -> Iterator[str]:
        yield from _head("treadle_serve_requests_total", "counter", "requests that were answered")
        for (route, status), count in sorted(self.requests.items()):
            yield f'treadle_serve_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("treadle_serve_clients_gone_total", "counter", "clients that went away before the end")
        yield f"treadle_serve_clients_gone_total {self.gone}"
        yield from self.first_token.lines(
            "treadle_serve_first_token_seconds", "from a request to the first token of its answer"
        )
        yield from self.whole.lines("treadle_serve_answer_seconds", "from a request to the end of its answer")


def _of_models(models: Models) -> Iterator[str]:
    figures = sorted(models.figures().items())
    for field, meaning in (
        ("prompt_tokens", "tokens of prompts"),
        ("cached_tokens", "tokens of prompts that were read before"),
        ("written_tokens", "tokens written"),
        ("refused", "texts refused because too many waited"),
    ):
        yield from _head(f"treadle_serve_{field}_total", "counter", meaning)
        for name, one in figures:
            yield f"treadle_serve_{field}_total{_label(model=name)} {getattr(one, field)}"
    yield from _head("treadle_serve_texts_total", "counter", "texts that have ended, by why")
    for name, one in figures:
        for reason, count in sorted(one.endings.items()):
            yield f"treadle_serve_texts_total{_label(model=name, reason=reason)} {count}"


def _of_process(models: Models) -> Iterator[str]:
    state = models.state()
    for field, meaning in (("active", "texts that are being written"), ("waiting", "texts that wait for a slot")):
        yield from _head(f"treadle_serve_texts_{field}", "gauge", meaning)
        for one in state["models"]:
            yield f"treadle_serve_texts_{field}{_label(model=one['id'])} {one[field]}"
    for name, value, meaning in (
        ("treadle_serve_models_bytes", state["memory_bytes"], "memory of open models"),
        ("treadle_serve_models_budget_bytes", state["memory_budget_bytes"], "most that they may take"),
        ("process_resident_memory_bytes", resident_memory(), "resident memory of the server"),
    ):
        yield from _head(name, "gauge", meaning)
        yield f"{name} {value}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _label(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
