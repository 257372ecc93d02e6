import threading
import time

import pytest

from treadle.base.errors import NotFoundError
from treadle.jobs.job import NewJob

A = "model:m-a"


def test_readers_follow_what_happens_by_a_cursor(ledger, me):
    made = ledger.submit(NewJob(A, "train", {}))
    cursor = ledger.last_event()
    claim = ledger.work.claim(me, {"heavy": 1})
    ledger.work.finish(claim, {})
    events = ledger.events(cursor)
    assert [(event.type, event.job, event.queue) for event in events] == [("started", made.id, A), ("done", made.id, A)]
    assert events[0].data == {"host": me.host}
    assert ledger.events(events[-1].seq) == []
    assert [event.type for event in ledger.events(job=made.id)] == ["submitted", "started", "done"]
    assert [event.seq for event in ledger.events(count=2)] == [event.seq for event in ledger.events()][:2]


def test_a_transaction_that_fails_leaves_no_event(ledger):
    with pytest.raises(NotFoundError):
        ledger.submit_many([NewJob(A, "train", {}), NewJob(A, "train", {}, waits_on=(99,))])
    assert ledger.events() == []


def test_a_change_by_another_connection_wakes_who_waits(ledgers, ledger):
    assert not ledger.wait(0.02)

    def change():
        time.sleep(0.1)
        with ledgers.open() as other:
            other.submit(NewJob(A, "train", {}))

    thread = threading.Thread(target=change)
    thread.start()
    start = time.monotonic()
    assert ledger.wait(10)
    assert time.monotonic() - start < 5
    thread.join()
    assert len(ledger.jobs()) == 1


def test_a_change_while_nobody_waited_is_not_missed(ledgers, ledger):
    with ledgers.open() as other:
        other.submit(NewJob(A, "train", {}))
    assert ledger.wait(5)
    assert not ledger.wait(0.02)


def test_looking_for_work_in_vain_wakes_nobody(ledgers, ledger, me):
    """Else two idle workers would wake each other for ever."""
    with ledgers.open() as other:
        other.work.register(me, {})
        ledger.wait(0.1)
        assert other.work.claim(me, {"heavy": 1, "light": 1}) is None
        assert other.work.reap(me) == []
        assert not ledger.wait(0.1)


def test_following_a_job_ends_with_it(ledgers, ledger, me):
    made = ledger.submit(NewJob(A, "train", {}))

    def work():
        with ledgers.open() as other:
            claim = other.work.claim(me, {"heavy": 1})
            time.sleep(0.05)
            other.work.finish(claim, {})

    thread = threading.Thread(target=work)
    thread.start()
    seen = [event.type for event in ledger.follow(made.id, poll_seconds=0.2) if event is not None]
    thread.join()
    assert seen == ["submitted", "started", "done"]


def test_who_only_looks_sees_a_change_too(ledgers, ledger):
    assert not ledger.wait(0)
    with ledgers.open() as other:
        other.submit(NewJob(A, "train", {}))
    deadline = time.monotonic() + 5  # Postgres delivers its notice a moment later
    while not (seen := ledger.wait(0)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen
    assert not ledger.wait(0)
