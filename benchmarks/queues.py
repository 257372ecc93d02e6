"""Durable queues on SQLite, side by side: this ledger, huey and DBOS where they are installed.

    python benchmarks/queues.py [--jobs 1000000] [--peers PYTHON] [--postgres URL] [--out benchmarks/results/queue.json]

One process for each system and question, one after the other, files on the disk of TMPDIR. What is asked:
- `submit`: single durable submits, each confirmed before the next, beside what waits already: none, or all of --jobs.
- `bulk`: jobs for each second when many are submitted in one transaction (ours only; the others have no such call).
- `claim`: taking the next job out of --jobs in --queues queues, of which each may run one at a time.
- `start`: from the call that submits to the first line of the job in a waiting worker of another process. For ours
  that line is the claim: the process that then carries out the job is another matter.
- `idle`: processor time and memory of a worker that has nothing to do.
huey runs with fsync, which is what we and DBOS do. Both load their million rows by SQL, since their own calls take
hours. `treadle-postgres` is our ledger in the database of --postgres, in a schema of its own. `disk` is the bare pace
of the disk: a row and a commit.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


SINGLE, CLAIMS, CLAIM_SECONDS, STARTS, IDLE_SECONDS, CHUNK = 400, 1000, 20.0, 40, 10.0, 20_000
PAYLOAD = {"model": "m-0123456789abcdef", "minutes": 3.0, "settings": "x" * 200}


# --- the systems ------------------------------------------------------------------------------------------------------


class Treadle:
    def __init__(self, folder: Path, queues: int, *, serving: bool = False) -> None:  # noqa: ARG002
        from treadle.jobs.identity import WorkerIdentity
        from treadle.jobs.ledger import Ledger
        from treadle.store.workspace import WorkspaceFolder, create_workspace

        root = folder / "lab"
        workspace = WorkspaceFolder(root) if root.exists() else create_workspace(root)
        self.ledger, self.me, self.queues, self.next = Ledger.open(workspace), WorkerIdentity.current(), queues, 0

    def _job(self) -> object:
        from treadle.jobs.job import NewJob

        self.next += 1
        return NewJob(f"model:m-{self.next % self.queues}", "train", PAYLOAD)

    def submit(self) -> None:
        self.ledger.submit(self._job())

    def load(self, count: int) -> None:
        for _ in range(count // CHUNK):
            self.ledger.submit_many([self._job() for _ in range(CHUNK)])

    def claim(self) -> object:
        return self.ledger.work.claim(self.me, {"heavy": 10**6})

    def finish(self, claim: object) -> None:
        self.ledger.work.finish(claim, {})

    def serve(self) -> None:
        """Claim what comes and say when."""
        self.ledger.work.register(self.me, {})
        print("ready", flush=True)
        while True:
            if (claim := self.claim()) is not None:
                print(time.time(), flush=True)
                self.finish(claim)
            else:
                self.ledger.wait(1.0)


class Huey:
    def __init__(self, folder: Path, queues: int, *, serving: bool = False) -> None:  # noqa: ARG002
        from huey import SqliteHuey

        self.path, self.next = folder / "huey.db", 0
        self.queues = [SqliteHuey(f"q{n}", filename=str(self.path), fsync=True) for n in range(queues)]
        self.tasks = [queue.task()(_say_time) for queue in self.queues]

    def submit(self) -> None:
        self.next += 1
        self.tasks[self.next % len(self.tasks)](PAYLOAD)

    def load(self, count: int) -> None:
        self.tasks[0](PAYLOAD)
        data = self.queues[0].storage.dequeue()
        rows = ((f"q{n % len(self.queues)}", data) for n in range(count))
        with sqlite3.connect(self.path) as connection:
            connection.executemany("INSERT INTO task (queue, data, priority) VALUES (?, ?, 0)", rows)

    def claim(self) -> object:
        self.next += 1
        return self.queues[self.next % len(self.queues)].storage.dequeue()

    def finish(self, claim: object) -> None:
        pass  # a job that was taken is forgotten, also if its worker dies

    def serve(self) -> None:
        print("ready", flush=True)
        self.queues[0].create_consumer(workers=1, periodic=False).run()


class Dbos:
    def __init__(self, folder: Path, queues: int, *, serving: bool = False) -> None:
        from dbos import DBOS

        self.path, self.count, self.next = folder / "dbos.db", queues, 0
        config = {"name": "bench", "system_database_url": f"sqlite:///{self.path}", "log_level": "ERROR"}
        self.system = DBOS(config=config)
        self.workflow = DBOS.workflow()(_say_time)
        DBOS.listen_queues(["bench"] if serving else [])
        DBOS.launch()
        limit = {"partition_concurrency": 1} if queues > 1 else {"worker_concurrency": 1}
        self.queue = DBOS.register_queue("bench", **limit)

    def submit(self) -> None:
        from dbos import SetEnqueueOptions

        self.next += 1
        if self.count == 1:
            self.queue.enqueue(self.workflow, PAYLOAD)
            return
        with SetEnqueueOptions(queue_partition_key=f"p{self.next % self.count}"):
            self.queue.enqueue(self.workflow, PAYLOAD)

    def load(self, count: int) -> None:
        self.submit()
        with sqlite3.connect(self.path) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(workflow_status)")]
            changed = {"workflow_uuid": "'w' || n", "queue_partition_key": f"'p' || (n % {self.count})"}
            values = ", ".join(changed.get(column, column) for column in columns)
            numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "  # noqa: S608
            source = "(SELECT * FROM workflow_status LIMIT 1)"
            connection.execute(
                f"{numbers} INSERT INTO workflow_status ({', '.join(columns)}) SELECT {values} FROM numbers, {source}"  # noqa: S608
            )

    def claim(self) -> object:
        from dbos._utils import GlobalParams

        found = self.system._sys_db.start_queued_partitioned_workflows(  # noqa: SLF001 - what its worker calls
            self.queue, GlobalParams.executor_id, GlobalParams.app_version, 1, owner_xid="bench", is_latest_version=True
        )
        return found[0] if found else None

    def finish(self, claim: object) -> None:
        with sqlite3.connect(self.path, timeout=30) as connection:
            connection.execute("UPDATE workflow_status SET status = 'SUCCESS' WHERE workflow_uuid = ?", (claim,))

    def serve(self) -> None:
        print("ready", flush=True)
        while True:
            time.sleep(60)


def _say_time(_payload: object = None) -> None:
    print(time.time(), flush=True)


SYSTEMS = {"treadle": Treadle, "treadle-postgres": Treadle, "huey": Huey, "dbos": Dbos}
OURS = {"treadle", "treadle-postgres"}


# --- the questions, each in a process of its own ----------------------------------------------------------------------


def ask_submit(name: str, folder: Path, jobs: int, queues: int) -> dict[str, Any]:
    system = SYSTEMS[name](folder, queues)
    found: dict[str, Any] = {"submits_per_second_empty": _pace(system.submit)}
    start = time.perf_counter()
    system.load(jobs)
    seconds = time.perf_counter() - start
    if name in OURS:
        found["bulk_jobs_per_second"] = round(jobs / seconds)
    found["submits_per_second_full"] = _pace(system.submit)
    times: list[float] = []
    while len(times) < CLAIMS and sum(times) < CLAIM_SECONDS:
        start = time.perf_counter()
        claim = system.claim()
        times.append(time.perf_counter() - start)
        if claim is None:
            raise SystemExit(f"{name} found no job among {jobs}")
        system.finish(claim)
    found |= {"claim_ms": _spread(times), "claims": len(times)}
    found["database_mb"] = round(sum(path.stat().st_size for path in folder.rglob("*.db*")) / 1e6)
    return found


def ask_start(name: str, folder: Path, _jobs: int, _queues: int) -> dict[str, Any]:
    system = SYSTEMS[name](folder, 1)
    with Serving(name, folder) as worker:
        times = []
        for _ in range(STARTS):
            time.sleep(0.05)
            start = time.time()
            system.submit()
            times.append(float(worker.stdout.readline()) - start)
    return {"start_ms": _spread(times)}


def ask_idle(name: str, folder: Path, _jobs: int, _queues: int) -> dict[str, Any]:
    SYSTEMS[name](folder, 1)  # makes the database
    command = _self(["--serve", name, str(folder)])
    if name in OURS:
        command = [Path(sys.executable).parent / "treadle", "worker", "run", "--workspace", str(folder / "lab")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(5)
        before = _cpu_seconds(process.pid)
        time.sleep(IDLE_SECONDS)
        used = _cpu_seconds(process.pid) - before
        return {"idle_cpu_percent": round(100 * used / IDLE_SECONDS, 2), "idle_memory_mb": _memory_mb(process.pid)}
    finally:
        process.terminate()
        process.wait()


QUESTIONS = {"submit": ask_submit, "start": ask_start, "idle": ask_idle}


def _pace(act: Callable[[], object]) -> int:
    act()
    start = time.perf_counter()
    for _ in range(SINGLE):
        act()
    return round(SINGLE / (time.perf_counter() - start))


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    picks = {"p50": statistics.median(ordered), "p99": ordered[int(0.99 * len(ordered))], "max": ordered[-1]}
    return {key: round(value * 1e3, 3) for key, value in picks.items()}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return round(kilobytes / 1000, 1)


class Serving:
    """A waiting worker in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        command = _self(["--serve", name, str(folder)])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> subprocess.Popen[str]:
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise SystemExit(f"the worker said {line!r}")
        time.sleep(2)
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def disk_pace(folder: Path) -> int:
    connection = sqlite3.connect(folder / "pace.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE row (text TEXT)"):
        connection.execute(statement)
    pace = _pace(lambda: connection.execute("INSERT INTO row VALUES ('x')"))
    connection.close()
    return pace


# --- the run ----------------------------------------------------------------------------------------------------------


def _self(arguments: list[str], python: str = sys.executable) -> list[str]:
    return [python, "-P", str(Path(__file__).resolve()), *arguments]


def measure(name: str, question: str, options: argparse.Namespace) -> dict[str, Any]:
    """Ask one system one question, in a fresh folder."""
    python = options.peers if options.peers and name not in OURS else sys.executable
    environment = dict(os.environ)
    if name == "treadle-postgres":
        environment["TREADLE_DATABASE_URL"] = fresh_schema(options.postgres, f"bench_{question}_{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="treadle-bench-") as folder:
        pace = disk_pace(Path(folder))
        arguments = ["--ask", question, name, folder, "--jobs", str(options.jobs), "--queues", str(options.queues)]
        done = subprocess.run(
            _self(arguments, python), check=False, capture_output=True, text=True, timeout=1200, env=environment
        )
        if done.returncode:
            return {
                "failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
            }
        return {**json.loads(done.stdout.splitlines()[-1]), f"disk_commits_per_second_before_{question}": pace}


def fresh_schema(url: str, name: str) -> str:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{url}?options=-csearch_path%3D{name}"


def installed(name: str, python: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def run(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in options.systems.split(","):
        if name == "treadle-postgres" and not options.postgres:
            continue
        own = name in OURS or not options.peers
        version = installed("treadle" if name in OURS else name, sys.executable if own else options.peers)
        if version is None:
            print(f"{name} is not installed: skipped (pip install {name}, or --peers PYTHON)", file=sys.stderr)
            continue
        found[name] = {"version": version}
        for question in options.questions.split(","):
            found[name] |= measure(name, question, options)
            print(name, question, json.dumps(found[name]), file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--queues", type=int, default=200)
    parser.add_argument("--systems", default="treadle,treadle-postgres,huey,dbos")
    parser.add_argument("--questions", default="submit,start,idle")
    parser.add_argument("--peers", help="a Python in which huey and dbos are installed")
    parser.add_argument("--postgres", metavar="URL", help="a Postgres for our ledger; gets a schema for each question")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--ask", nargs=3, metavar=("QUESTION", "SYSTEM", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, metavar=("SYSTEM", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        SYSTEMS[options.serve[0]](Path(options.serve[1]), 1, serving=True).serve()
    elif options.ask:
        question, name, folder = options.ask
        print(json.dumps(QUESTIONS[question](name, Path(folder), options.jobs, options.queues)), flush=True)
        os._exit(0)  # threads of the peers would go on
    else:
        head = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
        result = {
            "command": "python benchmarks/queues.py "
            + " ".join(sys.argv[1:]).replace(str(options.peers), "PYTHON").replace(str(options.postgres), "URL"),
            "commit": commit,
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "machine": {"cores": len(os.sched_getaffinity(0)), "platform": platform.platform()},
            "sqlite": sqlite3.sqlite_version,
            "jobs": options.jobs,
            "queues": options.queues,
            "systems": run(options),
        }
        text = json.dumps(result, indent=2) + "\n"
        print(text)
        if options.out:
            options.out.write_text(text)


if __name__ == "__main__":
    main()
