"""What backends have in common that start a program of the target once for each launch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from treadle.video.transfer.backends import transfer1_log

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from treadle.video.transfer.backends.backend import Ended, Event, LaunchSettings, Outcome, Places
    from treadle.video.transfer.dialects.written import Dialect, Written
    from treadle.video.transfer.spec import TransferSpec


class Program:
    """A backend but for its command (`argv`) and its variables: requests in the words of `words`, a log that tells."""

    name: ClassVar[str]
    words: ClassVar[Dialect]
    batches: bool = True

    def key(self, spec: TransferSpec) -> str:
        """See `Backend`: what is loaded depends on the set of controls."""
        return f"{self.name}/{'+'.join(sorted(spec.kinds))}"

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """See `Backend`."""
        return self.words.shared(spec)

    def needs(self, spec: TransferSpec) -> tuple[str, ...]:
        """See `Backend`: none of ours; the program finds, or fetches, what it loads."""
        del spec
        return ()

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`."""
        del settings  # they are arguments
        return self.words.write(specs, folder)

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
