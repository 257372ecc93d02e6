"""NVIDIA's cosmos-transfer1 through its command line: the model is loaded, used for one launch, and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.video.transfer.backends import transfer1_log

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.backends.backend import Ended, Event, LaunchSettings, Outcome, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec


class Transfer1Cli:
    """`torchrun ... transfer.py`."""

    name = "transfer1-cli"
    dialect = "transfer1"
    batches = True

    def key(self, spec: TransferSpec) -> str:
        """See `Backend`: nothing stays loaded."""
        return f"{self.name}/{'+'.join(sorted(spec.kinds))}"

    def shared(self, spec: TransferSpec) -> Hashable:
        """See `Backend`: of a batch, the target takes only text, video and controls of each item."""
        return (
            spec.negative,
            spec.seed,
            spec.steps,
            spec.guidance,
            spec.sigma,
            spec.fps,
            spec.distilled,
            spec.style,
            tuple(sorted((control.kind, control.strength or "") for control in spec.controls)),
        )
