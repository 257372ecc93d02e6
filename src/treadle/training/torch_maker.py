"""Making the torch learner; torch itself is imported only when it is made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.training.config import TrainingSettings
    from treadle.training.learner import Learner
    from treadle.training.learners import Network


class TorchMaker:
    """Makes torch learners, for every family."""

    def refusal(self, network: Network, settings: TrainingSettings) -> str | None:  # noqa: ARG002 - torch trains all
        """Why torch cannot be used; None when it can."""
        if find_spec("torch") is None:
            return "torch is not installed; run `pip install treadle[torch]`."
        return None

    def make(self, network: Network, settings: TrainingSettings, plan: Mapping[str, Any] | None) -> Learner:
        """Build the family's module, choose the numeric plan or replay the stored one."""
        learner: Learner = load("treadle.training.torch_learner:make")(network, settings, plan)
        return learner


MAKER: Final = TorchMaker()
