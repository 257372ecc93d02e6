"""One launch on its host: laid down, staged, started, followed to its end, brought back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.base import units
from treadle.base.errors import DataError, NotFoundError, NotReadyError, UsageError
from treadle.base.files import write_bytes
from treadle.base.hashing import hash_bytes
from treadle.recipes.following import Following, StoppedError
from treadle.recipes.transfer_following import LogHere
from treadle.recipes.transfer_requests import ADJUST
from treadle.remote.run_folder import OUTPUTS, RunFolder
from treadle.remote.transport import inner_path
from treadle.video import frames
from treadle.video.transfer.backends.backend import Ended, Outcome

if TYPE_CHECKING:
    from treadle.jobs.context import RunContext
    from treadle.recipes.transfer_host import HostHere
    from treadle.recipes.transfer_work import LaunchRecord, LaunchState, Work
    from treadle.remote.run_folder import RunState
    from treadle.video.transfer.backends.backend import Backend, LaunchSettings
    from treadle.video.transfer.dialects.written import Content, Written, WrittenRun

_LARGEST_PREVIEW: Final = 4 << 20


class Launching:
    """Carries out one launch; every step may be repeated after a kill."""

    def __init__(self, context: RunContext, work: Work, record: LaunchRecord, backend: Backend, host: HostHere) -> None:
        """Know the launch; nothing is done yet."""
        self._context, self._work, self._record = context, work, record
        self._backend, self._host = backend, host
        self.folder: Path = work.folder(record)
        self._remote = RunFolder(host.transport, host.root, record.id, host.containers)
        self._following = Following(context, host.name, host.patience, far=host.far)
        self._asked = self._following.asked
        self._passed_on = b""

    def carry_out(self, written: Written, run: WrittenRun, settings: LaunchSettings) -> Outcome:
        """Bring the launch to its end from wherever it stands; returns what the end means.

        Raises what `Following` raises.
        """
        try:
            return self._carried_out(written, run, settings)
        except StoppedError:
            self._record.state, self._record.ending, self._record.reason = "ended", "cancelled", "Stopped."
            self._work.save()
            raise

    def _carried_out(self, written: Written, run: WrittenRun, settings: LaunchSettings) -> Outcome:
        if self._record.state == "starting" and self._asked(self._remote.state).pid is not None:
            self._to("running")  # an attempt was killed just after it had started it: nothing is sent again, no secret
        if self._record.state in {"staging", "starting"}:
            self._send(written, run, settings)
        log = LogHere(self._context, self.folder / "log", self._record, self._backend)
        try:
            state = self._following.to_the_end(self._remote, log, lambda state: self._looked(log, state))
            return self._settle(log, state, run)
        finally:
            log.close()

    def _to(self, state: LaunchState) -> None:
        self._record.state = state
        self._work.save()
        self._context.emit("state", launch=self._record.number, state=state, host=self._host.name)

    def _send(self, written: Written, run: WrittenRun, settings: LaunchSettings) -> None:
        """Make and stage the files, and start the command; asked twice, it is started once."""
        self._to("staging")
        files = {name: self._laid_down(name, content) for name, content in written.files.items()}
        free = self._asked(self._host.free)
        self._record.bytes_sent = sum(path.stat().st_size for path in files.values())
        if free < settings.room_gb * 1e9 + self._record.bytes_sent:
            message = f"{self._host.name} has only {free / 1e9:.1f} GB of free disk."
            raise NotReadyError(f"{message} Free some there, then run it again, or ask for less: --room-gb")
        self._context.emit("transfer", message=f"sending {units.counted(len(files), 'file')} to {self._host.name}")
        self._asked(lambda: self._remote.stage(files))
        self._following.stop_between()
        places = self._host.places(self._remote.path)
        argv = self._backend.argv(written, run, places, settings)
        variables = self._backend.environment(places, settings)
        self._to("starting")
        secrets, hidden = self._host.secrets(), ""
        if secrets:
            hidden = self._asked(lambda: self._remote.keep_environment(secrets))
        command = self._host.command(self._record.id, argv, places, variables, hidden)
        self._asked(lambda: self._remote.start(command))
        self._to("running")

    def _laid_down(self, name: str, content: Content) -> Path:
        """A file of the launch on this machine; what takes work is made once for all launches of the run."""
        self._following.stop_between()
        if isinstance(content, Path):
            return content
        if isinstance(content, bytes):
            write_bytes(self.folder / "files" / name, content)
            return self.folder / "files" / name
        made = self._context.run.path / "files" / f"{hash_bytes(repr(content).encode())[:16]}{Path(name).suffix}"
        if not made.is_file():
            self._context.emit("transfer", message=f"making {content.about()}", launch=self._record.number)
            made.parent.mkdir(exist_ok=True)
            content.write(made)
        return made

    def _looked(self, log: LogHere, state: RunState) -> None:
        """Bring pictures here that are there by now, and lay beside the command what it may read between two clips."""
        self._fetch_previews(log)
        if state.alive:
            self._pass_on_changes()

    def _fetch_previews(self, log: LogHere) -> None:
        """Bring pictures here that the log told of; one that is gone, or no picture, is left out."""
        while log.previews:
            data = log.previews.pop(0)
            try:
                path = f"{self._remote.path}/{inner_path(str(data.get('file')))}"
            except UsageError:
                continue
            picture = self._asked(lambda path=path: self._host.transport.read(path, 0, _LARGEST_PREVIEW))  # type: ignore[misc]
            if picture.startswith(b"\x89PNG"):
                log.keep_preview(data, picture)

    def _pass_on_changes(self) -> None:
        """Lay what people changed meanwhile beside the command, which may read it between two clips."""
        path = self._context.run.path / ADJUST
        if path.is_file() and (found := path.read_bytes()) != self._passed_on:
            self._asked(lambda: self._host.transport.put_bytes(found, f"{self._remote.path}/{ADJUST}"))
            self._passed_on = found

    def _settle(self, log: LogHere, state: RunState, run: WrittenRun) -> Outcome:
        """Bring the videos here and find out what the end means."""
        self._to("collecting")
        if state.code is not None:
            self._asked(lambda: self._remote.collect(self.folder, (OUTPUTS,)))
        self._record.code = state.code
        self._record.seconds = self._asked(lambda: self._host.seconds(self._remote.path))
        missing = [place for place, output in enumerate(run.outputs) if not is_video(self.folder / output)]
        if log.doubtful:  # they may stand under each other's numbers
            missing = list(range(len(run.outputs)))
        outcome = self._backend.outcome(Ended(state.code, log.tail(), missing, log.blocked))
        if state.stopped:
            outcome = Outcome("cancelled", "Stopped.")
        if log.doubtful:
            reason = "A guardrail refused one of several that were made at once; the others are made one by one."
            outcome = Outcome("failed", reason, one_by_one=True)
        warm = log.facts.get("warm", {})
        self._record.loaded_seconds = warm.get("loaded_seconds")
        self._record.saved_seconds = warm.get("saved_seconds")
        self._record.ending, self._record.reason = outcome.ending, outcome.reason
        return outcome


def is_video(path: Path) -> bool:
    """Whether there is a video that can be opened and has at least one frame."""
    try:
        return frames.probe(path).frames > 0
    except (DataError, NotFoundError, UsageError):
        return False
