"""Prompts: store, change, render, check and enhance them."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, NotFoundError, UsageError
from treadle.base.hashing import hash_file
from treadle.prompts import enhance
from treadle.prompts.checks import MOST_TOKENS, estimated_tokens, remarks
from treadle.prompts.config import DEFAULT_NEGATIVE
from treadle.prompts.library import PromptLibrary
from treadle.prompts.record import INPUT_KINDS, Prompt, PromptInput
from treadle.prompts.settings import checked, complete, read_pairs
from treadle.prompts.templates import get_template, template_names
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.config.spec import Spec
    from treadle.operations.prompts import PromptText
    from treadle.prompts.record import Purpose
    from treadle.store.workspace import WorkspaceFolder

_SETTINGS = {
    "text": "treadle.generation.config:GenerationSettings",
    "video": "treadle.prompts.config:VideoSettings",
}
_ENHANCED_TOKENS = 200
_LONGEST_TEXT = 100_000


def library(workspace: WorkspaceFolder) -> PromptLibrary:
    """The prompts of a workspace."""
    return PromptLibrary(workspace.root / "prompts", workspace.trash)


def settings_class(purpose: str) -> type[Spec]:
    """The class that knows the settings of prompts for `purpose`."""
    found: type[Spec] = load(_SETTINGS[purpose])
    return found


def new(workspace: WorkspaceFolder, name: str, purpose: Purpose, text: PromptText, template: str | None) -> Prompt:
    """Store a new prompt, from a text or from a template."""
    if template is not None:
        if text.text is not None:
            raise UsageError("Give a text or a template, not both.")
        return library(workspace).add(_from_template(name, template, text))
    if text.answers:
        raise UsageError("Answers need a template: --template NAME (`treadle prompt template` lists them).")
    if not (text.text or "").strip():
        raise UsageError("A prompt needs a text, or a template that asks for one: --template NAME.")
    made = Prompt(name, 0, None, purpose, "", None, (), {}, ())
    return library(workspace).add(_changed(made, text))


def edit(workspace: WorkspaceFolder, name: str, text: PromptText, version: int | None) -> tuple[Prompt, bool]:
    """Store a changed version; the answer's second part says whether anything differed."""
    shelf = library(workspace)
    old = shelf.get(name, version)
    made = shelf.add(dataclasses.replace(_changed(old, text), parent=old.version, created=0.0))
    return made, made.version != old.version


def wizard(workspace: WorkspaceFolder, template: str, text: PromptText, save: str | None) -> Prompt:
    """Fill a template; stored only under a name."""
    made = _from_template(save or template, template, text)
    return made if save is None else library(workspace).add(made)


def preview(prompt: Prompt) -> dict[str, Any] | None:
    """What would be sent of a prompt for a video, or why nothing could be; None for other prompts."""
    if prompt.purpose != "video":
        return None
    try:
        found: dict[str, Any] = load("treadle.recipes.transfer_explain:preview")(prompt)
    except MissingExtraError as error:
        return {"cannot": str(error)}
    return found


def improve(
    workspace: WorkspaceFolder, name: str, using: str, model: str | None, seconds: float, *, preview: bool
) -> tuple[Prompt, Prompt]:
    """Let a model write a better text, as a new version; returns the old one and the new one."""
    shelf = library(workspace)
    old = shelf.get(name)
    if "://" in using:
        better, writer = enhance.enhanced(old.text, using, model, seconds)
        made_by = {"enhanced_by": writer, "at": using}
    else:
        if model is not None:
            raise UsageError(f"--model is for servers; `{using}` is a model of this workspace already.")
        better, made_by = _continued(workspace, old.text, using)
    made = dataclasses.replace(
        old, text=better, parent=old.version, version=old.version + 1, made_by=made_by, created=0.0
    )
    return old, made if preview else shelf.add(made)


def for_text(workspace: WorkspaceFolder, name: str) -> tuple[str, dict[str, Any]]:
    """Text and settings of a prompt that models of this workspace can go on from; raises `UsageError` for a video's."""
    prompt = library(workspace).get(name)
    if prompt.purpose != "text":
        raise UsageError(f"`{name}` is a prompt for a {prompt.purpose}; `sample` goes on from prompts for text.")
    return prompt.text, dict(prompt.settings)


def facts(prompt: Prompt) -> dict[str, Any]:
    """Everything about one version, with what would be sent and which negative text won."""
    default = prompt.purpose == "video" and prompt.negative is None
    return {
        "name": prompt.name,
        "version": prompt.version,
        "parent": prompt.parent,
        "id": prompt.id,
        "purpose": prompt.purpose,
        "text": prompt.text,
        "negative": DEFAULT_NEGATIVE if default else prompt.negative or "",
        "negative_from": "default" if default else "prompt",
        "inputs": [dataclasses.asdict(one) for one in prompt.inputs],
        "settings": dict(prompt.settings),
        "complete_settings": complete(settings_class(prompt.purpose), prompt.settings),
        "tags": list(prompt.tags),
        "made_by": dict(prompt.made_by),
        "created": prompt.created,
        "tokens": estimated_tokens(prompt.text),
        "most_tokens": MOST_TOKENS if prompt.purpose == "video" else None,
        "remarks": [dataclasses.asdict(remark) for remark in remarks(prompt)],
    }


def differences(workspace: WorkspaceFolder, name: str, old: int, new: int) -> list[str]:
    """Lines of a unified difference between two versions, settings and inputs included."""
    shelf = library(workspace)
    before, after = (_as_lines(shelf.get(name, version)) for version in (old, new))
    return list(difflib.unified_diff(before, after, f"version {old}", f"version {new}", lineterm="", n=1))


def templates() -> list[dict[str, Any]]:
    """All templates with their questions."""
    return [{"name": name, **get_template(name).model_dump(mode="json")} for name in template_names()]


def _from_template(name: str, template: str, text: PromptText) -> Prompt:
    source = get_template(template)
    answers = source.answers(_answers(text.answers))
    made = Prompt(
        name,
        0,
        None,
        source.purpose,
        source.render(answers),
        source.negative,
        (),
        checked(settings_class(source.purpose), source.settings),
        source.tags,
        {"template": template, "answers": answers},
    )
    return dataclasses.replace(_changed(made, dataclasses.replace(text, answers=())), made_by=made.made_by)


def _changed(prompt: Prompt, text: PromptText) -> Prompt:
    """The prompt with what was given laid over it."""
    cls = settings_class(prompt.purpose)
    given = read_pairs(text.settings)
    settings = checked(cls, {**complete(cls, prompt.settings), **given})
    inputs = {one.kind: one for one in prompt.inputs}
    for kind in text.without:
        if kind not in inputs:
            raise UsageError(f"The prompt has no input `{kind}`; it has: {', '.join(inputs) or 'none'}.")
        del inputs[kind]
    inputs.update({one.kind: one for one in map(_input, text.inputs)})
    words = prompt.text if text.text is None else text.text.strip()
    if not words and prompt.purpose == "video":
        raise UsageError("The text of a prompt for a video cannot be empty.")
    if len(words) > _LONGEST_TEXT:
        raise UsageError(f"The text has {len(words):,} characters; at most {_LONGEST_TEXT:,}.")
    return dataclasses.replace(
        prompt,
        text=words,
        negative=_negative(prompt, text),
        inputs=tuple(inputs[kind] for kind in sorted(inputs)),
        settings=settings,
        tags=tuple(sorted({*prompt.tags, *text.tags} - set(text.untag))),
        made_by={} if text.text is not None else prompt.made_by,
    )


def _negative(prompt: Prompt, text: PromptText) -> str | None:
    if text.negative is None:
        return prompt.negative
    if prompt.purpose != "video":
        raise UsageError("Only prompts for videos have a negative text.")
    return None if text.negative == "default" else text.negative.strip()


def _input(text: str) -> PromptInput:
    """`KIND=PATH`, with the hash of the file as it is now."""
    kind, equals, path = text.partition("=")
    if not equals or kind not in INPUT_KINDS:
        raise UsageError(f"Cannot use the input `{text}`: write KIND=PATH; kinds are {', '.join(INPUT_KINDS)}.")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise NotFoundError(f"The {kind} {path} does not exist or is no file.")
    return PromptInput(kind, str(file), hash_file(file), file.stat().st_size)


def _answers(pairs: Sequence[str]) -> dict[str, str]:
    answers = {}
    for pair in pairs:
        name, equals, answer = pair.partition("=")
        if not equals:
            raise UsageError(f"Cannot read the answer `{pair}`: write QUESTION=ANSWER.")
        answers[name] = answer
    return answers


def _continued(workspace: WorkspaceFolder, text: str, model: str) -> tuple[str, dict[str, Any]]:
    """What a model of this workspace makes of a text: it was not tuned to rewrite, so it goes on from it."""
    sample = load("treadle.operations.generation:sample")
    result: dict[str, Any] = {}
    for event in sample(workspace, model, prompt=text.rstrip() + " ", settings={"tokens": _ENHANCED_TOKENS}):
        if event.type == "result":
            result = event.data
    whole = " ".join((text.rstrip() + " " + result["text"].removeprefix(text)).split())
    end = max(whole.rfind(mark) for mark in ".!?")
    better = whole if end < len(text) else whole[: end + 1]
    kept = {key: result[key] for key in ("checkpoint", "seed", "engine", "precision")}
    return better, {"enhanced_by": model, **kept}


def _as_lines(prompt: Prompt) -> list[str]:
    told = facts(prompt)
    rows = [f"{key} = {value}" for key, value in told["complete_settings"].items()]
    rows += [f"{one.kind}: {one.path} ({one.sha256[:12]})" for one in prompt.inputs]
    return [*prompt.text.replace(". ", ".\n").splitlines(), f"negative: {told['negative']}", *rows]
