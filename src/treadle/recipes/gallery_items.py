"""What runs have made to be looked at: each video and picture is an item, found from the folders of the runs.

No list of items is kept: a run's request and result say what it wrote, so nothing has to be entered and nothing can
contradict the runs. The id of an item comes from its run and the file's name; it stays the same for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import TreadleError
from treadle.base.hashing import hash_bytes
from treadle.base.ids import made_at
from treadle.jobs.runs import RunFolder
from treadle.recipes.runs import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from treadle.store.workspace import WorkspaceFolder

VIDEOS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
_NO_RESULTS: Final = frozenset({"video.coherence", "video.compare", "video.chunk", "gallery.compare", "evaluate"})
"""Kinds of job whose pictures are diagrams or parts, not results."""
_SETTINGS: Final = ("seed", "steps", "guidance", "sigma", "fps")
_ASIDE: Final = frozenset({"inputs", "previews", "preview"})
"""Folders among a run's outputs that hold what went in, or what was seen on the way."""


@dataclass(frozen=True, slots=True)
class Item:
    """One result: a video or a picture of a run."""

    id: str
    run: str
    kind: str
    name: str
    """Of the file, below the run's outputs if it lies there."""
    path: Path
    created: float
    """When its run was made, in seconds since 1970."""
    outcome: str
    text: str
    """Of the prompt it was made from; empty = none."""
    prompt: str | None
    """Name of that prompt."""
    model: str | None
    """Id of the model, or name of the backend, that made it."""
    sources: tuple[str, ...]
    """Files that it was made from."""
    settings: Mapping[str, Any]

    @property
    def media(self) -> str:
        """`video` or `picture`."""
        return "video" if self.path.suffix.lower() in VIDEOS else "picture"


def items(workspace: WorkspaceFolder) -> Iterator[Item]:
    """All results, the newest first. Of a file that was written over, only the newest writing is one."""
    seen: set[Path] = set()
    for run in newest_first(workspace):
        for item in items_of(run):
            if item.path not in seen:
                seen.add(item.path)
                yield item


def items_of(run: RunFolder) -> tuple[Item, ...]:
    """The results of one run; none until it has ended."""
    try:
        return _items(str(run.path), (run.path / "result.json").stat().st_mtime_ns)
    except (OSError, TreadleError):
        return ()


def media(path: Path) -> bool:
    """Whether a file is one to be looked at, by its name."""
    return path.suffix.lower() in VIDEOS | PICTURES


@lru_cache(maxsize=4096)
def _items(path: str, stamp: int) -> tuple[Item, ...]:  # noqa: ARG001 - the stamp is part of the key
    run = RunFolder(Path(path))
    spec, result = run.spec(), run.result()
    if result is None or spec["kind"] in _NO_RESULTS:
        return ()
    payload = spec.get("payload")
    asked: dict[str, Any] = payload if isinstance(payload, dict) else {}
    told = result.get("value")
    value: dict[str, Any] = told if isinstance(told, dict) else {}
    return tuple(_item(run, spec["kind"], str(result.get("outcome")), asked, file) for file in _files(run, value))


def _files(run: RunFolder, value: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Name and path of each."""
    out = value.get("out")
    if isinstance(out, str) and media(Path(out)):
        yield Path(out).name, Path(out)
    if run.outputs.is_dir():
        for path in sorted(run.outputs.rglob("*")):
            name = path.relative_to(run.outputs)
            hidden = any(part.startswith(".") or part in _ASIDE for part in name.parts)
            if media(path) and not hidden and path.is_file():
                yield str(name), path


def _item(run: RunFolder, kind: str, outcome: str, asked: Mapping[str, Any], file: tuple[str, Path]) -> Item:
    name, path = file
    spec, prompt = _request(asked, path.stem)
    sources = asked.get("sources")
    files = list(sources) if isinstance(sources, (list, tuple)) else _inputs(spec)
    return Item(
        id=item_id(run.id, name),
        run=run.id,
        kind=kind,
        name=name,
        path=path,
        created=made_at(run.id),
        outcome=outcome,
        text=str(spec.get("text") or ""),
        prompt=prompt["name"] if isinstance(prompt.get("name"), str) else None,
        model=_first_text({**asked, **_chosen(asked)}, "model", "backend"),
        sources=tuple(str(one) for one in files),
        settings=_settings(spec) or _mapping(asked.get("options")),
    )


def item_id(run: str, name: str) -> str:
    """The id of what the run called `run` wrote as `name`."""
    return f"g-{hash_bytes(f'{run}/{name}'.encode())[:10]}"


def _mapping(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a file holds
    return value if isinstance(value, dict) else {}


def _request(asked: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a run that was asked for several videos, the request of the one called `name`, and its stored prompt."""
    rows = asked.get("requests")
    for row in rows if isinstance(rows, (list, tuple)) else ():
        spec = _mapping(_mapping(row).get("spec"))
        if spec.get("name") == name:
            return spec, _mapping(row.get("prompt"))
    return {}, {}


def _chosen(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The model of a transfer, where its backend knows several."""
    model = _mapping(asked.get("settings")).get("model")
    return {} if model is None else {"model": model}


def _inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that a request names: its video first, then the maps of its controls."""
    controls = _mapping(spec.get("controls")).values()
    files = [spec.get("video"), *(_mapping(control).get("map") for control in controls)]
    return [file for file in files if isinstance(file, str)]


def _settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What was set of a request, without its texts and files."""
    found = {key: spec[key] for key in _SETTINGS if key in spec}
    weights = {kind: _mapping(control).get("weight") for kind, control in _mapping(spec.get("controls")).items()}
    return {**found, **weights}


def _first_text(asked: Mapping[str, Any], *keys: str) -> str | None:
    return next((asked[key] for key in keys if isinstance(asked.get(key), str) and asked[key]), None)
