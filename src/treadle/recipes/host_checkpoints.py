"""Checkpoints on a host: downloaded, looked over, entered into the manifest; the hashing is done where they are."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, NotReadyError
from treadle.recipes.host_manifest import (
    CheckpointFile,
    CheckpointManifest,
    read_manifest,
    read_md5_table,
    write_manifest,
)
from treadle.recipes.host_work import HostWork, event_in
from treadle.remote.hosts import HostCards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.jobs.context import RunContext
    from treadle.operations.host_work import HostCheckpointsPayload
    from treadle.remote.hosts import HostCard

_SCRIPT: Final = Path(__file__).parents[1] / "remote" / "scripts" / "checkpoints.py"
_SETS: Final[dict[str, tuple[str, ...]]] = {
    "transfer1": (
        "nvidia/Cosmos-Transfer1-7B",
        "nvidia/Cosmos-Tokenize1-CV8x8x8-720p",
        "nvidia/Cosmos-Guardrail1",
        "nvidia/Cosmos-UpsamplePrompt1-12B-Transfer",
        "facebook/sam2-hiera-large",
        "depth-anything/Depth-Anything-V2-Small-hf",
        "IDEA-Research/grounding-dino-tiny",
        "google-t5/t5-11b",
        "meta-llama/Llama-Guard-3-8B",
    ),
}
"""What a target loads, by the names that its own list of checkpoints has."""


def repositories(words: tuple[str, ...]) -> list[str]:
    """What to download for some words: names of sets stand for all that belongs to them."""
    return list(dict.fromkeys(name for word in words for name in _SETS.get(word, (word,))))


def run(context: RunContext, payload: HostCheckpointsPayload) -> dict[str, Any]:
    """Carry out one of the three; not `ok` when a file is not what it shall be."""
    began = time.monotonic()
    cards = HostCards(context.workspace)
    card = cards.get(payload.host)
    before = read_manifest(cards.folder(card.name))
    if payload.verb == "verify" and not before.files:
        command = f"treadle host checkpoints manifest {card.name}"
        raise NotReadyError(f"Host `{card.name}` has no manifest to compare with. Make one: {command}")
    table = {} if payload.md5 is None else read_md5_table(Path(payload.md5))
    found = _Found(context)
    with card.connected() as transport:
        work = HostWork(context, card, transport)
        earlier = [work.folder(number).path for number in range(1, work.number + 1)]
        plan = _plan(payload, card, before, table, earlier)
        secrets = card.secrets() if payload.verb == "download" else {}
        argv = [card.python, "-u", "checkpoints.py", "plan.json"]
        files: dict[str, Path | bytes] = {"checkpoints.py": _SCRIPT, "plan.json": json.dumps(plan, indent=1).encode()}
        work.carry_out(argv, files, secrets, found.line)
    if not found.complete:
        raise DataError(f"`{card.name}` ended before it had looked at everything; run it again.")
    context.require_claim()
    return _settled(cards.folder(card.name), card, payload, before, found) | {
        "seconds": round(time.monotonic() - began, 1)
    }


class _Found:
    """What the script on the host has said so far."""

    def __init__(self, context: RunContext) -> None:
        self.files: dict[str, CheckpointFile] = {}
        self.refused: list[str] = []
        self.unknown: list[str] = []
        self.complete = False
        self._context = context
        self._told = 0.0

    def line(self, line: str) -> None:
        """Take one line of its log; what is no JSON is for people."""
        told = event_in(line)
        if told is None:
            return
        kind, event = told
        if kind == "file":
            facts = {name: value for name, value in event.items() if name != "path"}
            self.files[event["path"]] = CheckpointFile(**facts)
            self._context.kept()
        elif kind == "refused":
            self.refused.append(f"{event['path']}: {event['reason']}")
        elif kind == "unknown":
            self.unknown.append(event["path"])
        elif kind == "complete":
            self.complete = True
        if kind != "progress" or time.monotonic() > self._told + 1:
            self._told = time.monotonic()
            self._context.emit("checkpoints", kind=kind, **event)


def _plan(
    payload: HostCheckpointsPayload,
    card: HostCard,
    before: CheckpointManifest,
    table: Mapping[str, str],
    earlier: list[str],
) -> dict[str, Any]:
    """What the script shall do; nothing secret is in it."""
    plan: dict[str, Any] = {"folder": card.checkpoints, "verb": payload.verb, "earlier": earlier, "md5": dict(table)}
    if payload.verb == "download":
        plan["repositories"] = repositories(payload.repositories)
        plan["endpoint"] = payload.endpoint.rstrip("/")
    else:
        plan["verb"] = "hash"
        plan["expected"] = sorted(before.files) if payload.verb == "verify" else None
    return plan


def _settled(
    folder: Path, card: HostCard, payload: HostCheckpointsPayload, before: CheckpointManifest, found: _Found
) -> dict[str, Any]:
    """Compare or keep, and say what there is."""
    missing: list[str] = []
    changed: list[str] = []
    files = found.files
    if payload.verb == "verify":
        missing = sorted(set(before.files) - set(files))
        changed = sorted(
            name
            for name, entry in files.items()
            if name in before.files
            and (entry.sha256, entry.bytes) != (before.files[name].sha256, before.files[name].bytes)
        )
        kept = before
    elif payload.verb == "download":
        kept = CheckpointManifest(card.checkpoints, {**before.files, **files})
    else:
        same = {name for name, entry in before.files.items() if name in files and files[name].sha256 == entry.sha256}
        sources = {name: before.files[name].source for name in same}
        named = {name: dataclasses.replace(entry, source=sources.get(name, "")) for name, entry in files.items()}
        kept = CheckpointManifest(card.checkpoints, named)
    path = folder / "checkpoints.json" if payload.verb == "verify" else write_manifest(folder, kept)
    return {
        "ok": not (missing or changed or found.refused),
        "host": card.name,
        "folder": card.checkpoints,
        "files": len(files),
        "bytes": sum(entry.bytes for entry in files.values()),
        "missing": missing,
        "changed": changed,
        "unknown": found.unknown,
        "refused": found.refused,
        "md5_agree": sum(entry.md5 for entry in files.values()),
        "manifest": str(path),
    }
