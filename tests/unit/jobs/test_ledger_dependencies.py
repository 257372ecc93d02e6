import pytest

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.job import NewJob

A = "model:m-a"
HEAVY = {"heavy": 9}


def job(*waits_on, **changes):
    return NewJob(A, "train", {}, waits_on=waits_on, **changes)


def fail(ledger, me):
    return ledger.work.fail(ledger.work.claim(me, HEAVY), "broke")


def test_a_job_waits_until_all_its_predecessors_are_done(ledger, me):
    first, second = ledger.submit_many([job(), job()])
    child = ledger.submit(job(first.id, second.id, first.id))
    assert (child.state, child.waits, child.place) == ("blocked", 2, None)
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    assert ledger.get(child.id).waits == 1
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    assert ledger.get(child.id).state == "ready"
    assert [dependency.satisfied for dependency in ledger.dependencies(child.id)] == [True, True]


def test_a_predecessor_that_is_done_already_needs_no_waiting(ledger, me):
    first = ledger.submit(job())
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    assert ledger.submit(job(first.id)).state == "ready"


def test_a_failed_predecessor_cancels_all_that_follow_from_it(ledger, me):
    first = ledger.submit(job())
    child = ledger.submit(job(first.id))
    grandchild = ledger.submit(job(child.id))
    fail(ledger, me)
    assert [ledger.get(made.id).state for made in (child, grandchild)] == ["cancelled", "cancelled"]
    assert f"Job {child.id}" in ledger.get(grandchild.id).error


def test_a_job_may_run_although_its_predecessor_failed(ledger, me):
    first = ledger.submit(job())
    child = ledger.submit(job(first.id, if_failed="run"))
    fail(ledger, me)
    assert ledger.get(child.id).state == "ready"
    assert ledger.submit(job(first.id, if_failed="run")).state == "ready"


def test_a_job_may_wait_for_a_failed_predecessor_to_be_mended(ledger, me):
    first = ledger.submit(job())
    child = ledger.submit(job(first.id, if_failed="block"))
    fail(ledger, me)
    assert ledger.get(child.id).state == "blocked"
    ledger.retry(first.id)
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    assert ledger.get(child.id).state == "ready"


def test_a_cancelled_predecessor_counts_as_failed(ledger):
    first = ledger.submit(job())
    child = ledger.submit(job(first.id))
    ledger.stop(first.id)
    assert ledger.get(child.id).state == "cancelled"


def test_waiting_for_what_can_never_be_is_refused(ledger, me):
    first = ledger.submit(job())
    fail(ledger, me)
    with pytest.raises(UsageError, match=f"jobs retry {first.id}"):
        ledger.submit(job(first.id))
    with pytest.raises(NotFoundError, match="No job 4711"):
        ledger.submit(job(4711))


def test_a_retried_job_still_waits_for_what_it_waited_for(ledger):
    first = ledger.submit(job())
    child = ledger.submit(job(first.id))
    ledger.stop(child.id)
    again = ledger.retry(child.id)
    assert (again.state, again.waits) == ("blocked", 1)


def test_a_dependency_and_a_time_must_both_be_met(ledger, me):
    first = ledger.submit(job())
    child = ledger.submit(job(first.id, not_before=4e9))
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    assert (ledger.get(child.id).state, ledger.get(child.id).waits) == ("blocked", 0)
    assert ledger.work.claim(me, HEAVY) is None
