"""Checkpoints: self-contained, hashed folders that are either wholly there or not there.

`checkpoints/step-00000500/` holds `model.safetensors`, `optimizer.safetensors` and `checkpoint.json`. Which one is the
latest, the best or the stem is never stored but read off the checkpoints themselves, so no index can contradict them.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, NotFoundError, NotReadyError, WeightsError
from treadle.base.files import disk_errors, locked, new_folder, read_json, remove_leftovers, write_json
from treadle.base.hashing import hash_file, hash_json
from treadle.models.exchange.safetensors_file import SafetensorsFile, write_safetensors
from treadle.models.matching import require_match

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = 1
MODEL_FILE: Final = "model.safetensors"
OPTIMIZER_FILE: Final = "optimizer.safetensors"
DOCUMENT_FILE: Final = "checkpoint.json"
DRAFT_FOLDER: Final = "draft"
"""In a model's folder: the checkpoints of its draft model, beside its own."""
_FOLDER_NAME = re.compile(r"step-(\d{8,})(?:\.(\d+))?")
_KEYS: Final = {
    *("format", "sequence", "created", "step", "family", "config", "vocabulary", "context", "tokenizer", "settings"),
    *("data", "schedule", "plan", "metrics", "lineage", "callbacks", "files", "sha256"),
}


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """All that is needed, beside the weights, to use a model: no other file is ever consulted."""

    family: str
    config: Mapping[str, Any]
    """The family's settings, as plain JSON."""
    vocabulary: int
    """Number of token ids; for families without tokens, of classes."""
    context: int
    """Largest number of positions that it is trained on."""
    tokenizer: Any = None
    """The tokenizer's own JSON; None for families without one. Its hash is stored beside it and checked."""
    settings: Mapping[str, Any] | None = None
    """The effective training settings, as plain JSON."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one checkpoint is written from. Arrays may be read one at a time, in the middle of writing."""

    step: int
    record: ModelRecord
    weights: Mapping[str, NDArray[np.float32]]
    optimizer: Mapping[str, NDArray[np.float32]]
    data: Mapping[str, Any]
    schedule: Mapping[str, Any]
    plan: Mapping[str, Any]
    metrics: Mapping[str, float]
    lineage: Mapping[str, Any]
    callbacks: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint on disk. Only `checkpoint.json` has been read; each array file is read when asked for."""

    path: Path
    document: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps behind these weights."""
        return int(self.document["step"])

    @property
    def sequence(self) -> int:
        """Order of writing within the model; steps may repeat, this does not."""
        return int(self.document["sequence"])

    @property
    def record(self) -> ModelRecord:
        """Family, shape, tokenizer and settings, as stored."""
        tokenizer = self.document["tokenizer"]
        return ModelRecord(
            family=self.document["family"],
            config=self.document["config"],
            vocabulary=self.document["vocabulary"],
            context=self.document["context"],
            tokenizer=None if tokenizer is None else tokenizer["definition"],
            settings=self.document["settings"],
        )

    @property
    def tokenizer_hash(self) -> str | None:
        """SHA-256 of the tokenizer's canonical JSON."""
        tokenizer = self.document["tokenizer"]
        return None if tokenizer is None else str(tokenizer["sha256"])

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured at this step, such as `held_out_loss`, in nats per target."""
        metrics: Mapping[str, float] = self.document["metrics"]
        return metrics

    @property
    def trunk(self) -> bool:
        """Whether it lies before any cool-down, so that training can go on from it."""
        return bool(self.document["schedule"].get("trunk", True))

    @property
    def finished(self) -> bool:
        """Whether the budget of its run was used up here."""
        return bool(self.document["schedule"].get("finished", False))

    def require_family(self, family: str) -> None:
        """Raise `WeightsError` unless the checkpoint is of `family`."""
        if self.document["family"] != family:
            raise WeightsError(
                f"{self.path} holds a model of the family `{self.document['family']}`, not `{family}`. "
                "Choose a checkpoint of this model, or make a new model of that family."
            )

    def weights(self, expected: Mapping[str, Sequence[int]] | None = None) -> Mapping[str, NDArray[np.float32]]:
        """The weights, each read when it is looked at; checks their hash now and, if given, names and shapes."""
        return self._arrays(MODEL_FILE, expected)

    def optimizer(self, expected: Mapping[str, Sequence[int]] | None = None) -> Mapping[str, NDArray[np.float32]]:
        """The optimizer's moments, in the same way."""
        return self._arrays(OPTIMIZER_FILE, expected)

    def _arrays(self, name: str, expected: Mapping[str, Sequence[int]] | None) -> SafetensorsFile:
        path, entry = self.path / name, self.document["files"][name]
        try:
            size = path.stat().st_size
            if size != entry["bytes"]:
                raise WeightsError(f"{path} has {size} bytes instead of {entry['bytes']}: it is cut. {self._remedy()}")
            if hash_file(path) != entry["sha256"]:
                raise WeightsError(f"{path} has a wrong hash: it was changed after writing. {self._remedy()}")
            arrays = SafetensorsFile(path)
        except FileNotFoundError as error:
            raise WeightsError(f"{path} is missing. {self._remedy()}") from error
        except DataError as error:
            raise WeightsError(f"{error} {self._remedy()}") from error
        if expected is not None:
            require_match(
                arrays.shapes(), expected, str(path), "It was written for another shape; make a new model for that one."
            )
        return arrays

    def _remedy(self) -> str:
        return previous_remedy(self.path)


class CheckpointFolder:
    """All checkpoints of one model. Any number may read; writers take turns under a lock."""

    def __init__(self, path: Path) -> None:
        """Name the folder; it is made by the first writer."""
        self.path = path

    def all(self) -> list[Checkpoint]:
        """Every readable checkpoint, oldest first."""
        return self._scan()[0]

    def damaged(self) -> list[tuple[Path, WeightsError]]:
        """Folders whose `checkpoint.json` cannot be used, and why."""
        return self._scan()[1]

    def latest(self) -> Checkpoint | None:
        """The newest one, or None when the model has never been trained; raises if the newest is damaged."""
        checkpoints, damaged = self._scan()
        newest = checkpoints[-1] if checkpoints else None
        for path, error in damaged:
            if newest is None or folder_step(path) >= newest.step:
                raise error
        return newest

    def find(self, which: str | int) -> Checkpoint:
        """Find by role (`latest`, `best`, `stem`) or by step; where nothing was held out, the best is the newest.

        Raises `NotReadyError` when there is none at all, `NotFoundError` naming the known ones when there is no such
        one, `WeightsError` when it is damaged.
        """
        latest, checkpoints = self.latest() if which == "latest" else None, self.all()
        if latest is not None:
            return latest
        if not checkpoints and not self.damaged():
            raise NotReadyError(
                "There is no checkpoint yet: the model has not been trained. Run `treadle train` first."
            )
        if isinstance(which, int) or which.isdecimal():
            return self._at_step(int(which), checkpoints)
        if which not in {"best", "stem"}:
            raise NotFoundError(f"Unknown checkpoint `{which}`. Use latest, best or a step: {_steps(checkpoints)}.")
        named = roles(checkpoints)
        found = named.get(which) or (named.get("latest") if which == "best" else None)
        if found is None:
            raise NotFoundError(f"There is no checkpoint before a cool-down. Known steps: {_steps(checkpoints)}.")
        return found

    def write(self, snapshot: Snapshot) -> Checkpoint:
        """Write one checkpoint atomically, after clearing away what a killed writer left."""
        with locked(self.path / ".lock"):
            remove_leftovers(self.path)
            final, sequence = self._free_name(snapshot.step), self._next_sequence()
            with new_folder(final) as folder:
                files = {
                    MODEL_FILE: write_safetensors(folder / MODEL_FILE, snapshot.weights),
                    OPTIMIZER_FILE: write_safetensors(folder / OPTIMIZER_FILE, snapshot.optimizer),
                }
                document = _document(snapshot, sequence, files)
                write_json(folder / DOCUMENT_FILE, document)
        return Checkpoint(final, document)

    def prune(self, keep_last: int, *, keep_best: bool = True) -> list[Path]:
        """Remove all but the newest `keep_last`, the best, the stem and the newest cooled one; returns what went."""
        with locked(self.path / ".lock"):
            remove_leftovers(self.path)
            checkpoints = self.all()
            named = roles(checkpoints)
            if not keep_best:
                named.pop("best", None)
            kept = {item.path for item in [*checkpoints[-keep_last:], *named.values()]}
            gone = [item.path for item in checkpoints if item.path not in kept]
            for path in gone:
                _remove(path)
        return gone

    def _scan(self) -> tuple[list[Checkpoint], list[tuple[Path, WeightsError]]]:
        good: list[Checkpoint] = []
        damaged: list[tuple[Path, WeightsError]] = []
        for path in sorted(self.path.glob("step-*")):
            if _FOLDER_NAME.fullmatch(path.name) is None or not path.is_dir():
                continue
            try:
                good.append(read_checkpoint(path))
            except WeightsError as error:
                if path.exists():  # else a writer has just pruned it
                    damaged.append((path, error))
        return sorted(good, key=lambda item: item.sequence), damaged

    def _at_step(self, step: int, checkpoints: list[Checkpoint]) -> Checkpoint:
        matching = [item for item in checkpoints if item.step == step]
        if matching:
            return matching[-1]
        for path, error in self.damaged():
            if folder_step(path) == step:
                raise error
        raise NotFoundError(f"There is no checkpoint at step {step}. Known steps: {_steps(checkpoints)}.")

    def _free_name(self, step: int) -> Path:
        """The folder's name; a step reached a second time, on another branch, gets a suffix."""
        path, count = self.path / f"step-{step:08d}", 1
        while path.exists():
            count += 1
            path = self.path / f"step-{step:08d}.{count}"
        return path

    def _next_sequence(self) -> int:
        return max((item.sequence for item in self.all()), default=0) + 1


def roles(checkpoints: Sequence[Checkpoint]) -> dict[str, Checkpoint]:
    """Tell which of `checkpoints` (oldest first) is `latest`, `best`, `stem`, `cooled`; a role that none has is absent.

    The best has the lowest held-out loss among those measured on the newest dataset version; the stem is the newest one
    before any cool-down; `cooled` is the newest that a finished cool-down ended in.
    """
    found: dict[str, Checkpoint] = {}
    if checkpoints:
        found["latest"] = checkpoints[-1]
    measured = [item for item in checkpoints if "held_out_loss" in item.metrics]
    if measured:
        dataset = measured[-1].document["lineage"].get("dataset")
        same = [item for item in measured if item.document["lineage"].get("dataset") == dataset]
        found["best"] = min(same, key=lambda item: item.metrics["held_out_loss"])
    for item in checkpoints:
        if item.trunk:
            found["stem"] = item
        elif item.finished:
            found["cooled"] = item
    return found


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's `checkpoint.json`; raises `WeightsError` with the remedy if it is missing, cut or changed."""
    try:
        document = read_json(path / DOCUMENT_FILE)
    except DataError as error:
        raise WeightsError(f"{error} {previous_remedy(path)}") from error
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise WeightsError(
            f"{path} was written by a newer Treadle (format {document['format']}, known {FORMAT}). Upgrade this one."
        )
    if not isinstance(document, dict) or set(document) != _KEYS or _checksum(document) != document["sha256"]:
        raise WeightsError(f"{path / DOCUMENT_FILE} was changed or damaged after writing. {previous_remedy(path)}")
    tokenizer = document["tokenizer"]
    if tokenizer is not None and hash_json(tokenizer["definition"]) != tokenizer["sha256"]:
        raise WeightsError(f"The tokenizer in {path / DOCUMENT_FILE} has a wrong hash. {previous_remedy(path)}")
    return Checkpoint(path, document)


def folder_step(path: Path) -> int:
    """The step that a checkpoint folder's name tells."""
    match = _FOLDER_NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def previous_remedy(path: Path) -> str:
    """One sentence: which earlier checkpoint to use instead of the damaged one at `path`."""
    earlier = [
        folder_step(other)
        for other in path.parent.glob("step-*")
        if _FOLDER_NAME.fullmatch(other.name) and other != path and (other / DOCUMENT_FILE).exists()
    ]
    before = [step for step in earlier if step <= folder_step(path)] or earlier
    if not before:
        return "There is no other checkpoint: restore it from a copy, or train again."
    return f"Use the previous one (`--checkpoint {max(before)}`); to train on from there, remove {path}."


def _document(snapshot: Snapshot, sequence: int, files: Mapping[str, Any]) -> dict[str, Any]:
    record = snapshot.record
    tokenizer = None
    if record.tokenizer is not None:
        tokenizer = {"definition": record.tokenizer, "sha256": hash_json(record.tokenizer)}
    document = {
        "format": FORMAT,
        "sequence": sequence,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "step": snapshot.step,
        "family": record.family,
        "config": dict(record.config),
        "vocabulary": record.vocabulary,
        "context": record.context,
        "tokenizer": tokenizer,
        "settings": dict(record.settings or {}),
        "data": dict(snapshot.data),
        "schedule": dict(snapshot.schedule),
        "plan": dict(snapshot.plan),
        "metrics": dict(snapshot.metrics),
        "lineage": dict(snapshot.lineage),
        "callbacks": dict(snapshot.callbacks),
        "files": dict(files),
    }
    return {**document, "sha256": _checksum(document)}


def _checksum(document: Mapping[str, Any]) -> str:
    return hash_json({key: value for key, value in document.items() if key != "sha256"})


def _remove(path: Path) -> None:
    """Rename, then delete: a kill in between leaves a leftover, never half a checkpoint."""
    with disk_errors(path):
        grave = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        path.rename(grave / path.name)
        shutil.rmtree(grave)


def _steps(checkpoints: Sequence[Checkpoint]) -> str:
    return ", ".join(str(step) for step in sorted({item.step for item in checkpoints})) or "none"
