"""What a request comes to before it costs anything: clips and waste, seeds, weights as sent, what is not said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import UsageError
from treadle.base.units import counted
from treadle.video.transfer.clips import snapped, spaced_seeds, stretch
from treadle.video.transfer.dialects.catalog import DIALECTS
from treadle.video.transfer.weights import Adaptive, Mask, Schedule, Steps, normalised
from treadle.video.transfer.weights_adaptive import measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from treadle.video.transfer.clips import Clip, ClipPlan
    from treadle.video.transfer.dialects.written import Content, Dialect, Written
    from treadle.video.transfer.spec import Control, TransferSpec

FOLDER = "RUN"
"""Stands for the folder of the run in what is shown."""
_PLAIN = 0.01
_WASTED = 0.05


def explained(spec: TransferSpec, words: Dialect | str, variants: int = 1) -> dict[str, Any]:
    """All that can be known of a request in the words of one dialect; raises `UsageError` if that has none for it."""
    dialect: Dialect = DIALECTS.get(words) if isinstance(words, str) else words
    plan = dialect.plan(spec)
    settled = measured(spec, plan)
    written = dialect.write([settled], FOLDER)
    works = snapped(*spec.size) if dialect.snaps else None
    return {
        "name": spec.name,
        "dialect": dialect.name,
        "text": spec.text,
        "negative": spec.negative,
        "negative_from": spec.negative_from,
        "settings": {key: getattr(spec, key) for key in ("seed", "steps", "guidance", "sigma", "fps")},
        "input": {
            "path": str(spec.source.path),
            "width": spec.size[0],
            "height": spec.size[1],
            "frames": spec.frames,
            "fps": spec.source.fps,
        },
        "works_in": works and {"width": works[0], "height": works[1]},
        "controls": [_control(before, after) for before, after in zip(spec.controls, settled.controls, strict=True)],
        "clips": [_clip(settled, clip) for clip in plan.clips],
        "frames_made": plan.made,
        "waste": plan.waste,
        "runs": len(written.runs),
        "seeds": spaced_seeds(spec.seed, len(plan.clips), variants),
        "unsaid": list(written.unsaid),
        "remarks": [*_general(settled, plan, snaps=dialect.snaps), *written.remarks],
        "other_dialects": {name: fits(spec, name) for name in DIALECTS.names() if name != dialect.name},
        "files": [{"path": name, "content": _about(content)} for name, content in written.files.items()],
        "sent": sent(written),
        "arguments": [list(run.arguments) for run in written.runs],
    }


def fits(spec: TransferSpec, dialect_name: str) -> list[str]:
    """Why a dialect cannot carry a request, or what it would leave unsaid; empty = it says all."""
    try:
        written: Written = DIALECTS.get(dialect_name).write([spec], FOLDER)
    except UsageError as error:
        return [str(error)]
    return list(written.unsaid)


def sent(written: Written) -> dict[str, Any]:
    """The documents that a target reads, by path."""
    found: dict[str, Any] = {}
    for name, content in written.files.items():
        if isinstance(content, bytes) and name.endswith(".json"):
            found[name] = json.loads(content)
        elif isinstance(content, bytes) and name.endswith(".jsonl"):
            found[name] = [json.loads(line) for line in content.splitlines()]
    return found


def course(control: Control, clip: Clip) -> NDArray[np.float64]:
    """The weight of each frame of a clip, inside of a mask."""
    weight = control.weight
    if isinstance(weight, Steps):
        return np.full(clip.frames, weight.weights[clip.number])
    if isinstance(weight, Adaptive):
        return np.full(clip.frames, weight.most)
    return (weight.inside if isinstance(weight, Mask) else weight).over(clip.first, clip.frames)


def _control(before: Control, after: Control) -> dict[str, Any]:
    made = f"drawn here ({after.strength})" if after.strength is not None else "made by the target"
    weight = str(after.weight)
    return {
        "kind": after.kind,
        "weight": weight if before.weight == after.weight else f"{before.weight}: {weight}",
        "map": made if after.map is None else str(after.map.path),
        "strength": after.strength,
        "subject": after.subject,
        "weight_subject": after.weight_subject,
    }


def _clip(spec: TransferSpec, clip: Clip) -> dict[str, Any]:
    asked = np.stack([course(control, clip) for control in spec.controls])
    as_sent = normalised(asked)
    return {
        "number": clip.number,
        "first": clip.first,
        "last": clip.first + clip.frames - 1,
        "seed": clip.seed,
        "asked": dict(zip(spec.kinds, asked.mean(axis=1).round(4).tolist(), strict=True)),
        "weights": dict(zip(spec.kinds, as_sent.mean(axis=1).round(4).tolist(), strict=True)),
    }


def _general(spec: TransferSpec, plan: ClipPlan, *, snaps: bool) -> Iterator[str]:
    wide, high = snapped(*spec.size)
    lost = plan.made - plan.frames
    if plan.waste >= _WASTED:
        clips = counted(len(plan.clips), "clip")
        cut = plan.saved_by_cutting
        hint = f" With {cut} fewer (`frames`={plan.frames - cut}) it is one clip less." if cut else ""
        yield (
            f"{plan.frames} frames cost {clips} of {plan.length}: {plan.made} are made, {lost} of them for nothing "
            f"({plan.waste:.0%}).{hint}"
        )
    if snaps and abs(stretch(*spec.size) - 1) > _PLAIN:
        size = f"{spec.size[0]}x{spec.size[1]}"
        more = stretch(*spec.size) - 1
        yield f"{size} is worked on as {wide}x{high}: {abs(more):.0%} {'wider' if more > 0 else 'narrower'} than it is."
    sums = np.concatenate([sum(course(control, clip) for control in spec.controls) for clip in plan.clips])
    if float(sums.max()) > 1 + 1e-9:
        yield f"The weights add up to {sums.max():.3g}; where they pass 1, they are scaled down together."
    if not float(sums.max()):
        yield "No control has any weight: the input steers nothing."
    for key, kind in (("edges", "edge"), ("blur", "vis")):
        if key in spec.given and not any(one.kind == kind and one.strength for one in spec.controls):
            yield f"`{key}` changes nothing: no map of {kind} is drawn here."
    for control in spec.controls:
        if isinstance(control.weight, Schedule) and control.weight.keyframes[-1].frame >= spec.frames:
            last = control.weight.keyframes[-1].frame
            yield f"The weight of {control.kind} has a point at frame {last}; the last frame is {spec.frames - 1}."


def _about(content: Content) -> str:
    if isinstance(content, Path):
        return f"{content}, as it is"
    if isinstance(content, bytes):
        return f"{len(content):,} bytes"
    return content.about()
