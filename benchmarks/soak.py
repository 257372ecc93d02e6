"""Kill workers and trainers at random moments while models train through the queue, then check that nothing was lost.

    scripts/bench soak                              40 jobs on 4 models, 60 kills
    scripts/bench soak --short                      a minute, as the tests run it
    TREADLE_DATABASE_URL=postgresql://... scripts/bench soak --kills 20

Everything is real: the installed command, worker processes, trainings of a tiny model. What is checked is what the
processes wrote: the ledger's events, the runs' events, the checkpoints.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import itertools
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle import Workspace
from treadle.data.bundled.texts import bundled_text
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import RunFolder, process_start
from treadle.store.workspace import WorkspaceFolder

ROOT = Path(__file__).parents[1]
SHAPE = [
    "family.layers=2", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4",
    "training.threads=1", "training.sample_every=0", "training.evaluate_every=40", "training.evaluation_examples=16",
    "training.checkpoint_every=10", "training.warmup_steps=2",
]  # fmt: skip


@dataclass
class Plan:
    """What is to be suffered."""

    seed: int
    models: int
    jobs: int
    kills: int
    in_checkpoints: int
    workers: int
    steps: int
    gap_seconds: float
    """Kills come after uniformly random waits of up to twice this."""


@dataclass
class Tally:
    """What was suffered."""

    workers: int = 0
    trainers: int = 0
    in_checkpoints: int = 0
    """Trainers that were killed while they themselves were writing a checkpoint."""

    @property
    def kills(self) -> int:
        return self.workers + self.trainers


def model_names(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


def make(folder: Path, models: int) -> Workspace:
    workspace = Workspace.create(folder)
    text = folder / "play.txt"
    text.write_text(bundled_text("shakespeare").read_text(encoding="utf-8")[:60_000], encoding="utf-8")
    for name in model_names(models):
        workspace.new(name, SHAPE, size="nano", tokenizer="char")
        workspace.feed(name, [text])
    return workspace


class Workers:
    """Worker processes, started again when they have been killed."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.processes = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "treadle.cli.main", "worker", "run", "--heavy", "2"]
        log = (self.folder / "workers.log").open("ab")
        return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)

    def renew(self) -> None:
        """Start those again that have died."""
        self.processes = [worker if worker.poll() is None else self._start() for worker in self.processes]

    def end(self) -> None:
        for worker in self.processes:
            worker.terminate()
        for worker in self.processes:
            worker.wait(timeout=90)


@dataclass(frozen=True)
class Trainer:
    """A process that is at work on a run."""

    run: Path
    pid: int
    checkpoints: Path

    def writes_checkpoint(self) -> bool:
        """Whether a checkpoint of its model is half written, and by this process: nobody else writes it meanwhile.

        What earlier ones have left half written is older than the file in which this one says that it has begun.
        """
        with contextlib.suppress(FileNotFoundError):
            began = (self.run / "process.json").stat().st_mtime
            return any(path.stat().st_mtime > began for path in self.checkpoints.glob(".step-*.tmp"))
        return False


def trainers(folder: Path) -> list[Trainer]:
    """Runs whose process is at work."""
    found = []
    for path in folder.glob("runs/r-*/process.json"):
        with contextlib.suppress(ValueError, FileNotFoundError):
            facts = json.loads(path.read_text())
            if process_start(facts["pid"]) == facts["started"]:
                model = RunFolder(path.parent).spec()["payload"]["model"]
                found.append(Trainer(path.parent, facts["pid"], folder / "models" / model / "checkpoints"))
    return found


def kill_one(folder: Path, workers: Workers, chance: random.Random, tally: Tally, *, in_checkpoint: bool) -> bool:
    """Kill a worker or a trainer, evenly; in a checkpoint, whoever writes one now. False if nobody was there."""
    if in_checkpoint:
        return kill_in_checkpoint(folder, tally)
    victims = trainers(folder)
    alive = [worker.pid for worker in workers.processes if worker.poll() is None]
    if chance.random() < 0.5 and victims:
        victim = chance.choice(victims)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            freeze(victim.pid)  # so that what it was doing can be seen
            tally.in_checkpoints += victim.writes_checkpoint()
            os.kill(victim.pid, signal.SIGKILL)
        tally.trainers += 1
        return True
    if not alive:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(alive), signal.SIGKILL)
    tally.workers += 1
    return True


def freeze(pid: int) -> None:
    """Stop a process where it is, and wait until it stands still."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TtZX":
        time.sleep(0.0005)


def kill_in_checkpoint(folder: Path, tally: Tally) -> bool:
    """Wait until a trainer writes a checkpoint, freeze it, make sure that it still does, and kill it."""
    victims, deadline = trainers(folder), time.monotonic() + 5
    while time.monotonic() < deadline:
        for victim in victims:
            if not victim.writes_checkpoint():
                continue
            try:
                freeze(victim.pid)
                caught = victim.writes_checkpoint()
                os.kill(victim.pid, signal.SIGKILL if caught else signal.SIGCONT)
            except (ProcessLookupError, FileNotFoundError):
                return False
            if caught:
                tally.trainers += 1
                tally.in_checkpoints += 1
                return True
    return False


def submit(workspace: Workspace, plan: Plan) -> dict[int, tuple[str, int]]:
    """Queue the jobs; returns model and target of each."""
    asked: dict[int, tuple[str, int]] = {}
    for number in range(plan.jobs):
        name = model_names(plan.models)[number % plan.models]
        target = plan.steps * (1 + number // plan.models)
        job = workspace.train(name, steps=target, detach=True)
        asked[job["job"]] = (name, target)
    return asked


def suffer(folder: Path, plan: Plan, asked: dict[int, tuple[str, int]], limit_seconds: float) -> Tally:
    """Kill while the jobs run, until they have all ended.

    The last job of each model is held until half of the kills have come, however fast the machine is.
    """
    chance, tally = random.Random(plan.seed), Tally()
    held = list({name: job for job, (name, _) in asked.items()}.values())
    with Ledger.open(WorkspaceFolder(folder)) as ledger:
        for job in held:
            ledger.hold(job)
    workers = Workers(folder, plan.workers)
    due = time.monotonic() + chance.uniform(0, 2 * plan.gap_seconds)
    deadline = time.monotonic() + limit_seconds
    try:
        with Ledger.open(WorkspaceFolder(folder)) as ledger:
            while any(ledger.get(job).waiting or ledger.get(job).active for job in asked):
                if time.monotonic() > deadline:
                    break
                workers.renew()
                if tally.kills < plan.kills and time.monotonic() >= due:
                    wanted = tally.in_checkpoints < plan.in_checkpoints and chance.random() < 0.4
                    kill_one(folder, workers, chance, tally, in_checkpoint=wanted)
                    due = time.monotonic() + chance.uniform(0, 2 * plan.gap_seconds)
                while held and tally.kills >= plan.kills / 2:
                    ledger.release(held.pop())
                time.sleep(0.02)
    finally:
        workers.end()
    return tally


def findings(folder: Path, asked: dict[int, tuple[str, int]]) -> list[str]:
    """Everything that must not be; empty if all is well."""
    wrong: list[str] = []
    steps: dict[str, list[tuple[float, float, str]]] = {}
    with Ledger.open(WorkspaceFolder(folder)) as ledger:
        for identity, (name, target) in asked.items():
            job = ledger.get(identity)
            if job.state != "done":
                wrong.append(f"job {identity} is {job.state}: {job.error}")
                continue
            if (job.result or {}).get("step") != target:
                wrong.append(f"job {identity} ended at step {(job.result or {}).get('step')}, not {target}")
            ends = [event.type for event in ledger.events(job=identity, count=10_000) if event.type == "done"]
            if len(ends) != 1:
                wrong.append(f"job {identity} was completed {len(ends)} times")
            steps.setdefault(name, []).extend(spans(folder / "runs" / str(job.run), wrong))
    for name, rows in steps.items():
        rows.sort()
        for (_, end, first), (begin, _, second) in itertools.pairwise(rows):
            if begin < end:
                wrong.append(f"two trainers worked on {name}: {first} and {second}")
    return wrong


def spans(run: Path, wrong: list[str]) -> list[tuple[float, float, str]]:
    """From its beginning to its last word, each process that trained in this run; steps of one process only grow."""
    found: list[list[Any]] = []
    last = -1
    for line in (run / "events.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
        event = json.loads(line)
        if event["type"] == "training_started":
            found.append([event["time"], event["time"], f"{run.name} #{len(found) + 1}"])
            last = -1
        elif event["type"] == "started":
            continue
        elif found:
            found[-1][1] = max(found[-1][1], event["time"])
            if event["type"] == "progress":
                if event["step"] < last:
                    wrong.append(f"{run.name}: step {event['step']} after {last}: two processes wrote")
                last = event["step"]
    return [(begin, end, name) for begin, end, name in found]


def weights(workspace: Workspace, name: str) -> str:
    return str(workspace.show(name).checkpoints[-1]["weights_sha256"])


def run(plan: Plan, limit_seconds: float) -> dict[str, Any]:
    """Suffer the plan in a new workspace; compare the first model with one that was left in peace."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="treadle-soak-") as temporary:
        folder = Path(temporary) / "killed"
        workspace = make(folder, plan.models)
        end_background(folder)
        asked = submit_without_worker(workspace, plan)
        tally = suffer(folder, plan, asked, limit_seconds)
        wrong = findings(folder, asked)
        os.environ.pop("TREADLE_DATABASE_URL", None)
        peaceful = make(Path(temporary) / "peace", 1)
        for target in [target for name, target in asked.values() if name == "m0"]:
            peaceful.train("m0", steps=target)
        same = weights(workspace, "m0") == weights(peaceful, "m0")
        if not same:
            wrong.append("the weights of m0 differ from those of an uninterrupted training")
        end_background(Path(temporary) / "peace")
        left = [str(trainer.pid) for trainer in trainers(folder)]
        if left:
            wrong.append(f"trainers stayed behind: {', '.join(left)}")
    return {
        "plan": vars(plan),
        "kills": {"workers": tally.workers, "trainers": tally.trainers, "in_checkpoints": tally.in_checkpoints},
        "jobs_done": sum(not any(f"job {job} " in line for line in wrong) for job in asked),
        "same_weights": same,
        "wrong": wrong,
        "seconds": round(time.monotonic() - began, 1),
    }


def submit_without_worker(workspace: Workspace, plan: Plan) -> dict[int, tuple[str, int]]:
    """Queue everything while the queues are paused, so that all kills fall among all jobs."""
    workspace.jobs_pause()
    asked = submit(workspace, plan)
    end_background(workspace.root)
    workspace.jobs_resume()
    end_background(workspace.root)
    return asked


def end_background(folder: Path) -> None:
    """End the worker that commands have started, so that only ours are there."""
    workspace = Workspace(folder)
    workspace.worker_stop()
    while workspace.worker_status().workers:
        time.sleep(0.05)


def commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="printed; the same seed kills after the same waits")
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--in-checkpoints", type=int, default=5, help="at least so many kills during a checkpoint")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=150, help="steps that each job adds")
    parser.add_argument("--gap", type=float, default=1.5, help="mean seconds between kills")
    parser.add_argument("--limit", type=float, default=1800, help="give up after so many seconds")
    parser.add_argument("--short", action="store_true", help="6 jobs on 2 models, 6 kills, 1 of them in a checkpoint")
    parser.add_argument("--output", type=Path, default=None)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    short = Plan(seed, 2, 6, 6, 1, given.workers, 100, 0.7)
    full = Plan(
        seed, given.models, given.jobs, given.kills, given.in_checkpoints, given.workers, given.steps, given.gap
    )
    database = "postgres" if os.environ.get("TREADLE_DATABASE_URL") else "sqlite"
    result = {
        "command": "scripts/bench soak " + " ".join(sys.argv[1:]),
        "commit": commit(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "database": database,
        **run(short if given.short else full, given.limit),
    }
    print(json.dumps(result, indent=2))
    if not given.short:
        path = given.output or ROOT / "benchmarks" / "results" / f"soak-{database}-{given.workers}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
