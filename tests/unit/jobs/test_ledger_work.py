import subprocess
import sys
import time

import pytest

from treadle.base.errors import TreadleError
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import Claim, NewJob
from treadle.jobs.ledger_changes import Edit
from treadle.jobs.ledger_work import MAX_RECOVERIES, ClaimLostError, Work
from treadle.store.database import ConflictError

A, B, C = "model:m-a", "model:m-b", "model:m-c"
HEAVY, LIGHT, BOTH = {"heavy": 9}, {"light": 9}, {"heavy": 9, "light": 9}


def train(queue=A, **changes):
    return NewJob(queue, "train", {}, **changes)


def feed(queue=A, **changes):
    return NewJob(queue, "feed", {}, lane="light", **changes)


def identity(process):
    return WorkerIdentity.of(process.pid)


def test_a_claim_starts_the_job_and_moves_the_fence(ledger, me):
    made = ledger.submit(train())
    claim = ledger.work.claim(me, HEAVY)
    job = ledger.get(made.id)
    assert (claim.job, claim.fence, claim.owner) == (job, made.fence + 1, me.owner)
    assert (job.state, job.host, job.owner, job.place) == ("running", me.host, me.owner, None)
    assert job.started >= job.created
    assert ledger.work.held(claim) == job


def test_jobs_go_by_priority_then_order(ledger, me):
    ids = [ledger.submit(train(priority=priority)).id for priority in (0, 5, 0, 5)]
    order = []
    while (claim := ledger.work.claim(me, HEAVY)) is not None:
        order.append(claim.job.id)
        ledger.work.finish(claim, {})
    assert order == [ids[1], ids[3], ids[0], ids[2]]


def test_a_queue_has_one_writer_and_light_jobs_run_beside_it(ledger, me):
    ledger.submit_many([train(), train(), feed(), feed()])
    claims = [ledger.work.claim(me, BOTH) for _ in range(4)]
    assert [claim and claim.job.kind for claim in claims] == ["train", "feed", "feed", None]


def test_a_stopping_job_still_holds_its_slot(ledger, me):
    ledger.submit_many([train(), train()])
    claim = ledger.work.claim(me, HEAVY)
    ledger.stop(claim.job.id)
    ledger.work.mark_stopping(claim)
    assert ledger.get(claim.job.id).state == "stopping"
    assert ledger.work.claim(me, HEAVY) is None
    ledger.work.cancelled(claim)
    assert ledger.work.claim(me, HEAVY) is not None


def test_the_database_itself_refuses_a_second_writer(ledger, me):
    first, second = ledger.submit_many([train(), train()])
    values = {"host": me.host, "owner": me.owner, "lease_seconds": 60, "lane": "heavy", "queue": A}
    with ledger.database.transaction() as transaction:
        assert transaction.row("start_head", **values)["id"] == first.id
    with pytest.raises(ConflictError), ledger.database.transaction() as transaction:
        transaction.row("start_head", **values)
    assert ledger.get(second.id).state == "ready"


def test_a_host_runs_no_more_heavy_jobs_than_its_limit(ledger, me):
    ledger.submit_many([train(A), train(B), train(C)])
    claims = [ledger.work.claim(me, {"heavy": 2}) for _ in range(3)]
    assert [claim and claim.job.queue for claim in claims] == [A, B, None]
    elsewhere = WorkerIdentity("elsewhere", "boot-1", 1, "1")
    assert ledger.work.claim(elsewhere, {"heavy": 2}).job.queue == C


def test_queues_take_turns(ledger, me):
    ledger.submit_many([train(A), train(A), train(A), train(B), train(B)])
    order = []
    while (claim := ledger.work.claim(me, HEAVY)) is not None:
        order.append(claim.job.queue)
        ledger.work.finish(claim, {})
    assert order == [A, B, A, B, A]


def test_the_light_lane_of_a_queue_has_its_own_limit(ledger, me):
    ledger.limit("crawl:c-1", 2)
    ledger.submit_many([feed("crawl:c-1") for _ in range(3)])
    claims = [ledger.work.claim(me, LIGHT) for _ in range(3)]
    assert [claim is not None for claim in claims] == [True, True, False]


def test_a_paused_queue_starts_nothing_until_it_is_resumed(ledger, me):
    ledger.submit_many([train(), feed(), train(B)])
    assert ledger.pause(A) == []
    assert ledger.queue(A).paused == "after"
    assert ledger.work.claim(me, BOTH).job.queue == B
    assert ledger.work.claim(me, BOTH) is None
    ledger.resume(A)
    assert ledger.work.claim(me, BOTH).job.queue == A


def test_pausing_now_asks_running_jobs_to_give_way_and_they_wait_again_at_their_place(ledger, me):
    first, _ = ledger.submit_many([train(), train()])
    claim = ledger.work.claim(me, HEAVY)
    assert ledger.pause(A, "now") == [first.id]
    assert [job.cancel for job in ledger.work.requests(me)] == ["pause"]
    ledger.work.mark_stopping(claim)
    after = ledger.work.cancelled(claim)
    assert (after.state, after.attempts, after.recoveries, after.cancel) == ("ready", 0, 0, None)
    ledger.resume(A)
    assert ledger.work.claim(me, HEAVY).job.id == first.id


def test_a_job_waits_for_its_time(ledger, me):
    ledger.submit(train(not_before=time.time() + 0.4))
    assert ledger.jobs()[0].state == "blocked"
    assert ledger.work.claim(me, HEAVY) is None
    wait = ledger.work.seconds_to_next()
    assert 0 < wait <= 0.4
    time.sleep(wait + 0.01)
    assert ledger.work.claim(me, HEAVY) is not None
    assert ledger.work.seconds_to_next() is None


def test_a_finished_job_keeps_its_result(ledger, me):
    ledger.submit(train())
    claim = ledger.work.claim(me, HEAVY)
    ledger.work.set_run(claim, "r-1")
    ledger.work.finish(claim, {"loss": 1.5})
    job = ledger.get(claim.job.id)
    assert (job.state, job.result, job.run, job.owner, job.lease) == ("done", {"loss": 1.5}, "r-1", None, None)
    assert job.ended >= job.started


def test_a_failure_uses_up_an_attempt_and_waits_before_the_next(ledger, me):
    ledger.submit(train(max_attempts=2))
    again = ledger.work.fail(ledger.work.claim(me, HEAVY), "division by zero")
    assert (again.state, again.attempts, again.error) == ("blocked", 1, "division by zero")
    assert 2 < ledger.work.seconds_to_next() < 8
    ledger.edit(again.id, Edit(not_before=0))
    last = ledger.work.fail(ledger.work.claim(me, HEAVY), "again")
    assert (last.state, last.attempts, last.error) == ("failed", 2, "again")


def test_a_failure_that_cannot_get_better_is_not_tried_again(ledger, me):
    ledger.submit(train(max_attempts=5))
    assert ledger.work.fail(ledger.work.claim(me, HEAVY), "no such model", again=False).state == "failed"


def test_waits_between_attempts_grow_and_differ(ledger, me):
    job = ledger.submit(train(max_attempts=9))
    waits = []
    for _ in range(4):
        ledger.work.fail(ledger.work.claim(me, HEAVY), "x")
        waits.append(ledger.work.seconds_to_next())
        ledger.edit(job.id, Edit(not_before=0))
    assert all(low <= wait <= high for wait, low, high in zip(waits, (2, 4, 9, 19), (8, 16, 31, 61), strict=True))
    assert len({round(wait, 3) for wait in waits}) == 4


def test_a_released_job_costs_no_attempt(ledger, me):
    ledger.submit(train())
    job = ledger.work.release(ledger.work.claim(me, HEAVY), "The worker ends.")
    assert (job.state, job.attempts, job.recoveries, job.error) == ("ready", 0, 0, "The worker ends.")


def test_a_job_that_kills_its_worker_is_given_up_after_a_while(ledger, me):
    ledger.submit(train())
    for count in range(1, MAX_RECOVERIES + 1):
        job = ledger.work.crashed(ledger.work.claim(me, HEAVY), "gone")
        assert (job.state, job.recoveries, job.attempts) == ("ready", count, 0)
    job = ledger.work.crashed(ledger.work.claim(me, HEAVY), "gone")
    assert job.state == "failed"
    assert f"{MAX_RECOVERIES + 1} times" in job.error


def test_who_lost_a_claim_can_write_nothing_more(ledger, me):
    ledger.submit(train())
    old = ledger.work.claim(me, HEAVY)
    ledger.work.release(old, "x")
    new = ledger.work.claim(me, HEAVY)
    for write in (
        lambda: ledger.work.finish(old, {}),
        lambda: ledger.work.fail(old, "x"),
        lambda: ledger.work.cancelled(old),
        lambda: ledger.work.set_run(old, "r"),
        lambda: ledger.work.mark_stopping(old),
        lambda: ledger.work.held(old),
        lambda: ledger.work.crashed(old, "x"),
    ):
        with pytest.raises(ClaimLostError, match="does not count"):
            write()
    assert ledger.get(new.job.id).fence == new.fence
    stranger = Claim(new.job, new.fence, "boot/1/1")
    with pytest.raises(ClaimLostError):
        ledger.work.finish(stranger, {})


def test_a_worker_with_work_is_not_idle(ledger, me):
    assert ledger.work.idle()
    ledger.submit(train())
    assert not ledger.work.idle()
    claim = ledger.work.claim(me, HEAVY)
    assert not ledger.work.idle()
    ledger.work.finish(claim, {})
    assert ledger.work.idle()
    ledger.submit(train())
    ledger.pause(A)
    assert ledger.work.idle()


def test_the_jobs_of_a_dead_process_are_taken_from_it_at_once(ledger, me, other_process):
    ledger.submit(train())
    dead = identity(other_process)
    ledger.work.register(dead, {})
    claim = ledger.work.claim(dead, HEAVY)
    assert ledger.work.reap(me) == []
    other_process.kill()
    other_process.wait()
    reaped = ledger.work.reap(me)
    assert [(job.id, job.state, job.attempts, job.recoveries) for job in reaped] == [(claim.job.id, "ready", 0, 1)]
    assert "not a failure of the job" in reaped[0].error
    assert ledger.work.claim(me, HEAVY).fence > claim.fence
    assert ledger.work.workers() == []
    assert [worker.id for worker in ledger.work.lost_workers()] == [dead.id]
    ledger.work.lost_workers_shown()
    assert ledger.work.lost_workers() == []


def test_another_process_with_the_same_number_is_not_the_worker(ledger, me, other_process):
    ledger.submit(train())
    living = identity(other_process)
    former = WorkerIdentity(living.host, living.boot, living.pid, "12345")
    ledger.work.claim(former, HEAVY)
    assert [job.state for job in ledger.work.reap(me)] == ["ready"]


def test_a_worker_on_another_host_is_believed_while_its_lease_lasts(ledger, me):
    ledger.submit(train())
    elsewhere = WorkerIdentity("elsewhere", "boot-1", 4711, "99")
    ledger.work.register(elsewhere, {"version": "1"})
    ledger.work.claim(elsewhere, HEAVY)
    assert ledger.work.reap(me) == []
    hasty = Work(ledger.database, lease_seconds=0.05)
    hasty.heartbeat(elsewhere)
    assert hasty.reap(me) == []
    time.sleep(0.06)
    assert [job.state for job in hasty.reap(me)] == ["ready"]
    assert [worker.outcome for worker in ledger.work.lost_workers()] == ["lost"]


def test_a_heartbeat_renews_leases_and_brings_commands(ledger, me):
    ledger.work.register(me, {"lanes": {"heavy": 1}})
    ledger.submit(train())
    claim = ledger.work.claim(me, HEAVY)
    assert ledger.work.heartbeat(me) is None
    assert ledger.get(claim.job.id).lease >= claim.job.lease
    assert ledger.work.command(me.id, "drain")
    assert ledger.work.heartbeat(me) == "drain" == ledger.work.asked(me)
    [record] = ledger.work.workers()
    assert (record.facts, record.command) == ({"lanes": {"heavy": 1}}, "drain")
    ledger.work.unregister(me)
    assert ledger.work.workers() == [] == ledger.work.lost_workers()
    assert not ledger.work.command(me.id, "stop")


def test_after_a_restart_of_the_machine_its_workers_are_gone(ledger, me):
    ledger.submit(train())
    before = WorkerIdentity(me.host, "0" * 13 + me.boot[13:], me.pid, me.started)
    ledger.work.claim(before, HEAVY)
    reaped = ledger.work.reap(me)
    if ledger.database.local:
        assert [job.state for job in reaped] == ["ready"]
    else:  # two machines may have one name; only the lease tells
        assert reaped == []


def test_a_reaped_job_that_was_to_stop_is_cancelled(ledger, me, other_process):
    ledger.submit(train())
    claim = ledger.work.claim(identity(other_process), HEAVY)
    ledger.stop(claim.job.id)
    other_process.kill()
    other_process.wait()
    assert [job.state for job in ledger.work.reap(me)] == ["cancelled"]


def test_two_racing_workers_claim_every_job_exactly_once(ledgers):
    """1,500 jobs in five queues, two processes that claim and finish as fast as they can."""
    code = (
        "import sys; from pathlib import Path\n"
        "from treadle.jobs.ledger import Ledger; from treadle.jobs.identity import WorkerIdentity\n"
        "from treadle.store.workspace import WorkspaceFolder\n"
        "ledger = Ledger.open(WorkspaceFolder(Path(sys.argv[1]))); me = WorkerIdentity.current()\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "while (claim := ledger.work.claim(me, {'heavy': 9, 'light': 9})) or not ledger.work.idle():\n"
        "    if claim: print(claim.job.id, flush=True); ledger.work.finish(claim, {})\n"
    )
    with ledgers.open() as ledger:
        made = ledger.submit_many([train(f"model:m-{n % 5}", lane=("heavy", "light")[n % 2]) for n in range(1500)])
        command = [sys.executable, "-c", code, str(ledgers.workspace.root)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers = [subprocess.Popen(command, env=ledgers.process_environment(), **pipes) for _ in range(2)]
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        claimed = [[int(line) for line in worker.communicate()[0].split()] for worker in workers]
        assert sorted(claimed[0] + claimed[1]) == [job.id for job in made]
        assert min(len(ids) for ids in claimed) > 10
        assert {job.state for job in ledger.jobs(count=2000)} == {"done"}
        assert {job.fence for job in ledger.jobs(count=2000)} == {2}


def test_errors_of_this_room_are_errors_that_doors_print():
    assert issubclass(ClaimLostError, TreadleError)
