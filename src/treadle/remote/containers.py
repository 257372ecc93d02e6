"""Containers on a host: a command line for podman or docker, known by the run's label, from a fixed image only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from treadle.base.errors import UsageError
from treadle.remote.transport import run_checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.remote.transport import Transport

Runtime = Literal["podman", "docker"]
LABEL: Final = "treadle.run"
_FIXED: Final = re.compile(r"(?:[^@\s]+@)?sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the host as the container sees it."""

    host: str
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Containers:
    """How containers are run on one host."""

    runtime: Runtime
    global_flags: tuple[str, ...] = ()
    """Flags before the verb, such as `--storage-driver vfs`."""
    run_flags: tuple[str, ...] = ()
    """Flags of `run`, such as `--gpus all`."""

    def argv(
        self,
        run_id: str,
        image: str,
        command: Sequence[str],
        *,
        mounts: Sequence[Mount] = (),
        environment_file: str | None = None,
    ) -> list[str]:
        """The command line that runs `command` in the foreground; secrets stand in the file, never in the line.

        Raises `UsageError` unless the image is given by digest: a tag can be moved to something else.
        """
        made = [*self._base(), "run", "--rm", "--label", f"{LABEL}={run_id}", "--name", f"treadle-{run_id}"]
        made += ["--env", f"TREADLE_REMOTE_RUN={run_id}", *self.run_flags]
        for mount in mounts:
            if ":" in mount.host or ":" in mount.inside:
                raise UsageError(f"{mount.host}: a folder with `:` in its name cannot be given to a container.")
            made += ["--volume", f"{mount.host}:{mount.inside}{'' if mount.writable else ':ro'}"]
        if environment_file is not None:
            made += ["--env-file", environment_file]
        return [*made, fixed_image(image), *command]

    def running(self, transport: Transport, run_id: str) -> list[str]:
        """Ids of the containers of a run that run now."""
        return self._ids(transport, run_id, "ps", "--quiet")

    def remove(self, transport: Transport, run_id: str, grace: int) -> None:
        """Stop and remove all containers of a run, and no other."""
        for identity in self._ids(transport, run_id, "ps", "--all", "--quiet"):
            transport.run([*self._base(), "stop", "-t", str(grace), identity], timeout=grace + 60)
            transport.run([*self._base(), "rm", "--force", identity], timeout=60)

    def _ids(self, transport: Transport, run_id: str, *verb: str) -> list[str]:
        argv = [*self._base(), *verb, "--no-trunc", "--filter", f"label={LABEL}={run_id}"]
        out = run_checked(transport, argv, f"list the containers of run {run_id}", timeout=60)
        return out.decode(errors="replace").split()

    def _base(self) -> list[str]:
        return [self.runtime, *self.global_flags]


def fixed_image(image: str) -> str:
    """Return `image` if it names one content for ever (`sha256:...` or `NAME@sha256:...`), else raise `UsageError`."""
    if _FIXED.fullmatch(image) is None:
        raise UsageError(
            f"`{image}` can change under its name; a run needs an image by digest. Fix it: "
            "treadle host image pin HOST IMAGE"
        )
    return image
