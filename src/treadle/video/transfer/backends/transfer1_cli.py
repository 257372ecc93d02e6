"""NVIDIA's cosmos-transfer1 through its command line: the model is loaded, used for one launch, and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.video.transfer.backends import transfer1_checkpoints
from treadle.video.transfer.backends.program import Program, launcher
from treadle.video.transfer.dialects.transfer1 import DIALECT

if TYPE_CHECKING:
    from treadle.video.transfer.backends.backend import LaunchSettings, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec


class Transfer1Cli(Program):
    """`torchrun ... transfer.py`, by way of the interpreter: `torchrun` itself may not be in the path of a login."""

    name = "transfer1-cli"
    words = DIALECT

    def needs(self, spec: TransferSpec) -> tuple[str, ...]:
        """See `Backend`."""
        return (*transfer1_checkpoints.needed(spec), *transfer1_checkpoints.GUARDRAIL)

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """See `Backend`. Flags and values are two words: `--seed=5` would not go before the file."""
        more = ["--checkpoint_dir", places.checkpoints, "--num_gpus", str(places.gpus)]
        if len(run.outputs) > 1:
            more += ["--batch_size", str(settings.at_once)]
        return [*launcher(places), *written.program, *run.arguments, *more]

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """See `Backend`."""
        del settings
        return {"PYTHONPATH": places.code, "PYTHONUNBUFFERED": "1"}


BACKEND = Transfer1Cli()
