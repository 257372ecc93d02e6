"""NVIDIA's cosmos-transfer1 through its command line: the model is loaded, used for one launch, and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.video.transfer.backends import transfer1_log
from treadle.video.transfer.dialects.transfer1 import DIALECT

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.backends.backend import Ended, Event, LaunchSettings, Outcome, Places
    from treadle.video.transfer.dialects.written import Written, WrittenRun
    from treadle.video.transfer.spec import TransferSpec


class Transfer1Cli:
    """`torchrun ... transfer.py`, by way of the interpreter: `torchrun` itself may not be in the path of a login."""

    name = "transfer1-cli"
    dialect = "transfer1"
    batches = True

    def key(self, spec: TransferSpec) -> str:
        """See `Backend`: nothing stays loaded."""
        return f"{self.name}/{'+'.join(sorted(spec.kinds))}"

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """See `Backend`: text, video and controls are an item's own, the rest is the batch's."""
        return DIALECT.shared(spec)

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`."""
        del settings  # they are arguments
        return DIALECT.write(specs, folder)

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

    def event(self, line: str) -> Event | None:
        """See `Backend`."""
        return transfer1_log.event_of(line)

    def outcome(self, ended: Ended) -> Outcome:
        """See `Backend`."""
        return transfer1_log.outcome_of(ended)


def launcher(places: Places) -> list[str]:
    """What starts a script of the target once for each GPU."""
    # `--standalone` takes a free port: with the usual one, only one run of a host could begin.
    return [places.python, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={places.gpus}"]


BACKEND = Transfer1Cli()
