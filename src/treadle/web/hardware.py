"""Samples of the machine while the server lives; workers take them too, and nobody takes one twice."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from treadle.base.errors import TreadleError
from treadle.jobs.presence import worker_folder
from treadle.telemetry import hardware_history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from treadle.store.workspace import WorkspaceFolder


@contextlib.asynccontextmanager
async def hardware_watched(workspace: WorkspaceFolder) -> AsyncIterator[None]:
    """Sample the machine in the background; a full disk costs samples and nothing else."""
    task = asyncio.create_task(_sample(workspace))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _sample(workspace: WorkspaceFolder) -> None:
    sampler: hardware_history.Sampler | None = None
    while True:
        with contextlib.suppress(TreadleError, OSError):
            sampler = sampler or hardware_history.Sampler(worker_folder(workspace) / hardware_history.FILE)
            await asyncio.sleep(hardware_history.INTERVAL_SECONDS)
            sampler.sample()
            continue
        await asyncio.sleep(hardware_history.INTERVAL_SECONDS)
