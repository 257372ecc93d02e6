import json
import threading

from treadle.telemetry import hardware
from treadle.telemetry.events import EventFollower, EventLog, read_events


def test_events_are_read_back_as_they_were_written(tmp_path):
    log = EventLog(tmp_path / "run" / "events.jsonl")
    log.emit("step", step=1, loss=2.5, text="é")
    log.emit("step", step=2, loss=float("nan"), more={"x": [float("inf")]})
    log.close()
    first, second = read_events(log.path)
    assert (first.type, first.data) == ("step", {"step": 1, "loss": 2.5, "text": "é"})
    assert second.data == {"step": 2, "loss": None, "more": {"x": [None]}}
    assert all(json.loads(line)["time"] > 0 for line in log.path.read_text().splitlines())


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"type": "a", "time": 1}\n{"type": "b", "ti')
    assert [event.type for event in read_events(path)] == ["a"]
    assert read_events(tmp_path / "none") == []


def test_a_follower_sees_every_event_of_a_writer_in_order(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")

    def write():
        for step in range(200):
            log.emit("step", step=step)

    writer = threading.Thread(target=write)
    writer.start()
    seen = [event.data["step"] for event in EventFollower(log.path).follow(writer.is_alive) if event is not None]
    writer.join()
    log.close()
    assert seen == list(range(200))


def test_following_may_be_broken_off_and_shows_nothing_twice(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    follower = EventFollower(log.path)
    for step in range(3):
        log.emit("step", step=step)
    first = follower.follow(lambda: True)
    assert next(first).data == {"step": 0}
    first.close()
    log.emit("step", step=3)
    log.close()
    with log.path.open("a") as file:
        file.write('{"type": "cut')
    assert [event.data["step"] for event in follower.follow(lambda: False) if event] == [1, 2, 3]


def test_the_hardware_is_read_from_the_kernel(tmp_path):
    name, flags = hardware.processor()
    assert name
    assert isinstance(flags, list)
    total, available = hardware.memory()
    assert total >= available > 0
    assert hardware.usable_cores() >= 1
    assert hardware.resident_memory() > 1_000_000
    assert hardware.free_disk(tmp_path) > 0
    assert hardware.python_version().startswith("3.")
