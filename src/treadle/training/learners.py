"""Choosing what computes the steps: the native core where it can, torch otherwise, or what the settings say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from treadle.base.errors import MissingExtraError
from treadle.registry.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.config.spec import Spec
    from treadle.models.family import Family
    from treadle.training.config import TrainingSettings
    from treadle.training.learner import Learner

LEARNERS: Final = Catalogue(
    "learner",
    {"native": "treadle.training.native_learner:MAKER", "torch": "treadle.training.torch_maker:MAKER"},
)
_PREFERENCE: Final = ("native", "torch")


@dataclass(frozen=True, slots=True)
class Network:
    """The network to train: its family and everything that fixes the shapes of its weights."""

    family: Family
    config: Spec
    vocabulary: int
    context: int

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight."""
        return self.family.weight_shapes(self.config, self.vocabulary, self.context)

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(math.prod(shape) for shape in self.weight_shapes().values())


class LearnerMaker(Protocol):
    """How a learner is made. Asking whether it can be made imports nothing heavy."""

    def refusal(self, network: Network, settings: TrainingSettings) -> str | None:
        """Why it cannot train this network here, with the next step; None when it can."""
        ...

    def make(self, network: Network, settings: TrainingSettings, plan: Mapping[str, Any] | None) -> Learner:
        """Make it, its weights still to be loaded; a stored numeric `plan` is replayed where settings say `auto`."""
        ...


def open_learner(network: Network, settings: TrainingSettings, plan: Mapping[str, Any] | None = None) -> Learner:
    """Make the learner that the settings name; for `auto` the one of the stored plan, or the first that can.

    Raises `MissingExtraError` with the reasons when none can.
    """
    names = [settings.learner] if settings.learner != "auto" else list(_PREFERENCE)
    if settings.learner == "auto" and plan is not None and plan.get("learner") in _PREFERENCE:
        names.sort(key=lambda name: name != plan["learner"])
    refusals = []
    for name in names:
        maker: LearnerMaker = LEARNERS.get(name)
        refusal = maker.refusal(network, settings)
        if refusal is None:
            return maker.make(network, settings, plan)
        refusals.append(f"{name}: {refusal}")
    raise MissingExtraError("Nothing here can train this model. " + " ".join(refusals))
