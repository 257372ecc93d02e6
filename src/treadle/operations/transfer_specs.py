"""Operations of the noun transfer that send nothing: explain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.operations.operation import NamesFile, operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

_WEIGHTS = "CONTROL=WEIGHT: a number, points in time such as '0:0.2 48:0.8', adaptive, or a mask; may be repeated"
_SET = "NAME=VALUE: a setting that differs from the source's, such as seed=7; may be repeated"


@dataclass(frozen=True, slots=True)
class ExplainReport:
    """What a request comes to in the words of one target."""

    source: str
    name: str
    dialect: str
    text: str
    negative: str
    """The one that is sent; empty = none."""
    negative_from: str
    """Whose it is: `default`, `prompt` or `spec`."""
    settings: dict[str, Any]
    """`seed`, `steps`, `guidance`, `sigma`, `fps`."""
    input: dict[str, Any]
    """`path`, `width`, `height`, `frames`, `fps`."""
    works_in: dict[str, int] | None
    """Size that the model works in; None = that is the model's own matter."""
    controls: list[dict[str, Any]]
    """`kind`, `weight`, `map`, `strength`, `subject`, `weight_subject`."""
    clips: list[dict[str, Any]]
    """`number`, `first` and `last` frame, `seed`; by control the mean weights `asked` and, as they count, `weights`."""
    frames_made: int
    waste: float
    """Share of the generated frames that is thrown away."""
    runs: int
    """How often the target's program is started."""
    seeds: list[int]
    """Of the variants, far enough apart that no two share noise."""
    unsaid: list[str]
    """What was asked for and cannot be said."""
    remarks: list[str]
    other_dialects: dict[str, list[str]]
    """What each other one could not say; empty = it says all."""
    files: list[dict[str, str]]
    """`path` in the folder of the run, and `content`."""
    sent: dict[str, Any]
    """The documents that the target reads, by path."""
    arguments: list[list[str]]
    """Of each run, after the name of the program."""
    picture: str | None


@operation(
    "light",
    noun="transfer",
    reads_unless=("image",),
    examples=(
        "treadle transfer explain dusk",
        "treadle transfer explain dusk --weights 'edge=0:0.2 48:0.8' --weights vis=adaptive",
        "treadle transfer explain street.json --dialect transfer25 --json",
        "treadle transfer explain shapes.json --dialect local-tiny --model mover",
        "treadle transfer explain dusk --image weights.png --frame 60",
    ),
)
def explain(
    workspace: WorkspaceFolder,
    source: Annotated[str, "name of a stored prompt, or file of a request (.json)", NamesFile(names_others=True)],
    *,
    dialect: Annotated[
        Literal["transfer1", "transfer25", "diffusers", "local-tiny"], "whose words it shall be said in"
    ] = "transfer1",
    model: Annotated[str | None, "which model of local-tiny, whose clips count; none = the only one"] = None,
    weights: Annotated[list[str], _WEIGHTS, NamesFile(behind="=")] = [],  # noqa: B006 - never changed
    set: Annotated[list[str], _SET] = [],  # noqa: A002, B006 - the flag's name; never changed
    variants: Annotated[int, "how many results with other noise, to see their seeds"] = 1,
    image: Annotated[Path | None, "draw where and how strongly each control counts in one frame (.png)"] = None,
    frame: Annotated[int, "the frame for --image, counted from 0"] = 0,
) -> ExplainReport:
    """Show what a request for a transferred video comes to, before it costs anything; nothing is sent.

    Clips and what of them is thrown away, the seed of each clip, weights as they count after scaling, which negative
    text won, what the target cannot be told, and the documents just as it would read them.
    """
    given = (tuple(weights), tuple(set))
    found = load("treadle.recipes.transfer_explain:explain")(
        workspace, source, (dialect, model), given, variants=variants, picture=(image, frame)
    )
    return ExplainReport(**found)
