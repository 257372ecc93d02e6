"""The stream of events: positions, history, what is new, and clients that are too slow."""

import asyncio
import json
import threading

import pytest

from treadle.base.errors import UsageError
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import create_run
from treadle.telemetry.events import EventLog
from treadle.web.hub import MOST_WAITING, Hub
from treadle.web.positions import Position, read_lines


def parse(pieces):
    found = []
    for message in b"".join(pieces).decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in message.splitlines() if not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("id"), json.loads(lines["data"])))
    return found


def claimed(ledger):
    worker = WorkerIdentity.current()
    ledger.work.register(worker, {})
    return ledger.work.claim(worker, {"heavy": 1})


class Loop:
    """What the hub needs of an event loop: a way to be woken."""

    def __init__(self):
        self.woken = threading.Event()

    def call_soon_threadsafe(self, _):
        self.woken.set()


class Reader:
    """A client of the hub in this thread."""

    def __init__(self, hub, cursor=""):
        self.hub = hub
        self.watcher, missed = hub.watch(Loop(), cursor)
        self.events = parse(missed)

    def until(self, type_, seconds=20):
        deadline = threading.Event()
        timer = threading.Timer(seconds, deadline.set)
        timer.start()
        try:
            while not any(event["type"] == type_ for _, event in self.events):
                assert not deadline.is_set(), [event["type"] for _, event in self.events]
                self.watcher._loop.woken.wait(0.1)
                self.watcher._loop.woken.clear()
                waiting = self.watcher._waiting
                self.events += parse([waiting.popleft() for _ in range(len(waiting))])
        finally:
            timer.cancel()
        return [event for _, event in self.events]

    @property
    def cursor(self):
        return self.events[-1][0]


@pytest.fixture
def hub(workspace):
    made = Hub(workspace)
    yield made
    made.close()


@pytest.fixture
def running(workspace):
    """A job that runs, as a worker would have it; returns the ledger, its claim and its event log."""
    with Ledger.open(workspace) as ledger:
        job = ledger.submit(NewJob("model:m-1", "train", {"model": "m-1"}))
        run = create_run(workspace, "train", job.payload)
        claim = claimed(ledger)
        ledger.work.set_run(claim, run.id)
        log = EventLog(run.events)
        yield ledger, claim, log, run
        log.close()


def test_a_position_is_a_text_and_back():
    position = Position(12, {"r-0a": [5, 7], "r-0b": [0, 0]})
    assert str(position) == "12,r-0a:5:7,r-0b:0:0"
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["x", "1;2", "1,r-A:1:2", "1,r-a:1", "-1", "1" * 30, "1,../x:1:1"])
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(UsageError, match="no cursor"):
        Position.parse(text)


def test_only_whole_lines_are_read(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthr")
    assert read_lines(path, 0) == ([b"one", b"two"], 8)
    assert read_lines(path, 8) == ([], 8)
    path.write_bytes(b"one\ntwo\nthree\n")
    assert read_lines(path, 8) == ([b"three"], 14)
    assert read_lines(tmp_path / "absent", 3) == ([], 3)


def test_a_watcher_without_a_cursor_gets_what_runs_now_and_then_what_is_new(hub, running):
    ledger, claim, log, _ = running
    log.emit("progress", step=1, loss=3.5)
    reader = Reader(hub)
    assert [event["type"] for _, event in reader.events] == ["hello", "run.progress"]
    assert reader.events[1][1]["data"] == {"step": 1, "loss": 3.5}
    log.emit("sample", text="To be")
    ledger.work.finish(claim, {"step": 1})
    types = [event["type"] for event in reader.until("job.done")]
    assert types == ["hello", "run.progress", "run.sample", "job.done"], "the run's last word comes before its end"


def test_with_a_cursor_everything_behind_it_comes_once(hub, running, workspace):
    ledger, claim, log, run = running
    cursor = hub.cursor()
    log.emit("progress", step=1)
    run.log.write_text("a warning\n")
    reader = Reader(hub, cursor)
    assert [event["type"] for event in reader.until("run.log")] == ["hello", "run.progress", "run.log"]
    middle = reader.cursor
    log.emit("progress", step=2)
    reader.until("run.progress")
    hub.leave(reader.watcher)
    log.emit("progress", step=3)
    ledger.work.finish(claim, {})
    again = Reader(Hub(workspace), middle)  # of another server, after a restart: only the files know
    found = again.until("job.done")
    assert [event["data"].get("step") for event in found if event["type"] == "run.progress"] == [2, 3]
    again.hub.close()


def test_a_job_that_is_queued_later_is_followed_from_its_first_line(hub, workspace):
    reader = Reader(hub)
    with Ledger.open(workspace) as ledger:
        job = ledger.submit(NewJob("model:m-2", "train", {}))
        run = create_run(workspace, "train", {})
        log = EventLog(run.events)
        log.emit("started", pid=1)
        claim = claimed(ledger)
        ledger.work.set_run(claim, run.id)
        log.emit("progress", step=1)
        ledger.work.finish(claim, {})
        log.close()
    found = [event for event in reader.until("job.done") if event.get("run") or event["type"].startswith("job.")]
    types = [event["type"] for event in found if event["job"] == job.id or event.get("run") == run.id]
    assert types[0] == "job.submitted"
    assert [type_ for type_ in types if type_.startswith("run.")] == ["run.started", "run.progress"]
    assert types[-1] == "job.done"


def test_a_watcher_that_cannot_keep_up_is_let_go_and_costs_no_memory(hub, running):
    _, _, log, _ = running
    reader = Reader(hub)
    for step in range(MOST_WAITING + 100):
        log.emit("progress", step=step)
    limit = threading.Event()
    timer = threading.Timer(60, limit.set)
    timer.start()
    while not reader.watcher.dropped and not limit.is_set():
        limit.wait(0.01)
    timer.cancel()
    assert reader.watcher.dropped
    assert not reader.watcher._waiting


def test_events_that_are_large_together_are_too_many(hub):
    watcher, _ = hub.watch(Loop(), "")
    piece = b"x" * 1_000_000
    for _ in range(9):
        watcher.give(piece)
    assert not watcher.dropped
    watcher.give(piece)
    assert watcher.dropped
    hub._give(Position(), {"type": "job.done"})
    assert hub.watchers == 0, "who was let go is forgotten"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_failed_lets_its_watchers_go_and_the_next_one_begins_anew(hub, running):
    ledger, claim, _, run = running
    reader = Reader(hub)
    thread = hub._thread
    run.log.mkdir()
    thread.join(20)
    assert not thread.is_alive()
    assert reader.watcher.dropped
    run.log.rmdir()
    again = Reader(hub, reader.cursor)
    ledger.work.finish(claim, {})
    assert again.until("job.done")


def test_who_may_not_come_in_any_more_does_not_go_on_watching(app, workspace, stored_accounts):
    from starlette.requests import Request

    from treadle.web.events import _still_known

    def asks(*headers):
        scope = {"type": "http", "method": "GET", "path": "/api/v1/events", "query_string": b"", "app": app}
        return Request({**scope, "headers": [(b"host", b"127.0.0.1:8765"), *headers]})

    assert _still_known(asks())
    accounts = app.state.accounts
    _, token = accounts.add_key("dashboard", "viewer")
    program = asks((b"authorization", f"Bearer {token}".encode()))
    assert _still_known(program)
    accounts.remove_key("dashboard")
    assert not _still_known(program)
    accounts.path.write_bytes((stored_accounts / "accounts.json").read_bytes())
    assert not _still_known(asks()), "with the first user everybody logs in"


def test_the_reader_rests_when_nobody_watches(workspace):
    hub = Hub(workspace, linger_seconds=0.05)
    reader = Reader(hub)
    thread = hub._thread
    hub.leave(reader.watcher)
    thread.join(20)
    assert not thread.is_alive()
    assert hub.watchers == 0
    assert hub.cursor() == "0"


def test_waiting_ends_with_the_first_event():
    async def scenario():
        from treadle.web.hub import Watcher

        watcher = Watcher(asyncio.get_running_loop())
        assert await watcher.take(0.01) == b""
        watcher.give(b"one")
        watcher.give(b"two")
        assert await watcher.take(5) == b"onetwo"

    asyncio.run(scenario())
