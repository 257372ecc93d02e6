"""The program behind the backend `local-tiny`: requests in, videos out, by a model of the family `video_flow`.

`python -m treadle.recipes.local_tiny REQUESTS OUTPUTS --workspace FOLDER [--model NAME[@CHECKPOINT]]` tells what it
does in lines that `video/transfer/backends/local_tiny.py` reads.

A video longer than the model's clips is made clip by clip. Each clip after the first begins with the last frames of the
one before, which are given to the model, so that shapes and colours go on; `overlap` says how many.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch

from treadle.base.errors import TreadleError, UsageError
from treadle.base.telling import MARK
from treadle.data.clip_data import Decided
from treadle.data.clip_maps import placed
from treadle.models.catalog import FAMILIES
from treadle.models.video_flow.sampling import Flow, colours, generate
from treadle.models.video_flow.steering import phrases_of, pixels
from treadle.recipes.local_tiny_guides import Guides, guides_of
from treadle.recipes.local_tiny_models import chosen, green, weights_of
from treadle.recipes.transfer_requests import ADJUST
from treadle.store.workspace import WorkspaceFolder
from treadle.video import frames
from treadle.video.transfer.backends.local_tiny import ERROR
from treadle.video.transfer.clips import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from treadle.training.checkpoints import Checkpoint
    from treadle.video.transfer.clips import Clip

_SHOWN: Final = 4
"""Frames of a clip in a preview."""
_WORTH_THREADS: Final = 4_000_000
"""Weights below which one thread draws a clip: a step is some milliseconds, and where anything else wants the
processors, threads that wait for each other made it twenty times as long (docs/experiments.md)."""
_LONGEST: Final = 12_000
"""Letters of a preview: longer lines of a log are not looked at."""


@dataclass(frozen=True, slots=True)
class OpenedFlow:
    """A model of clips, ready to draw."""

    module: Any
    """A VideoFlow, which torch makes Any."""
    decided: Decided
    name: str
    weights: Mapping[str, Any]
    """As `local_tiny_models.weights_of` tells of them."""
    remark: str | None = None
    """What people should know before they see a clip of it."""

    def phrases_in(self, text: str) -> list[str]:
        """The phrases of the model that a text has."""
        words = " ".join(text.lower().split())
        return [one for one in self.decided.phrases if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", words)]

    def encoded(self, phrases: Sequence[str]) -> torch.Tensor:
        """As the network reads them, (1, V)."""
        return phrases_of(torch.tensor([self.decided.bits(phrases)]), max(1, len(self.decided.phrases)))


def open_flow(workspace: WorkspaceFolder, asked: str | None) -> OpenedFlow:
    """Open a model; see `local_tiny_models.chosen` for what `asked` names and what is refused."""
    card, checkpoint = chosen(workspace, asked)
    decided = Decided.model_validate(checkpoint.record.tokenizer)
    weights = weights_of(card, checkpoint)
    return OpenedFlow(_module(checkpoint), decided, card.name, weights, green(card.name, checkpoint))


def _module(checkpoint: Checkpoint) -> Any:  # noqa: ANN401 - a VideoFlow
    record = checkpoint.record
    family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(record.config)
    weights = checkpoint.weights(family.weight_shapes(config, record.vocabulary, record.context))
    module = family.build_model(config, record.vocabulary, record.context)
    module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, assign=True)
    if sum(weight.numel() for weight in module.parameters()) < _WORTH_THREADS:
        torch.set_num_threads(1)
    return module


def drawn(
    opened: OpenedFlow,
    item: Mapping[str, Any],
    guides: Guides,
    tell: Callable[..., None] = lambda *_, **__: None,
    changes: Callable[[], Mapping[str, Any]] = dict,
) -> NDArray[np.uint8]:
    """Draw a whole video, clip by clip, in the model's size: (T, S, S, 3).

    `tell` is called with the kind of each event and its facts. `changes` is asked before each clip for what of `steps`,
    `guidance` and `sigma` is to be different from there on.
    """
    length, overlap = opened.decided.frames, int(item["overlap"])
    if overlap > length // 2:
        raise UsageError(f"`{opened.name}` draws {length} frames at a time; the overlap can be at most {length // 2}.")
    phrases, negative = (opened.phrases_in(item[key]) for key in ("text", "negative"))
    flow = _flow(item)
    plan = planned(int(item["frames"]), length, overlap)
    made: list[NDArray[np.uint8]] = []
    for clip in plan.clips:
        tell("clip", done=clip.number, total=len(plan.clips))
        asked = _flow({**item, **changes()})
        if asked != flow:
            flow = asked
            tell("adjusted", clip=clip.number, guidance=flow.guidance, steps=flow.steps, sigma=flow.sigma)
        given = overlap if made else 0
        before = torch.zeros(1, length, opened.decided.size, opened.decided.size, 3)
        if given:
            before[0, :given] = pixels(torch.tensor(np.stack(made[-given:])))

        def watch(step: int, guess: torch.Tensor, clip: Clip = clip, flow: Flow = flow) -> None:
            tell("step", step=step, total=flow.steps, clip=clip.number, clips=len(plan.clips))
            if step == flow.steps or step % max(1, flow.steps // 4) == 0:
                tell("preview", step=step, clip=clip.number, png=sheet(guess))

        drawing = generate(
            opened.module,
            guides.steering(clip, length, given, opened.encoded(phrases)),
            [int(item["seed"]) + clip.number],
            flow,
            negative=opened.encoded(negative),
            frames=before,
            start=guides.start(clip, length),
            watch=watch,
        )
        made += list(colours(drawing[0]).numpy()[given : clip.frames])
    tell("clip", done=len(plan.clips), total=len(plan.clips))
    return np.stack(made)


def _flow(item: Mapping[str, Any]) -> Flow:
    return Flow(int(item["steps"]), float(item["guidance"]), float(item["sigma"]))


def sheet(guess: torch.Tensor) -> str:
    """Some frames of (1, T, S, S, 3) beside each other, as PNG in base64: small enough for a line of a log."""
    clip = colours(guess[0]).cpu().numpy()
    places = np.linspace(0, len(clip) - 1, min(_SHOWN, len(clip))).round().astype(int)
    row = cv2.cvtColor(np.concatenate(list(clip[places]), axis=1), cv2.COLOR_RGB2BGR)
    while len(text := base64.b64encode(cv2.imencode(".png", row)[1].tobytes())) > _LONGEST:
        row = cv2.resize(row, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return text.decode()


def write_video(video: NDArray[np.uint8], path: Path, item: Mapping[str, Any], opened: OpenedFlow) -> None:
    """Write a video in the size of the request, without the borders that made it square."""
    width, height = item["size"]
    top, left, inner_height, inner_width = placed(height, width, opened.decided.size)
    about = {"tool": "transfer run", "options": {**opened.weights, "seed": item["seed"]}}
    with frames.FrameWriter(path, Fraction(item["fps"]), quality="high", made_by=about) as writer:
        for frame in video:
            inner = np.ascontiguousarray(frame[top : top + inner_height, left : left + inner_width])
            writer.write(frames.resized(inner, width, height))


def main(words: Sequence[str] | None = None) -> int:
    """Carry out all requests of a file; what is there already, from an attempt before this one, stays."""
    asked = _arguments(words)
    try:
        items = json.loads(Path(asked.requests).read_text(encoding="utf-8"))
        _tell("stage", stage="loading")
        opened = open_flow(WorkspaceFolder(Path(asked.workspace)), asked.model)
        if opened.remark is not None:
            _tell("note", message=opened.remark)
        for number, item in enumerate(items):
            target = Path(asked.outputs) / f"{number}.mp4"
            if not target.is_file():
                _carry_out(opened, item, number, target, Path(asked.requests).with_name(ADJUST))
            _tell("item", item=number)
    except TreadleError as error:
        print(f"{ERROR}{' '.join(str(error).split())}", flush=True)
        return 1
    return 0


def _carry_out(opened: OpenedFlow, item: Mapping[str, Any], number: int, target: Path, adjust: Path) -> None:
    phrases = opened.phrases_in(item["text"])
    if phrases:
        print(f"Understood of the text: {', '.join(phrases)}", flush=True)
    else:
        known = ", ".join(opened.decided.phrases) or "no phrases at all"
        print(f"Nothing of the text is known to `{opened.name}`; it knows {known}.", flush=True)
    _tell("stage", stage="preparing")
    guides = guides_of(item, opened.decided.size)
    _tell("stage", stage="sampling")
    video = drawn(
        opened, item, guides, lambda kind, **facts: _tell(kind, item=number, **facts), lambda: _changes(adjust)
    )
    write_video(video, target, item, opened)


def _changes(path: Path) -> dict[str, Any]:
    """What was changed on the way; a damaged file changes nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: found[key] for key in ("steps", "guidance", "sigma") if isinstance(found.get(key), int | float)}


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="treadle.recipes.local_tiny", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("requests")
    parser.add_argument("outputs")
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--model")
    return parser.parse_args(words)


def _tell(kind: str, **facts: str | float) -> None:
    print(f"{MARK}{json.dumps({'type': kind, **facts})}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
