"""The clock of the machine is set by 400 days while jobs run, wait for their time, and stand in schedules.

What the ledger has stored is moved instead of the clock: for it that is the same.
"""

import time

import pytest

from treadle.jobs.job import NewJob

A = "model:m-a"
DAYS = 400 * 86_400.0
TIMES = {
    "job": ("created", "started", "ended", "lease", "not_before"),
    "worker": ("started", "seen"),
    "schedule": ("created", "next_fire", "last_fire"),
    "event": ("time",),
    "queue": ("served",),
}


def set_clock(ledger, seconds):
    """Let the clock be `seconds` further than when everything was written."""
    connection = ledger.database._connection
    for table, columns in TIMES.items():
        changes = ", ".join(f"{name} = {name} - {seconds}" for name in columns)
        connection.execute(f"UPDATE {table} SET {changes}")  # noqa: S608 - names from this file


@pytest.fixture(params=[DAYS, -DAYS], ids=["ahead", "back"])
def jump(request):
    return request.param


def test_a_running_job_is_not_taken_over_and_waiting_ones_are_done_once(ledgers, ledger, me, other_process, jump):
    from treadle.jobs.identity import WorkerIdentity

    other = WorkerIdentity.of(other_process.pid)
    first, second = (ledger.submit(NewJob(A, "train", {"n": n})) for n in range(2))
    ledger.work.register(other, {})
    claim = ledger.work.claim(other, {"heavy": 1})
    set_clock(ledger, jump)
    ledger.work.register(me, {})
    assert ledger.work.reap(me) == []
    assert ledger.work.claim(me, {"heavy": 1}) is None
    with ledgers.open() as others:
        others.work.heartbeat(other)
        assert others.work.finish(claim, {}).id == first.id
    assert ledger.work.claim(me, {"heavy": 1}).job.id == second.id
    assert ledger.work.claim(me, {"heavy": 1}) is None
    assert [event.type for event in ledger.events(job=first.id)] == ["submitted", "started", "done"]


def test_a_job_that_failed_is_tried_again_within_its_longest_wait(ledger, me, jump):
    job = ledger.submit(NewJob(A, "train", {}, max_attempts=3))
    ledger.work.fail(ledger.work.claim(me, {"heavy": 1}), "no luck")
    assert ledger.work.claim(me, {"heavy": 1}) is None
    set_clock(ledger, jump)
    assert ledger.work.claim(me, {"heavy": 1}).job.id == job.id


def test_a_job_that_was_asked_for_at_a_later_time_still_waits(ledger, me):
    ledger.submit(NewJob(A, "train", {}, not_before=time.time() + DAYS))
    assert ledger.work.claim(me, {"heavy": 1}) is None


def hourly(_cron, after):
    return after + 3600 - after % 3600


def test_a_schedule_fires_once_after_a_leap_and_is_not_lost_when_the_clock_goes_back(ledger, jump):
    now = time.time()
    ledger.schedules.add("hourly", "@hourly", NewJob(A, "train", {}), hourly("", now))
    set_clock(ledger, jump)
    assert ledger.schedules.replan(now, hourly) == ([] if jump > 0 else ["hourly"])
    assert len(ledger.schedules.fire(now, hourly)) == (1 if jump > 0 else 0)
    (schedule,) = ledger.schedules.all()
    assert 0 < schedule.next_fire - now <= 3600
    assert ledger.schedules.replan(now, hourly) == []
    assert len(ledger.schedules.fire(now + 3600, hourly)) == 1
