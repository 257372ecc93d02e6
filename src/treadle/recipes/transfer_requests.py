"""From names of prompts and files of requests to complete requests, checked before anything is queued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, NotFoundError, UsageError
from treadle.prompts.config import DEFAULT_NEGATIVE, VideoSettings
from treadle.prompts.settings import checked, complete, read_pairs
from treadle.recipes.prompts import library

try:
    from treadle.video import origin
    from treadle.video.frames import probe
    from treadle.video.transfer.spec_reading import from_mapping, read_spec_file
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"av", "cv2", "PIL"}:
        raise
    raise MissingExtraError("Videos need an optional part: pip install 'treadle[video]'.") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.operations.transfer import TransferPayload
    from treadle.prompts.record import Prompt
    from treadle.store.workspace import WorkspaceFolder
    from treadle.video.transfer.spec import TransferSpec

_KINDS = ("edge", "vis", "depth", "seg", "keypoint")
_WEIGHTS = ("edge", "vis", "depth", "seg")
_SHARPER = "A sharp, detailed recording with natural light and textures."


def resolved(
    workspace: WorkspaceFolder, names: Sequence[str], weights: Sequence[str], settings: Sequence[str]
) -> list[dict[str, Any]]:
    """Complete requests for prompts and files, with weights and settings laid over them; names are made unique.

    Raises:
        UsageError: A request is wrong, or nothing is asked for.
    """
    if not names:
        raise UsageError("Name at least one prompt, or a file with a request (.json).")
    found: list[dict[str, Any]] = []
    for name in names:
        made: dict[str, Any]
        if name.endswith(".json"):
            path = Path(name).expanduser().absolute()
            made = {"spec": {"name": path.stem, **_anchored(read_spec_file(path), path.parent)}, "prompt": None}
        else:
            prompt = library(workspace).get(name)
            made = {"spec": _of_prompt(prompt), "prompt": _told(prompt)}
        found.append(made)
    return _finished([{**one, "spec": _changed(one["spec"], weights, settings)} for one in found])


def enlarged(videos: Sequence[Path], weight: float, text: str | None, settings: Sequence[str]) -> list[dict[str, Any]]:
    """Complete requests to enlarge videos; one made here keeps the text it was made from."""
    found = []
    for video in videos:
        path = video.expanduser().absolute()
        if not path.is_file():
            raise NotFoundError(f"{video} does not exist or is no file.")
        prompt = origin.nearest_prompt(probe(path).made_by) or {}
        spec = {
            "name": f"{path.stem[:55]}-large",
            "text": text or prompt.get("text") or _SHARPER,
            "video": str(path),
            "controls": {"upscale": {"weight": weight}},
        }
        found.append({"spec": _changed(spec, (), settings), "prompt": prompt or None})
    return _finished(found)


def specs(payload: TransferPayload) -> list[TransferSpec]:
    """The requests of a job, read and checked against the files as they are now."""
    return [_read(request["spec"]) for request in payload.requests]


def _finished(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check them all, and tell those of one name from each other."""
    seen: dict[str, int] = {}
    for one in found:
        name = str(one["spec"]["name"])
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            one["spec"]["name"] = f"{name}-{seen[name]}"
        _read(one["spec"])
    return found


def _read(spec: Mapping[str, Any]) -> TransferSpec:
    given = {key: value for key, value in spec.items() if key != "negative_from"}
    return from_mapping(
        given,
        folder=Path("/"),
        settings=lambda values: complete(VideoSettings, checked(VideoSettings, values)),
        negative=(DEFAULT_NEGATIVE, "default"),
    )


def _of_prompt(prompt: Prompt) -> dict[str, Any]:
    """A stored prompt as a request: a control for each weight and each map that it has."""
    if prompt.purpose != "video":
        raise UsageError(f"`{prompt.name}` is a prompt for {prompt.purpose}; a transfer needs one for a video.")
    files = {one.kind: one.path for one in prompt.inputs}
    settings = complete(VideoSettings, prompt.settings)
    controls = {}
    for kind in _KINDS:
        weight = settings.get(kind, 0.0) if kind in _WEIGHTS else 0.0
        if weight or kind in files:
            controls[kind] = {"weight": weight or 1.0, **({"map": files[kind]} if kind in files else {})}
    spec = {"name": prompt.name, "text": prompt.text, "controls": controls}
    spec |= {key: value for key, value in prompt.settings.items() if key not in _WEIGHTS}
    if prompt.negative is not None:
        spec["negative"] = prompt.negative
    if "video" in files:
        spec["video"] = files["video"]
    if "image" in files:
        spec["style"] = files["image"]
    return spec


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


def _changed(spec: dict[str, Any], weights: Sequence[str], settings: Sequence[str]) -> dict[str, Any]:
    controls = {kind: one if isinstance(one, dict) else {"weight": one} for kind, one in spec["controls"].items()}
    for pair in weights:
        kind, equals, weight = pair.partition("=")
        if not equals or not weight:
            raise UsageError(f"Cannot read the weight `{pair}`: write CONTROL=WEIGHT, such as edge=0.6.")
        controls[kind] = {**controls.get(kind, {}), "weight": weight}
    return {**spec, "controls": controls, **read_pairs(settings)}


def _anchored(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The request with absolute paths, so that it can be read from anywhere."""
    found = dict(spec)
    for key in ("video", "style"):
        if isinstance(found.get(key), str):
            found[key] = str((folder / Path(found[key]).expanduser()).absolute())
    controls = found.get("controls")
    if isinstance(controls, dict):
        found["controls"] = {kind: _anchored_control(one, folder) for kind, one in controls.items()}
    return found


def _anchored_control(control: Any, folder: Path) -> Any:  # noqa: ANN401 - from JSON
    if not isinstance(control, dict):
        return control
    found = dict(control)
    if isinstance(found.get("map"), str):
        found["map"] = str((folder / Path(found["map"]).expanduser()).absolute())
    weight = found.get("weight")
    if isinstance(weight, str) and (folder / weight).exists():
        found["weight"] = str((folder / weight).absolute())
    return found
