"""While a server lives, `sample` and `chat` are answered by it: same weights in memory, same batches, same texts.

The server takes the place of the workspace's engine process: it listens on the same socket and speaks the same lines,
so that commands find it without knowing of it. A text that the server cannot write exactly as it would be written
without it (another checkpoint, another precision) gets an engine of its own, as in that process.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from treadle.base.errors import ResourceError
from treadle.generation.generate import Burst
from treadle.generation.scheduler import Finished
from treadle.jobs.engine_process import EngineServer
from treadle.jobs.engine_socket import LOCK, bound, retire
from treadle.jobs.presence import held_alone
from treadle.recipes.resident import ResidentEngines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.generate import Completion, GenerationRequest
    from treadle.generation.scheduler import Told
    from treadle.recipes.opened_engine import FoundSampling
    from treadle.recipes.serve_models import ServedModels
    from treadle.store.workspace import WorkspaceFolder

_TRY_SECONDS: Final = 0.3
_GRACE_SECONDS: Final = 2.0
"""How long texts that `sample` waits for may still be written when the server ends."""


class ServedEngines(ResidentEngines):
    """Engines for `recipes.sample.stream` that are first looked for among the server's."""

    def __init__(self, models: ServedModels) -> None:
        """Write with `models` where they write alike."""
        super().__init__()
        self._models = models

    @contextlib.contextmanager
    def writing(
        self, found: FoundSampling, tokenizer: Tokenizer, request: GenerationRequest
    ) -> Iterator[Iterator[Burst | Completion]]:
        """The events of one text."""
        model = self._models.like(found.card, found)
        if model is None:
            with super().writing(found, tokenizer, request) as events:
                yield events
            return
        box: queue.SimpleQueue[Told] = queue.SimpleQueue()
        settings = request.settings.model_copy(update={"engine": "auto", "precision": "auto"})
        try:
            tickets = model.scheduler.submit([replace(request, settings=settings)], [box.put], "sample")
            try:
                yield _events(box)
            finally:
                model.scheduler.cancel(tickets)
        finally:
            self._models.release(model)


def _events(box: queue.SimpleQueue[Told]) -> Iterator[Burst | Completion]:
    while True:
        told = box.get()
        if isinstance(told, Burst):
            yield told
        elif isinstance(told, Finished):
            yield told.completion
            return
        else:
            raise told


class SamplingDoor:
    """Answers `sample` and `chat` as long as it is open, in threads of its own."""

    def __init__(self, workspace: WorkspaceFolder, models: ServedModels) -> None:
        """Answer for `workspace`."""
        self._workspace = workspace
        self._server = EngineServer(workspace, math.inf, ServedEngines(models))
        self._thread = threading.Thread(target=self._answer, name="treadle-sampling", daemon=True)
        self._over = threading.Event()
        self._open = threading.Event()

    @property
    def open(self) -> bool:
        """Whether commands find the server by now."""
        return self._open.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.stop()
        self._thread.join(timeout=_GRACE_SECONDS)

    def _answer(self) -> None:
        """Ask an engine process that lives to leave, and take its place when it has."""
        while not self._over.is_set():
            try:
                with held_alone(self._workspace, LOCK) as alone:
                    if alone:
                        with bound(self._workspace) as listener:
                            self._open.set()
                            self._server.run(listener)
                        return
            except (OSError, ResourceError):  # a workspace that can only be read has no such process either
                return
            retire(self._workspace)
            time.sleep(_TRY_SECONDS)
