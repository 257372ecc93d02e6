"""The requests of a transfer job: complete, checked before anything is queued, and read again when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.files import read_json, write_json
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import RunFolder
from treadle.prompts.config import VideoSettings
from treadle.prompts.settings import checked, read_pairs
from treadle.recipes import local_tiny_models
from treadle.recipes.prompts import library
from treadle.recipes.transfer_explain import request, spec_of, suited
from treadle.video import origin
from treadle.video.frames import probe
from treadle.video.transfer.backends.backend import LaunchSettings
from treadle.video.transfer.backends.catalog import BACKENDS
from treadle.video.transfer.backends.config import RunSettings
from treadle.video.transfer.spec_reading import to_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.operations.transfer import TransferPayload
    from treadle.prompts.record import Prompt
    from treadle.store.workspace import WorkspaceFolder
    from treadle.video.transfer.spec import TransferSpec

ADJUSTABLE = ("guidance", "steps", "sigma")
"""Settings that may differ from one clip to the next."""
ADJUST = "adjust.json"
_SHARPER = "A sharp, detailed recording with natural light and textures."


def resolved(
    workspace: WorkspaceFolder,
    sources: Sequence[str],
    weights: Sequence[str],
    settings: Sequence[str],
    backend: str = "",
) -> list[dict[str, Any]]:
    """Complete requests for prompts and files, with weights and settings laid over them; names are made unique.

    What nobody set is as it suits the backend.

    Raises:
        UsageError: A request is wrong, or nothing is asked for.
    """
    if not sources:
        raise UsageError("Name at least one prompt, or a file with a request (.json).")
    found = []
    for source in sources:
        spec = suited(request(workspace, source, weights, settings), backend)
        prompt = None if source.endswith(".json") else _told(library(workspace).get(source))
        found.append({"spec": to_mapping(spec), "prompt": prompt})
    return _told_apart(found)


def enlarged(videos: Sequence[Path], weight: float, text: str | None, settings: Sequence[str]) -> list[dict[str, Any]]:
    """Complete requests to enlarge videos; one made here keeps the text it was made from."""
    found = []
    for video in videos:
        path = video.expanduser().absolute()
        if not path.is_file():
            raise NotFoundError(f"{video} does not exist or is no file.")
        prompt = origin.nearest_prompt(probe(path).made_by) or {}
        spec = spec_of(
            {
                "name": f"{path.stem[:55]}-large",
                "text": text or prompt.get("text") or _SHARPER,
                "video": str(path),
                "controls": {"upscale": {"weight": weight}},
                **read_pairs(settings),
            }
        )
        found.append({"spec": to_mapping(spec), "prompt": prompt or None})
    return _told_apart(found)


def specs(payload: TransferPayload) -> list[TransferSpec]:
    """The requests of a job, read and checked against the files as they are now."""
    return [spec_of(one["spec"]) for one in payload.requests]


def launch_settings(workspace: WorkspaceFolder, payload: TransferPayload) -> LaunchSettings:
    """What is decided about each launch of a job besides its requests."""
    chosen = RunSettings(**payload.settings)
    ours = payload.backend == "local-tiny"
    clip = local_tiny_models.clip_frames(workspace, chosen.model) if ours else None
    return LaunchSettings(1, chosen.idle_seconds, chosen.memory_gb, chosen.model, chosen.room_gb, clip)


def unsaid(workspace: WorkspaceFolder, payload: TransferPayload) -> tuple[str, ...]:
    """What the target cannot be told of the requests; raises `UsageError` when it cannot carry one out at all."""
    backend, asked, settings = BACKENDS.get(payload.backend), specs(payload), launch_settings(workspace, payload)
    found: dict[str, None] = {}
    for spec in asked:
        name = f"{spec.name}: " if len(asked) > 1 else ""
        for line in backend.write([spec], "RUN", settings).unsaid:
            found[f"{name}{line}"] = None
    return tuple(found)


def adjust(workspace: WorkspaceFolder, job: int, settings: Sequence[str]) -> dict[str, Any]:
    """Change settings of a transfer that waits or runs, from its next clip or launch on; returns all that is changed.

    Raises:
        UsageError: The job is no transfer, has ended, or a setting cannot be changed on the way.
    """
    with Ledger.open(workspace) as ledger:
        found = ledger.get(job)
    if not found.kind.startswith("transfer.") or found.run is None:
        raise UsageError(f"Job {job} is no transfer.")
    if not (found.waiting or found.active) or found.cancel in {"stop", "discard"}:
        said = "is about to end" if found.active else f"has ended ({found.state})"
        raise UsageError(f"Job {job} {said}; start it again with --set.")
    given = read_pairs(settings)
    strange = [key for key in given if key not in ADJUSTABLE]
    if strange or not given:
        said = f"`{strange[0]}` cannot be changed on the way." if strange else "Say what to change."
        raise UsageError(f"{said} These can: {', '.join(ADJUSTABLE)}.")
    checked(VideoSettings, given)
    run = RunFolder(workspace.runs / found.run)
    changes = {**adjusted(run), **given}
    write_json(run.path / ADJUST, changes)
    return changes


def adjusted(run: RunFolder) -> dict[str, Any]:
    """What was changed of a run on the way."""
    path = run.path / ADJUST
    return dict(read_json(path)) if path.is_file() else {}


def _told_apart(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give those of one name different ones."""
    taken: set[str] = set()
    for one in found:
        name, number = str(one["spec"]["name"]), 1
        while one["spec"]["name"] in taken:
            number += 1
            one["spec"]["name"] = f"{name[:58]}-{number}"
        taken.add(one["spec"]["name"])
    return found


def _told(prompt: Prompt) -> dict[str, Any]:
    """What is kept of a prompt in the videos made from it."""
    return {
        "name": prompt.name,
        "version": prompt.version,
        "text": prompt.text,
        "negative": prompt.negative,
        "inputs": [{"kind": one.kind, "path": one.path, "sha256": one.sha256} for one in prompt.inputs],
        "settings": dict(prompt.settings),
    }
