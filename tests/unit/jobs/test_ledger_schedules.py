import pytest

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.job import NewJob

A = "model:m-a"
JOB = NewJob(A, "train", {"minutes": 3}, priority=2, waits_on=())


def hourly(_cron, after):
    return after + 3600


def test_a_schedule_submits_its_job_when_it_is_due(ledger):
    made = ledger.schedules.add("nightly", "0 * * * *", JOB, 1000.0)
    assert (made.job, made.next_fire, made.last_fire) == (JOB, 1000.0, None)
    assert ledger.schedules.next_fire() == 1000.0
    assert ledger.schedules.fire(999.0, hourly) == []
    [job] = ledger.schedules.fire(1000.0, hourly)
    assert (job.payload, job.priority, job.state) == ({"minutes": 3}, 2, "ready")
    assert job.dedup_key == f"schedule-{made.id}:1000"
    assert ledger.schedules.fire(1001.0, hourly) == []
    [after] = ledger.schedules.all()
    assert (after.last_fire, after.next_fire) == (1000.0, 4600.0)


def test_missed_times_become_one_job(ledger):
    ledger.schedules.add("nightly", "0 * * * *", JOB, 1000.0)
    [job] = ledger.schedules.fire(1000.0 + 3600 * 5 + 10, hourly)
    assert job.dedup_key.endswith(f":{1000 + 3600 * 5}")
    assert ledger.schedules.next_fire() == 1000.0 + 3600 * 6


def test_one_moment_never_fires_twice_even_if_the_schedule_is_set_back(ledger):
    made = ledger.schedules.add("nightly", "0 * * * *", JOB, 1000.0)
    ledger.schedules.fire(1000.0, hourly)
    with ledger.database.transaction() as transaction:
        transaction.rows("fired", id=made.id, last_fire=None, next_fire=1000.0)
    ledger.schedules.fire(1000.0, hourly)
    assert len(ledger.jobs()) == 1


def test_schedules_have_names_that_are_taken_once(ledger):
    ledger.schedules.add("nightly", "0 * * * *", JOB, 1000.0)
    with pytest.raises(UsageError, match="exists already"):
        ledger.schedules.add("nightly", "0 * * * *", JOB, 1000.0)
    with pytest.raises(UsageError, match="cannot be the name"):
        ledger.schedules.add("every night", "0 * * * *", JOB, 1000.0)
    ledger.schedules.remove("nightly")
    assert ledger.schedules.all() == []
    assert ledger.schedules.next_fire() is None
    with pytest.raises(NotFoundError, match="schedule list"):
        ledger.schedules.remove("nightly")
