"""Random operations against a small model of the states; at the end the journal alone must rebuild the same ledger."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from treadle.base.errors import NotReadyError, UsageError
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.ledger_changes import Target
from treadle.store.workspace import create_workspace

QUEUES = ["model:a", "model:b"]
ME = WorkerIdentity.current()


@dataclass
class Model:
    """What a job should be, said in another way than the ledger does: states, and each queue as a plain list."""

    queue: str
    lane: str
    priority: int
    parents: dict
    if_failed: str
    state: str = "waiting"
    recoveries: int = 0
    cancel: str | None = None


@dataclass
class World:
    jobs: dict = field(default_factory=dict)
    order: dict = field(default_factory=lambda: {queue: [] for queue in QUEUES})
    paused: set = field(default_factory=set)

    def expected(self, job):
        if job.state != "waiting":
            return job.state
        return "blocked" if any(not satisfied for satisfied in job.parents.values()) else "ready"

    def line(self, queue, lane):
        """The ids that are ready, in the order in which they should be claimed."""
        ids = [identity for identity in self.order[queue] if self.jobs[identity].lane == lane]
        ready = [identity for identity in ids if self.expected(self.jobs[identity]) == "ready"]
        return sorted(ready, key=lambda identity: -self.jobs[identity].priority)

    def end(self, identity, state):
        self.jobs[identity].state = state
        for child, job in self.jobs.items():
            if job.state == "waiting" and job.parents.get(identity) is False:
                if state == "done" or job.if_failed == "run":
                    job.parents[identity] = True
                elif job.if_failed == "cancel":
                    self.end(child, "cancelled")


class LedgerMachine(RuleBasedStateMachine):
    ids = Bundle("ids")
    claims = Bundle("claims")

    @initialize()
    def open(self):
        memory = Path("/dev/shm")  # noqa: S108 - only looked at
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.workspace = create_workspace(Path(self.folder.name) / "lab")
        self.ledger = Ledger.open(self.workspace)
        self.world = World()

    @rule(
        target=ids,
        queue=st.sampled_from(QUEUES),
        lane=st.sampled_from(["heavy", "heavy", "light"]),
        priority=st.sampled_from([0, 0, 1]),
        parents=st.lists(ids, max_size=2),
        if_failed=st.sampled_from(["block", "cancel", "run"]),
    )
    def submit(self, queue, lane, priority, parents, if_failed):
        states = [self.world.jobs[parent].state for parent in parents]
        new = NewJob(queue, "train", {"n": len(self.world.jobs)}, lane, priority, 0.0, tuple(parents), if_failed)
        if if_failed == "cancel" and {"failed", "cancelled"} & set(states):
            try:
                self.ledger.submit(new)
            except UsageError:
                return multiple()
            raise AssertionError("a job was accepted that can never start")
        satisfied = {
            parent: state == "done" or (state in {"failed", "cancelled"} and if_failed == "run")
            for parent, state in zip(parents, states, strict=True)
        }
        made = self.ledger.submit(new)
        self.world.jobs[made.id] = Model(queue, lane, priority, satisfied, if_failed)
        self.world.order[queue].append(made.id)
        return made.id

    @rule(target=claims, lane=st.sampled_from(["heavy", "light"]), limit=st.integers(1, 3))
    def claim(self, lane, limit):
        active = [job for job in self.world.jobs.values() if job.state in {"running", "stopping"} and job.lane == lane]
        heads = set()
        for queue in set(QUEUES) - self.world.paused:
            busy = sum(job.queue == queue for job in active)
            if self.world.line(queue, lane) and busy < (1 if lane == "heavy" else 4):
                heads.add(self.world.line(queue, lane)[0])
        if len(active) >= limit:
            heads = set()
        claim = self.ledger.work.claim(ME, {lane: limit})
        if claim is None:
            assert not heads
            return multiple()
        assert claim.job.id in heads
        highest = max(self.world.jobs[head].priority for head in heads)
        assert self.world.jobs[claim.job.id].priority == highest
        self.world.jobs[claim.job.id].state = "running"
        return claim

    @rule(claim=consumes(claims))
    def finish(self, claim):
        self.ledger.work.finish(claim, {"n": 1})
        self.world.end(claim.job.id, "done")

    @rule(claim=consumes(claims))
    def fail(self, claim):
        self.ledger.work.fail(claim, "broke")
        self.world.end(claim.job.id, "failed")

    @rule(claim=consumes(claims), crashed=st.booleans())
    def give_back(self, claim, crashed):
        job = self.world.jobs[claim.job.id]
        (self.ledger.work.crashed if crashed else self.ledger.work.release)(claim, "gone")
        job.recoveries += crashed
        if job.cancel in {"stop", "discard"}:
            self.world.end(claim.job.id, "cancelled")
        else:
            job.state, job.cancel = ("failed" if job.recoveries > 5 else "waiting"), None
            if job.state == "failed":
                self.world.end(claim.job.id, "failed")

    @rule(claim=claims)
    def mark_stopping(self, claim):
        self.ledger.work.mark_stopping(claim)
        self.world.jobs[claim.job.id].state = "stopping"

    @rule(claim=consumes(claims))
    def stopped(self, claim):
        job = self.world.jobs[claim.job.id]
        self.ledger.work.cancelled(claim)
        if job.cancel in {"stop", "discard"}:
            self.world.end(claim.job.id, "cancelled")
        else:
            job.state, job.cancel = "waiting", None

    @rule(identity=ids, how=st.sampled_from(["stop", "discard"]))
    def ask(self, identity, how):
        job = self.world.jobs[identity]
        act = self.ledger.stop if how == "stop" else self.ledger.discard
        if job.state == "waiting":
            act(identity)
            self.world.end(identity, "cancelled")
        elif job.state in {"running", "stopping"}:
            act(identity)
            job.cancel = "discard" if job.cancel == "discard" else how
        else:
            self.refused(act, identity)

    @rule(identity=ids)
    def retry(self, identity):
        job = self.world.jobs[identity]
        if job.state in {"failed", "cancelled"}:
            self.ledger.retry(identity)
            job.state, job.cancel, job.recoveries = "waiting", None, 0
            for parent, satisfied in job.parents.items():
                job.parents[parent] = satisfied
            self.world.order[job.queue].remove(identity)
            self.world.order[job.queue].append(identity)
        else:
            self.refused(self.ledger.retry, identity)

    @rule(identity=ids, priority=st.integers(0, 2))
    def prioritise(self, identity, priority):
        if self.world.jobs[identity].state == "waiting":
            self.ledger.prioritise(identity, priority)
            self.world.jobs[identity].priority = priority
        else:
            self.refused(self.ledger.prioritise, identity, priority)

    @rule(identity=ids, place=st.integers(1, 5))
    def move(self, identity, place):
        job = self.world.jobs[identity]
        if job.state != "waiting":
            self.refused(self.ledger.move, identity, Target(place=place))
            return
        self.ledger.move(identity, Target(place=place))
        others = [other for other in self.world.line(job.queue, job.lane) if other != identity]
        if not others:
            return
        order = self.world.order[job.queue]
        order.remove(identity)
        before = place <= len(others)
        neighbour = others[place - 1] if before else others[-1]
        job.priority = self.world.jobs[neighbour].priority
        order.insert(order.index(neighbour) + (not before), identity)

    @rule(queue=st.sampled_from(QUEUES), how=st.sampled_from(["after", "now"]))
    def pause(self, queue, how):
        if not self.world.order[queue]:
            return
        asked = self.ledger.pause(queue, how)
        self.world.paused.add(queue)
        for identity, job in self.world.jobs.items():
            if how == "now" and job.queue == queue and job.state in {"running", "stopping"} and job.cancel is None:
                job.cancel = "pause"
                assert identity in asked

    @rule(queue=st.sampled_from(QUEUES))
    def resume(self, queue):
        if self.world.order[queue]:
            self.ledger.resume(queue)
            self.world.paused.discard(queue)

    @rule()
    def reopen(self):
        self.ledger.close()
        self.ledger = Ledger.open(self.workspace)

    @rule()
    def back_up(self):
        self.ledger.backup(0)

    @invariant()
    def states_and_places_are_as_in_the_model(self):
        if not hasattr(self, "world"):
            return
        shown = {job.id: job for job in self.ledger.jobs(count=1000)}
        assert {identity: job.state for identity, job in shown.items()} == {
            identity: self.world.expected(job) for identity, job in self.world.jobs.items()
        }
        assert {identity: job.cancel for identity, job in shown.items() if job.active} == {
            identity: job.cancel for identity, job in self.world.jobs.items() if job.state in {"running", "stopping"}
        }
        for queue in QUEUES:
            for lane in ("heavy", "light"):
                found = [job for job in shown.values() if (job.queue, job.lane, job.state) == (queue, lane, "ready")]
                line = self.world.line(queue, lane)
                assert {job.id: job.place for job in found} == {identity: n for n, identity in enumerate(line, 1)}

    @staticmethod
    def refused(act, *arguments):
        try:
            act(*arguments)
        except NotReadyError:
            return
        raise AssertionError(f"{act.__name__} was carried out in a state where it makes no sense")

    def teardown(self):
        if not hasattr(self, "world"):
            return
        before = (self.ledger.jobs(count=1000), self.ledger.queues())
        self.ledger.close()
        self.workspace.database.write_bytes(b"destroyed" * 1000)
        with Ledger.open(self.workspace) as ledger:
            had_lines = (self.workspace.ledger / "journal-000001.jsonl").exists() or ledger.rebuilt.backup
            if had_lines:
                assert (ledger.jobs(count=1000), ledger.queues()) == before
        self.folder.cleanup()


LedgerMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestLedger = LedgerMachine.TestCase
