"""From a video back to the settings that it was made with, and to a prompt that can be sent again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, UsageError
from treadle.prompts.record import INPUT_KINDS, Prompt, PromptInput
from treadle.prompts.settings import checked
from treadle.recipes import gallery
from treadle.recipes.prompts import library, settings_class
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.store.workspace import WorkspaceFolder

_LONGEST_TEXT: Final = 100_000
_POSITIONAL: Final = ("control",)
"""Options that stand without a flag."""
_STRENGTH_OF: Final = {"edge": "edges", "vis": "blur"}
"""Settings of prompts that hold the strength of a control's map."""
_AGAINST: Final = {"match": "--no-match"}
"""Options that are on unless this flag is given."""


def recall(workspace: WorkspaceFolder, word: str, save: str | None) -> dict[str, Any]:
    """What a file says of how it was made; `save` stores the prompt among it under that name."""
    path, made_by, said_by = gallery.made_by(workspace, word)
    generated = load("treadle.recipes.video:origin").nearest_generated(made_by)
    told, unsaid = (None, []) if generated is None else asked_for(generated)
    saved: Prompt | None = None
    if save is not None:
        if told is None:
            again = _command(made_by)
            way = f" Make it again with: {again}" if again else ""
            raise UsageError(f"{path} was made by `{made_by.get('tool', '?')}`, without a prompt.{way}")
        saved = library(workspace).add(_prompt(told, save, str(path)))
    weights = _weights(workspace, generated or {})
    return {
        "path": str(path),
        "said_by": said_by,
        "tool": str(made_by.get("tool", "")),
        "options": _mapping(made_by.get("options")),
        "sources": _sources(made_by),
        "prompt": told,
        "unsaid": unsaid,
        "weights": weights,
        "command": _command(made_by) or _sending(saved, weights),
        "saved": None if saved is None else {"name": saved.name, "version": saved.version, "id": saved.id},
    }


def asked_for(made_by: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What was sent for a video, in the words of a prompt, and what of it a prompt cannot say."""
    spec, stored = _mapping(made_by.get("spec")), _mapping(made_by.get("prompt"))
    if not spec:
        return stored, []
    known = settings_class("video").model_fields
    settings: dict[str, Any] = {key: spec[key] for key in ("seed", "steps", "guidance", "sigma", "fps") if key in spec}
    unsaid: list[str] = []
    files: dict[str, str] = {}
    if isinstance(video := _mapping(spec.get("video")).get("path"), str):
        files[video] = "video"
    for control in filter(None, map(_mapping, spec.get("controls") or [])):
        kind = str(control.get("kind"))
        if isinstance(path := _mapping(control.get("map")).get("path"), str):
            files[path] = kind
        keyframes = _mapping(control.get("weight")).get("keyframes")
        if kind in known and isinstance(keyframes, list) and len(keyframes) == 1:
            settings[kind] = _mapping(keyframes[0]).get("weight")
        else:
            unsaid.append(f"the weight of {kind}")
        if kind in _STRENGTH_OF and control.get("strength") is not None:
            settings[_STRENGTH_OF[kind]] = control["strength"]
    rows = [{"kind": files[one["path"]], **one} for one in _sources(made_by) if one["path"] in files]
    told = {
        "name": stored.get("name") or spec.get("name"),
        "version": stored.get("version"),
        "text": spec.get("text"),
        "negative": None if spec.get("negative_from") == "default" else spec.get("negative"),
        "inputs": rows or stored.get("inputs") or [],
        "settings": settings,
    }
    return told, unsaid


def _prompt(told: Mapping[str, Any], name: str, path: str) -> Prompt:
    """A prompt of what stood in a file, where anybody may have put anything; raises `DataError` and `SettingsError`."""
    text, negative, inputs, settings = (told.get(key) for key in ("text", "negative", "inputs", "settings"))
    purpose = told.get("purpose", "video")
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST_TEXT or purpose not in {"video", "text"}:
        raise DataError(f"The prompt inside {path} has no text that can be used.")
    if negative is not None and (not isinstance(negative, str) or len(negative) > _LONGEST_TEXT):
        raise DataError(f"The negative text inside {path} cannot be used.")
    rows = inputs if isinstance(inputs, list) else []
    return Prompt(
        name=name,
        version=0,
        parent=None,
        purpose=purpose,
        text=text.strip(),
        negative=negative,
        inputs=tuple(sorted((_input(row, path) for row in rows), key=lambda one: one.kind)),
        settings=checked(settings_class(purpose), _mapping(settings)),
        tags=(),
        made_by={"recalled_from": path},
    )


def _input(row: Any, path: str) -> PromptInput:  # noqa: ANN401 - whatever the file holds
    if not isinstance(row, dict) or any(not isinstance(row.get(key), str) for key in ("kind", "path", "sha256")):
        raise DataError(f"An input inside {path} cannot be used: {str(row)[:80]}")
    if row["kind"] not in INPUT_KINDS:
        raise DataError(f"An input inside {path} is of an unknown kind: {row['kind'][:40]}")
    file = Path(row["path"])
    size = row["bytes"] if type(row.get("bytes")) is int else file.stat().st_size if file.is_file() else 0
    return PromptInput(row["kind"], row["path"], row["sha256"], size)


def _command(made_by: Mapping[str, Any]) -> str | None:
    """The command that makes it again, for the tools of this machine."""
    noun, _, verb = str(made_by.get("tool", "")).partition(" ")
    if noun != "video" or verb not in load("treadle.recipes.catalog:VIDEO_TOOLS") or "chunk" in made_by:
        return None
    options = _mapping(made_by.get("options"))
    files = [source["path"] for source in _sources(made_by)]
    beside = files[1:] if "given" in options else []
    words = ["treadle", noun, verb, *files[: len(files) - len(beside)]]
    words += [str(options[key]) for key in _POSITIONAL if key in options]
    words += [word for file in beside for word in (f"--{options['given']}", file)]
    for key, value in options.items():
        if key == "given":
            continue
        if key in _AGAINST:
            words += [] if value else [_AGAINST[key]]
        elif value is True:
            words.append(f"--{key.replace('_', '-')}")
        elif key not in _POSITIONAL and value is not None and value is not False:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{key.replace('_', '-')}", shown]
    return f"{shlex.join(words)} --out FILE.mp4"


def _weights(workspace: WorkspaceFolder, generated: Mapping[str, Any]) -> dict[str, Any] | None:
    """The weights of ours that a video was drawn with, and what they are called here now."""
    options = _mapping(generated.get("options"))
    if not isinstance(options.get("weights"), str):
        return None
    there = load("treadle.recipes.local_tiny_models:still_there")(workspace, options)
    return {**{key: options.get(key) for key in ("model", "step", "weights")}, "there": there}


def _sending(prompt: Prompt | None, weights: Mapping[str, Any] | None) -> str | None:
    """The command that draws a video again by the same weights, of the prompt that was stored."""
    if prompt is None or weights is None or weights["there"] is None:
        return None
    words = ["treadle", "transfer", "run", prompt.name, "--host", "local"]
    return shlex.join([*words, "--backend", "local-tiny", "--model", weights["there"]])


def _sources(made_by: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = made_by.get("sources")
    return [
        {"path": str(row.get("path", "?")), "sha256": row.get("sha256")}
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    ]


def _mapping(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a file holds
    return value if isinstance(value, dict) else {}
