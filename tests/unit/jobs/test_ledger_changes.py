import pytest

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.jobs.handle import waits_for
from treadle.jobs.job import NewJob
from treadle.jobs.ledger_changes import Edit, Target

A, B = "model:m-a", "model:m-b"
HEAVY = {"heavy": 9}


def order(ledger, queue=A):
    jobs = ledger.jobs(queue, ["ready"])
    assert [job.place for job in jobs] == list(range(1, len(jobs) + 1))
    return [job.payload["n"] for job in jobs]


@pytest.fixture
def five(ledger):
    return ledger.submit_many([NewJob(A, "train", {"n": n}) for n in range(1, 6)])


def test_a_waiting_job_is_removed_by_stop_and_by_discard(ledger, five):
    assert ledger.stop(five[0].id).state == "cancelled"
    assert ledger.discard(five[1].id).state == "cancelled"
    assert order(ledger) == [3, 4, 5]
    with pytest.raises(NotReadyError, match="cancelled"):
        ledger.stop(five[0].id)


def test_a_running_job_is_asked_and_discarding_outweighs_stopping(ledger, five, me):
    claim = ledger.work.claim(me, HEAVY)
    assert ledger.stop(claim.job.id).state == "running"
    assert ledger.discard(claim.job.id).cancel == "discard"
    assert ledger.stop(claim.job.id).cancel == "discard"
    assert [job.cancel for job in ledger.work.requests(me)] == ["discard"]
    ended = ledger.work.cancelled(claim, {"checkpoint": None})
    assert (ended.state, ended.result) == ("cancelled", {"checkpoint": None})
    assert ledger.work.requests(me) == []


def test_a_stopped_job_can_be_tried_again_at_the_end_of_its_queue(ledger, five, me):
    claim = ledger.work.claim(me, HEAVY)
    ledger.stop(claim.job.id)
    ledger.work.cancelled(claim)
    again = ledger.retry(claim.job.id)
    assert (again.state, again.attempts, again.place, again.cancel, again.error) == ("ready", 0, 5, None, None)
    assert order(ledger) == [2, 3, 4, 5, 1]


def test_only_failed_and_cancelled_jobs_can_be_tried_again(ledger, five, me):
    with pytest.raises(NotReadyError, match="ready"):
        ledger.retry(five[0].id)
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    with pytest.raises(NotReadyError, match="done"):
        ledger.retry(five[0].id)


def test_a_waiting_job_can_be_edited_and_a_running_one_cannot(ledger, five, me):
    assert ledger.edit(five[0].id, Edit(payload={"n": 9}, max_attempts=2)).max_attempts == 2
    assert order(ledger) == [9, 2, 3, 4, 5]
    later = ledger.edit(five[1].id, Edit(not_before=4e9))
    assert (later.state, later.payload) == ("blocked", {"n": 2})
    assert ledger.edit(five[1].id, Edit(not_before=0)).state == "ready"
    claim = ledger.work.claim(me, HEAVY)
    with pytest.raises(NotReadyError, match="snapshot"):
        ledger.edit(claim.job.id, Edit(payload={}))
    ledger.work.finish(claim, {})
    with pytest.raises(NotReadyError, match="done"):
        ledger.edit(claim.job.id, Edit(payload={}))
    with pytest.raises(UsageError, match="at least 1"):
        ledger.edit(five[2].id, Edit(max_attempts=0))


@pytest.mark.parametrize(
    ("job", "target", "expected"),
    [
        (5, Target(place=1), [5, 1, 2, 3, 4]),
        (1, Target(place=5), [2, 3, 4, 5, 1]),
        (1, Target(place=99), [2, 3, 4, 5, 1]),
        (1, Target(place=3), [2, 3, 1, 4, 5]),
        (4, Target(place=2), [1, 4, 2, 3, 5]),
        (3, Target(place=3), [1, 2, 3, 4, 5]),
        (5, Target(before=2), [1, 5, 2, 3, 4]),
        (1, Target(after=4), [2, 3, 4, 1, 5]),
        (2, Target(after=2), [1, 2, 3, 4, 5]),
    ],
)
def test_a_waiting_job_moves_to_a_place_or_beside_another(ledger, five, job, target, expected):
    ids = {number: made.id for number, made in enumerate(five, 1)}
    moved = Target(target.place, ids.get(target.before), ids.get(target.after))
    assert ledger.move(ids[job], moved).place == expected.index(job) + 1
    assert order(ledger) == expected


def test_moving_beside_a_job_takes_over_its_priority(ledger, five):
    ledger.prioritise(five[4].id, 7)
    assert order(ledger) == [5, 1, 2, 3, 4]
    assert ledger.move(five[2].id, Target(place=1)).priority == 7
    assert order(ledger) == [3, 5, 1, 2, 4]


def test_there_is_always_room_between_two_jobs(ledger, five):
    first, second = five[0].id, five[1].id
    for _ in range(120):  # halving one gap that often leaves nothing of it, so the queue is numbered anew
        ledger.move(five[2].id, Target(after=first))
        ledger.move(five[3].id, Target(after=first))
    assert order(ledger) == [1, 4, 3, 2, 5]
    assert ledger.get(second).pos != ledger.get(five[2].id).pos
    assert order(ledger) == [1, 4, 3, 2, 5]
    ledger.submit(NewJob(A, "train", {"n": 6}))
    assert order(ledger) == [1, 4, 3, 2, 5, 6]


def test_moves_that_make_no_sense_are_refused(ledger, five, me):
    other = ledger.submit(NewJob(B, "train", {}))
    with pytest.raises(UsageError, match="same queue"):
        ledger.move(five[0].id, Target(before=other.id))
    with pytest.raises(UsageError, match="count from 1"):
        ledger.move(five[0].id, Target(place=0))
    with pytest.raises(UsageError, match="one thing"):
        ledger.move(five[0].id, Target(place=1, before=five[1].id))
    with pytest.raises(NotFoundError):
        ledger.move(five[0].id, Target(before=4711))
    running = ledger.work.claim(me, HEAVY).job
    with pytest.raises(NotReadyError, match="running"):
        ledger.move(running.id, Target(place=2))


def test_a_queue_is_copied_with_what_its_jobs_wait_for(ledger, five, me):
    ledger.submit(NewJob(B, "train", {"n": 0}))
    ledger.prioritise(five[4].id, 3)
    child = ledger.submit(NewJob(A, "train", {"n": 6}, waits_on=(five[1].id,), if_failed="run"))
    copies = ledger.import_queue(A, B, lambda kind, payload: {**payload, "model": "m-b", "kind": kind})
    assert order(ledger, B) == [5, 0, 1, 2, 3, 4]
    assert {job.queue for job in copies} == {B}
    assert all(job.payload["model"] == "m-b" for job in copies)
    copied_child = next(job for job in copies if job.payload["n"] == 6)
    assert copied_child.state == "blocked"
    [dependency] = ledger.dependencies(copied_child.id)
    assert dependency.on_job in {job.id for job in copies}
    assert (dependency.if_failed, dependency.satisfied) == ("run", False)
    assert order(ledger) == [5, 1, 2, 3, 4]
    assert ledger.get(child.id).state == "blocked"
    with pytest.raises(NotFoundError):
        ledger.import_queue("model:m-nobody", B, lambda kind, payload: payload)


def test_pruning_forgets_what_ended_long_ago_and_nothing_else(ledger, five, me):
    done = ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    assert ledger.prune(3600) == []
    assert ledger.prune(-1, queue=B) == []
    assert ledger.prune(-1) == [done.id]
    assert order(ledger) == [2, 3, 4, 5]
    with pytest.raises(NotFoundError):
        ledger.get(done.id)
    assert [event.type for event in ledger.events()] == ["pruned"]


def test_a_job_that_others_still_wait_for_is_not_pruned(ledger, five, me):
    ledger.submit(NewJob(A, "train", {"n": 6}, waits_on=(five[0].id,), if_failed="block"))
    ledger.work.fail(ledger.work.claim(me, HEAVY), "x")
    assert ledger.prune(-1) == []


def test_pausing_an_unknown_queue_is_an_error(ledger):
    for act in (ledger.pause, ledger.resume):
        with pytest.raises(NotFoundError, match="ever queued"):
            act("model:m-nobody")
    with pytest.raises(UsageError, match="at least 1"):
        ledger.limit(A, 0)


def test_a_listing_shows_what_runs_what_waits_and_what_has_ended(ledger, five, me):
    ledger.work.finish(ledger.work.claim(me, HEAVY), {})
    ledger.work.fail(ledger.work.claim(me, HEAVY), "x")
    running = ledger.work.claim(me, HEAVY).job
    ledger.submit(NewJob(A, "train", {"n": 6}, waits_on=(five[4].id,)))
    ledger.submit(NewJob(B, "train", {"n": 7}))
    shown = [(job.payload["n"], job.state, job.place) for job in ledger.jobs(A)]
    assert shown == [
        (3, "running", None),
        (4, "ready", 1),
        (5, "ready", 2),
        (6, "blocked", None),
        (2, "failed", None),
        (1, "done", None),
    ]
    assert [job.payload["n"] for job in ledger.jobs(states=["ready"])] == [4, 5, 7]
    assert [job.id for job in ledger.jobs(states=["running", "stopping"])] == [running.id]
    assert [job.payload["n"] for job in ledger.jobs(A, ["done", "failed"], count=1)] == [2]
    assert [queue.id for queue in ledger.queues()] == [A, B]


def test_a_held_job_is_passed_by_until_it_is_released(ledger, five, me):
    held = ledger.hold(five[0].id)
    assert (held.state, held.held, held.place) == ("blocked", True, None)
    assert waits_for(ledger, held).startswith("it is held; ")
    assert order(ledger) == [2, 3, 4, 5]
    assert ledger.work.seconds_to_next() is None, "no worker waits for it"
    assert ledger.work.claim(me, HEAVY).job.id == five[1].id
    assert ledger.release(five[0].id).place == 1, "it kept its place"
    with pytest.raises(NotReadyError, match="not held"):
        ledger.release(five[2].id)
    with pytest.raises(NotReadyError, match="cannot be held"):
        ledger.hold(five[1].id)


def test_a_job_that_failed_and_is_held_stays_held(ledger, me):
    job = ledger.submit(NewJob(A, "train", {"n": 1}, max_attempts=3))
    ledger.work.fail(ledger.work.claim(me, HEAVY), "no memory")
    assert ledger.hold(job.id).attempts == 1
    assert ledger.work.claim(me, HEAVY) is None
    assert ledger.get(job.id).held
    assert ledger.edit(job.id, Edit(max_attempts=5)).held, "editing does not release it"
    assert ledger.release(job.id).state == "ready"
