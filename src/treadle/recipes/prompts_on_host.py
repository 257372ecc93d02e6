"""A fuller text of a prompt, written on a host by the target's own prompt upsampler, and kept here as a version."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, NotReadyError, ResourceError, TreadleError, UsageError
from treadle.base.hashing import hash_file
from treadle.prompts import upsampler_runner
from treadle.recipes.host_work import HostWork, event_in
from treadle.recipes.prompts import facts, library
from treadle.recipes.transfer_host import check_code
from treadle.remote.hosts import HostCards
from treadle.remote.run_folder import OUTPUTS
from treadle.remote.transport import HostError

if TYPE_CHECKING:
    from treadle.jobs.context import RunContext
    from treadle.operations.prompts import PromptEnhancePayload
    from treadle.prompts.record import Prompt, PromptInput
    from treadle.remote.hosts import HostCard
    from treadle.remote.run_folder import RunFolder
    from treadle.store.workspace import WorkspaceFolder

SECONDS: Final = 3600.0
"""How long a host may take: most of it goes into loading 24 GB."""
_LOOKED_AT: Final = ("video", "vis", "edge", "seg", "depth")
"""Kinds of inputs that the model may look at, the best one first."""
_ANSWER: Final = f"{OUTPUTS}/answer.json"
_BESIDE: Final = 'here=$PWD && cd "$1" && shift && exec env "$@" -u "$here/upsampler_runner.py" "$here/plan.json"'
_REASONS: Final[dict[str, tuple[type[TreadleError], str]]] = {
    "checkpoint": (NotReadyError, "Get it there: treadle host checkpoints download {host} {model}"),
    "code": (
        NotReadyError,
        "The image, or the folder and Python of the host, must hold cosmos-transfer1 and vllm.",
    ),
    "video": (DataError, "Give the prompt another video: treadle prompt edit {name} --input video=FILE"),
    "memory": (ResourceError, "It needs most of a GPU; when nothing else runs there: treadle jobs retry"),
    "time": (ResourceError, "Give it longer: --seconds N"),
    "guardrail": (DataError, "Nothing was stored. Say the text in other words, or let another model write: --using"),
    "empty": (ResourceError, "Try again: treadle jobs retry"),
    "failed": (ResourceError, "Its log tells more: treadle jobs log"),
}
"""What each word of the program on the host means: the error, and what to do."""


def checked(workspace: WorkspaceFolder, name: str, host: str) -> tuple[Prompt, HostCard]:
    """The prompt and the host, if the one can be enhanced on the other; else a refusal before anything is queued."""
    prompt, card = library(workspace).get(name), HostCards(workspace).get(host)
    _looked_at(prompt)
    check_code(card)
    return prompt, card


def run(context: RunContext, payload: PromptEnhancePayload) -> dict[str, Any]:
    """Have the text written, wherever that stands, and keep it once."""
    began = time.monotonic()
    card = HostCards(context.workspace).get(payload.host)
    prompt = library(context.workspace).get(payload.name, payload.version)
    said = _Said(context)
    with card.connected() as transport:
        work = HostWork(context, card, transport, card.run_containers())
        try:
            work.carry_out(lambda folder: _command(card, folder), _files(prompt, card, payload.seconds), {}, said.line)
        except HostError as error:
            raise said.reason(prompt, card, error) from error
        found = work.asked(lambda: work.folder().collect(context.run.path))
    file = next((one for one in found if one.path == _ANSWER), None)
    if file is None:
        raise DataError(f"`{card.name}` has ended well, but {_ANSWER} is not there.")
    answer = json.loads((context.run.path / _ANSWER).read_text(encoding="utf-8"))
    context.require_claim()
    by = {"enhanced_by": answer["model"], "host": card.name, "run": context.run.id, "answer_sha256": file.sha256}
    by |= {"guardrail": "passed" if answer["checked"] else "not asked", **({"image": card.image} if card.image else {})}
    made = dataclasses.replace(
        prompt, text=answer["text"], parent=prompt.version, version=prompt.version + 1, made_by=by, created=0.0
    )
    made = made if payload.preview else _kept(context, made)
    stored = not payload.preview and made.version != prompt.version
    times = {"seconds": round(time.monotonic() - began, 1), "seconds_on_host": answer["seconds"]}
    return {**facts(made), "changed": stored, "proposed": payload.preview, **times}


def _kept(context: RunContext, made: Prompt) -> Prompt:
    """Store the version; an attempt that was killed just after it has stored it already."""
    shelf = library(context.workspace)
    for number in shelf.versions(made.name):
        if (one := shelf.get(made.name, number)).made_by.get("run") == context.run.id:
            return one
    return shelf.add(made)


def _looked_at(prompt: Prompt) -> PromptInput:
    """The file that the model looks at besides the text; raises `UsageError` if there is none, or another one now."""
    if prompt.purpose != "video":
        raise UsageError(
            f"`{prompt.name}` is a prompt for {prompt.purpose}; a host enhances prompts for videos. Let a server or a "
            "model of this workspace write: --using"
        )
    inputs = {one.kind: one for one in prompt.inputs}
    found = next((inputs[kind] for kind in _LOOKED_AT if kind in inputs), None)
    if found is None:
        raise UsageError(
            f"The model on a host looks at the video, and `{prompt.name}` has none. Give it one: "
            f"treadle prompt edit {prompt.name} --input video=FILE"
        )
    path = Path(found.path)
    if not path.is_file() or hash_file(path) != found.sha256:
        raise UsageError(
            f"The {found.kind} {path} is not there any more, or has changed since version {prompt.version} was stored. "
            f"Give it anew: treadle prompt edit {prompt.name} --input {found.kind}=FILE"
        )
    return found


def _files(prompt: Prompt, card: HostCard, seconds: float) -> dict[str, Path | bytes]:
    """What is sent: our program, the plan for it, and what the model looks at."""
    source = _looked_at(prompt)
    video = f"inputs/{source.kind}{Path(source.path).suffix.lower()}"
    plan = {
        "text": prompt.text,
        "video": video,
        "checkpoints": card.checkpoints or "checkpoints",
        "answer": _ANSWER,
        "seconds": seconds,
    }
    program = Path(upsampler_runner.__file__)
    return {program.name: program, "plan.json": json.dumps(plan, indent=1).encode(), video: Path(source.path)}


def _command(card: HostCard, folder: RunFolder) -> list[str]:
    """What is started in the folder: our program beside the target's code, in the container if there is one."""
    containers = card.run_containers()
    code = "." if containers else card.code
    variables = [f"PYTHONPATH={code}", "PYTHONUNBUFFERED=1"]
    if containers is None:
        return ["sh", "-c", _BESIDE, "treadle", code, *variables, card.python]
    inner = ["env", *variables, card.python, "-u", f"{folder.path}/{Path(upsampler_runner.__file__).name}"]
    argv = [*inner, f"{folder.path}/plan.json"]
    return containers.argv(folder.id, card.image, argv, mounts=card.mounts(folder.path))


class _Said:
    """What the program on the host has told."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._failed: dict[str, Any] = {}

    def line(self, line: str) -> None:
        """Take one line of its log; what is no event is for people."""
        told = event_in(line)
        if told is None:
            return
        kind, event = told
        if kind == "failed":
            self._failed = event
        elif kind == "stage":
            self._context.emit("note", message=f"{event.get('stage')} on the host")
        elif kind == "unguarded":
            missing = ", ".join(map(str, event.get("missing", ())))
            self._context.emit("note", message=f"The guardrail was not asked: {missing} is not there.")

    def reason(self, prompt: Prompt, card: HostCard, error: HostError) -> TreadleError:
        """What to tell of a failure: its own word, or else how the command ended."""
        cls, remedy = _REASONS.get(str(self._failed.get("kind")), (HostError, ""))
        if not remedy:
            return error
        remedy = remedy.format(host=card.name, name=prompt.name, model=upsampler_runner.MODEL)
        return cls(f"`{card.name}` wrote no text for `{prompt.name}`: {self._failed.get('reason')}. {remedy}")
