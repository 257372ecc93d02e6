"""From a heavy operation to a job in a queue; what doors need to call operations of every kind alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.operations.operation import JOB_OPTIONS
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.jobs.handle import QueuedJob
    from treadle.jobs.job import Lane, NewJob
    from treadle.jobs.request import JobOptions, JobRequest
    from treadle.jobs.runs import RunFolder
    from treadle.operations.operation import Operation
    from treadle.store.workspace import WorkspaceFolder


def model_job(
    workspace: WorkspaceFolder,
    kind: str,
    payload: dict[str, Any],
    *,
    lane: Lane,
    run: RunFolder | None = None,
    follows: tuple[str, ...] = (),
) -> JobRequest:
    """A request for the queue of the model that `payload` names by its id."""
    request: JobRequest = load("treadle.jobs.request:JobRequest")(
        workspace, f"model:{payload['model']}", kind, payload, lane, run, follows
    )
    return request


def call(entry: Operation, workspace: WorkspaceFolder | None, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Call an operation as its kind demands.

    A light one returns its report, an interactive one its stream of events, a heavy or following one a `QueuedJob`,
    whose `events` and `answer` tell the rest. Of a job that is to be left alone (`detach`) return `facts`.
    """
    first = [workspace] if entry.takes_workspace else []
    if entry.kind != "heavy":  # importing what queues a job would be a tenth of its start
        return entry.function(*first, **arguments)
    own, options = _split(arguments)
    asked: JobRequest = entry.function(*first, **own)
    words = arguments.get("task")
    if not words:
        return asked.submit(options)
    notes = asked.workspace
    task = load("treadle.recipes.flow_reconcile:tag_task")(notes, words)
    return asked.submit(options, before=lambda run: load("treadle.recipes.flow_reconcile:promise")(notes, task, run))


def request(entry: Operation, workspace: WorkspaceFolder, arguments: Mapping[str, Any]) -> NewJob:
    """What a heavy operation would put into its queue, without putting it there."""
    own, options = _split(arguments)
    asked: JobRequest = entry.function(workspace, **own)
    return asked.new_job(options)


def _split(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], JobOptions]:
    """The operation's own arguments, and what concerns the job whatever it does."""
    options = {parameter.name for parameter in JOB_OPTIONS}
    own = {name: value for name, value in arguments.items() if name not in options}
    chosen: JobOptions = load("treadle.jobs.request:JobOptions")(
        priority=arguments.get("priority", 0),
        attempts=arguments.get("attempts", 1),
        after=tuple(arguments.get("after", ())),
    )
    return own, chosen


def facts(job: QueuedJob) -> dict[str, Any]:
    """What to tell of a job that goes on by itself, after seeing that there is a worker for it."""
    job.ensure_worker()
    now = job.job
    return {
        "job": now.id,
        "kind": now.kind,
        "queue": now.queue,
        "state": now.state,
        "place": now.place,
        "run": now.run,
        "detached": True,
        **({"notes": list(job.notes)} if job.notes else {}),
    }
