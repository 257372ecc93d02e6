"""What can be said of a prompt before it costs an hour of a rented GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from treadle.base.hashing import hash_file
from treadle.base.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.prompts.record import Prompt

MOST_TOKENS = 512
"""What the text encoder of Cosmos-Transfer (T5) reads; the rest of a text is cut off without a word."""
CHARACTERS_PER_TOKEN = 4.2
"""Of T5 on English prose; an estimate, since its vocabulary does not come with us."""
_FEWEST_WORDS = 12
_CONTROLS = ("edge", "vis", "depth", "seg")


About = Literal["", "length", "weight", "weights", "nothing", "source", "input"]
"""What a remark is about, so that each door can say in its own words what to do."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a prompt that a person should know."""

    level: Literal["error", "warning"]
    text: str
    """What is wrong, in the words of no door."""
    fix: str = ""
    """What to do, on the command line."""
    about: About = ""
    kind: str = ""
    """The input or control in question."""


def estimated_tokens(text: str) -> int:
    """About how many tokens a text encoder sees."""
    return round(len(text) / CHARACTERS_PER_TOKEN)


def remarks(prompt: Prompt) -> list[Remark]:
    """What is wrong with a prompt, and what may disappoint; empty when nothing is."""
    found = [*_of_inputs(prompt)]
    if prompt.purpose == "video":
        found += _of_video_text(prompt)
        found += _of_controls(prompt)
    return found


def _of_video_text(prompt: Prompt) -> Iterator[Remark]:
    words = len(prompt.text.split())
    if not words:
        yield Remark("error", "The text is empty.")
    elif words < _FEWEST_WORDS:
        yield Remark(
            "warning",
            f"The text has {counted(words, 'word')}. Video models were trained on long descriptions: "
            "say what is seen, the light, the camera.",
            "`treadle prompt enhance` can help.",
            "length",
        )
    for label, text in (("text", prompt.text), ("negative text", prompt.negative or "")):
        tokens = estimated_tokens(text)
        if tokens > MOST_TOKENS:
            yield Remark(
                "warning",
                f"The {label} has about {tokens:,} tokens; the encoder reads {MOST_TOKENS} and drops the rest.",
            )


def _of_controls(prompt: Prompt) -> Iterator[Remark]:
    given = {one.kind for one in prompt.inputs}
    weighted = {name for name in _CONTROLS if prompt.settings.get(name)}
    for name in sorted(given & set(_CONTROLS) - weighted):
        yield Remark(
            "warning", f"The {name} map has no weight and would not be used.", f"--set {name}=1", "weight", name
        )
    if not weighted and given:
        nothing = "No control has a weight, so the input video would not steer anything."
        yield Remark("warning", nothing, "--set edge=1", "weights")
    if not weighted and not given:
        nothing = "Neither a video nor a control map goes with it, and no control has a weight: nothing would steer."
        yield Remark("warning", nothing, "--input video=FILE --set edge=1", "nothing")
    if weighted - given and "video" not in given:
        names = ", ".join(sorted(weighted - given))
        nothing = f"Neither a control map nor a video to make it of: {names}."
        yield Remark("error", nothing, "Add --input video=FILE", "source")
    total = sum(float(prompt.settings[name]) for name in weighted)
    if total > 1:
        yield Remark(
            "warning", f"The control weights add up to {total:g}; they are scaled down so that they add up to 1."
        )


def _of_inputs(prompt: Prompt) -> Iterator[Remark]:
    for one in prompt.inputs:
        path = Path(one.path)
        if not path.is_file():
            what = "is not there any more"
        elif path.stat().st_size != one.bytes or hash_file(path) != one.sha256:
            what = "has changed since this version was stored"
        else:
            continue
        fix = f"Give it anew: --input {one.kind}=FILE"
        yield Remark("error", f"The {one.kind} {path} {what}.", fix, "input", one.kind)
