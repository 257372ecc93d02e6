"""What every training needs and none decides: imported by the process that waits for its orders."""

from __future__ import annotations

from typing import Final

from treadle.config.schema import section_classes
from treadle.native import library
from treadle.native.build import existing_library
from treadle.native.instruction_sets import choose
from treadle.registry.catalogue import load
from treadle.training.learners import LEARNERS

_USUAL_FAMILY = "gpt"
_USUALLY_LOADED: Final = (
    "treadle.data.token_data:prepare_tokens",
    "treadle.models.gpt.native_shape:native_shape",
    "treadle.native.binding:Trainer",
)


def ahead() -> None:
    """Import what a training of text on the native core uses; another one imports its own in addition.

    A core that is not built yet is left to the run itself, which says that it takes a while.
    """
    section_classes(_USUAL_FAMILY)
    for dotted in _USUALLY_LOADED:
        load(dotted)
    LEARNERS.get("native")
    if existing_library(choose()) is not None:
        library.load()
