"""Making the native learner: for gpt models, wherever the native core is there or can be built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from treadle.base.errors import ResourceError
from treadle.native import instruction_sets
from treadle.native.build import library_path
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.models.gpt.config import GPTConfig
    from treadle.training.config import TrainingSettings
    from treadle.training.learner import Learner
    from treadle.training.learners import Network

_PRECISIONS: Final = {"auto": None, "fp32": "float32", "bf16": "bfloat16"}


class NativeMaker:
    """Makes native learners. The first one on a machine builds the core."""

    def refusal(self, network: Network, settings: TrainingSettings) -> str | None:  # noqa: ARG002 - the maker's signature
        """Why the core cannot train this network here; None when it can."""
        if network.family.name != "gpt":
            return f"the native core knows the family gpt, not {network.family.name}."
        try:
            library_path(instruction_sets.choose())
        except ResourceError as error:
            return str(error)
        return None

    def make(self, network: Network, settings: TrainingSettings, plan: Mapping[str, Any] | None) -> Learner:
        """Take memory and threads; a stored plan of this learner holds wherever the settings leave it open."""
        stored = plan if plan is not None and plan.get("learner") == "native" else {}
        native_plan = load("treadle.training.native_learner:NativePlan")(
            threads=settings.threads or None,  # it never changes results, so it is not replayed
            precision=_PRECISIONS[settings.precision] or stored.get("precision"),
            gradient_shards=stored.get("gradient_shards"),
            pass_tokens=stored.get("pass_tokens"),
        )
        learner: Learner = load("treadle.training.native_learner:NativeLearner")(
            cast("GPTConfig", network.config),
            settings.optimizer,
            vocabulary=network.vocabulary,
            context=network.context,
            seed=settings.seed,
            plan=native_plan,
        )
        return learner


MAKER: Final = NativeMaker()
