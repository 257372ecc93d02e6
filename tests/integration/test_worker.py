"""Workers with real processes: what they take, how they stop, what they leave behind."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from treadle import TreadleError, Workspace
from treadle.jobs import presence
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.service import service_name, service_text
from treadle.store.workspace import WorkspaceFolder

SHAPE = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4",
         "training.sample_every=0", "training.evaluate_every=0", "training.threads=1"]  # fmt: skip
LONG = {"steps": 10_000_000, "detach": True}


@pytest.fixture(scope="module")
def fed_once(tmp_path_factory):
    """A workspace with two fed models, of which each test gets a copy."""
    folder = tmp_path_factory.mktemp("fed")
    workspace = Workspace.create(folder / "lab")
    (folder / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    for name in ("m", "n"):
        workspace.new(name, SHAPE, size="nano", tokenizer="char")
        workspace.feed(name, [folder / "a.txt"])
    end_workers(workspace)
    return folder


@pytest.fixture
def lab(fed_once, tmp_path):
    shutil.copytree(fed_once, tmp_path, symlinks=True, ignore=shutil.ignore_patterns(".worker"), dirs_exist_ok=True)
    workspace = Workspace(tmp_path / "lab")
    yield workspace
    end_workers(workspace)


def end_workers(workspace):
    workspace.worker_stop()
    until(lambda: not workspace.worker_status().workers)


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return found


def state(lab, job):
    return lab.jobs_show(job["job"]).job.state


def at_work(lab, job, attempt=1):
    """Wait until the process of this attempt trains; returns its pid."""
    run = until(lambda: lab.jobs_show(job["job"]).folder)
    until(lambda: text_of(Path(run) / "events.jsonl").count('"progress"') >= attempt)
    return json.loads((Path(run) / "process.json").read_text())["pid"]


def text_of(path):
    return path.read_text() if path.exists() else ""


def worker_pid(lab):
    return lab.worker_status().workers[0]["facts"]["pid"]


def alone(lab):
    """End the worker that fed the models."""
    lab.worker_stop()
    until(lambda: not lab.worker_status().workers)


def run_worker(lab, *flags, **options):
    command = [sys.executable, "-m", "treadle.cli.main", "worker", "run", *flags]
    return subprocess.Popen(command, cwd=lab.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_one_heavy_job_runs_at_a_time_and_light_ones_beside_it(lab):
    first, second = lab.train("m", **LONG), lab.train("n", **LONG)
    at_work(lab, first)
    assert (state(lab, first), state(lab, second)) == ("running", "ready")
    assert f"job {first['job']} runs" in lab.jobs_show(second["job"]).job.waits_for
    assert lab.evaluate("m", detach=True)["place"] == 1
    until(lambda: any(row.kind == "evaluate" and row.state == "failed" for row in lab.jobs_list().jobs))
    lab.jobs_stop(first["job"])
    at_work(lab, second)
    lab.jobs_discard(second["job"])
    until(lambda: state(lab, second) == "cancelled")
    assert list((lab.root / "trash").glob("r-*"))
    assert lab.show("n").checkpoints == [], "the checkpoint that it wrote when it ended is in the trash too"
    assert list((lab.root / "trash").glob("r-*-checkpoints/step-*"))


def test_a_stopped_job_is_resumable_and_a_waiting_one_is_removed(lab):
    running, waiting = lab.train("m", **LONG), lab.train("m", **LONG)
    at_work(lab, running)
    assert lab.jobs_stop(waiting["job"]).job.state == "cancelled"
    assert lab.jobs_stop(running["job"]).job.state in {"running", "stopping"}
    until(lambda: state(lab, running) == "cancelled")
    steps = lab.show("m").steps
    assert steps > 0
    assert lab.jobs_show(running["job"]).result["step"] == steps
    lab.jobs_retry(running["job"])
    at_work(lab, running, 2)
    lab.jobs_stop(running["job"])
    until(lambda: state(lab, running) == "cancelled")
    assert lab.show("m").steps > steps
    with pytest.raises(TreadleError, match=r"only a failed or cancelled job|already|is cancelled"):
        lab.jobs_stop(running["job"])


def test_pausing_now_lets_a_training_give_way_and_resuming_goes_on(lab):
    job = lab.train("m", **LONG)
    at_work(lab, job)
    assert lab.jobs_pause("m", how="now").jobs == [job["job"]]
    until(lambda: state(lab, job) == "ready")
    steps = lab.show("m").steps
    assert lab.jobs_list().paused == ["m"]
    assert "paused" in lab.jobs_show(job["job"]).job.waits_for
    time.sleep(0.3)
    assert state(lab, job) == "ready"
    lab.jobs_resume("m")
    until(lambda: state(lab, job) == "running")
    at_work(lab, job, 2)
    lab.jobs_stop(job["job"])
    until(lambda: state(lab, job) == "cancelled")
    assert lab.show("m").steps > steps


def test_a_worker_that_is_told_to_stop_gives_its_jobs_back_unharmed(lab):
    alone(lab)
    worker = run_worker(lab)
    until(lambda: lab.worker_status().live)
    job = lab.train("m", **LONG)
    at_work(lab, job)
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert "wait in their queues" in said[0]
    row = lab.jobs_show(job["job"]).job
    assert (row.state, row.attempts, row.recoveries) == ("ready", 0, 0)
    assert lab.show("m").steps > 0
    assert not lab.jobs_list().worker


def test_a_draining_worker_finishes_what_runs_and_starts_nothing(lab):
    alone(lab)
    worker = run_worker(lab)
    until(lambda: lab.worker_status().live)
    first = lab.train("m", minutes=0.03, detach=True)
    second = lab.train("n", steps=5, detach=True)
    until(lambda: state(lab, first) == "running")
    assert "finishes what runs" in lab.worker_drain().said
    worker.communicate(timeout=60)
    assert (state(lab, first), state(lab, second)) == ("done", "ready")


def test_a_killed_trainer_is_started_again_and_one_that_only_dies_is_given_up(lab):
    job = lab.train("m", **LONG)
    for number in range(6):
        until(lambda number=number: lab.jobs_show(job["job"]).job.recoveries == number)
        folder = until(lambda: lab.jobs_show(job["job"]).folder)
        run = Path(folder)
        until(lambda run=run, number=number: text_of(run / "events.jsonl").count('"started"') == number + 1)
        os.kill(json.loads((run / "process.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: state(lab, job) == "failed")
    report = lab.jobs_show(job["job"]).job
    assert "6 times" in report.error
    assert report.recoveries == 5
    with pytest.raises(TreadleError, match="6 times"):
        lab.jobs_follow(job["job"])


def test_a_killed_worker_costs_its_job_no_attempt_and_is_told(lab):
    job = lab.train("m", steps=400, detach=True)
    at_work(lab, job)
    os.kill(worker_pid(lab), signal.SIGKILL)
    notes = []
    done = lab.jobs_follow(job["job"], on_event=lambda event: notes.append(event) if event.type == "note" else None)
    assert (done["outcome"], done["step"]) == ("done", 400)
    assert any("goes on from what was kept last" in event.data["message"] for event in notes)
    report = lab.jobs_show(job["job"])
    assert (report.job.attempts, [event["type"] for event in report.events].count("recovered")) == (0, 1)
    assert len(lab.worker_status().lost) == 1
    assert lab.worker_status().lost == [], "shown once"


def test_after_an_unclean_stop_one_may_look_around_first(lab):
    job = lab.train("m", **LONG)
    pid = at_work(lab, job)
    os.kill(worker_pid(lab), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or Path(f"/proc/{pid}/cmdline").read_bytes() == b"")
    worker = run_worker(lab, "--paused")
    until(lambda: lab.worker_status().live)
    until(lambda: state(lab, job) == "ready")
    time.sleep(0.3)
    assert state(lab, job) == "ready"
    assert len(lab.jobs_list().paused) == 2
    worker.terminate()
    worker.communicate(timeout=30)
    lab.jobs_discard(job["job"])


def test_a_worker_in_the_background_ends_when_idle_and_there_is_only_one(lab):
    folder = WorkspaceFolder(lab.root)
    for _ in range(3):
        presence.start_worker(folder)
    until(lambda: presence.worker_lives(folder))
    time.sleep(0.5)
    assert len(lab.worker_status().workers) == 1
    until(lambda: not presence.worker_lives(folder), seconds=10)
    until(lambda: not list((lab.root / ".worker").glob("bell-*")))
    presence.announce(folder)
    until(lambda: presence.worker_lives(folder))


def test_a_job_that_fails_is_tried_again_after_a_while_if_it_may_be(lab):
    folder = WorkspaceFolder(lab.root)
    with Ledger.open(folder) as ledger:
        wrong = {"model": "m-gone", "paths": []}
        hopeless = ledger.submit(NewJob("model:x", "feed", wrong, "light", max_attempts=3))
        card = lab.show("m").id
        paths = [str(lab.root / "treadle.yaml" / "x" / "y")]
        mended = ledger.submit(NewJob("model:y", "feed", {"model": card, "paths": paths}, "light", max_attempts=3))
        presence.announce(folder)
        until(lambda: ledger.get(hopeless.id).state == "failed")
        assert ledger.get(hopeless.id).attempts == 1, "a request that is wrong stays wrong"
        until(lambda: not ledger.get(mended.id).active and not ledger.get(mended.id).waiting)


def test_a_schedule_queues_its_job_once_for_all_missed_times(lab):
    alone(lab)
    folder = WorkspaceFolder(lab.root)
    rows = lab.schedule_add("often", "* * * * *", ["train", "m", "--minutes", "0.01"])
    assert [(row.name, row.kind, row.model) for row in rows.schedules] == [("often", "train", "m")]
    alone(lab)
    assert "treadle worker install" in lab.schedule_list().warning
    before = {row.id for row in lab.jobs_list().jobs}
    with Ledger.open(folder) as ledger, ledger.database.transaction() as transaction:
        row = transaction.rows("schedules")[0]
        transaction.run("fired", id=row["id"], last_fire=None, next_fire=row["next_fire"] - 3600)
    presence.announce(folder)
    until(lambda: lab.schedule_list().schedules[0].last_fire is not None)
    fired = [row for row in lab.jobs_list().jobs if row.id not in before]
    assert 1 <= len(fired) <= 2, "once for the hour that was missed, perhaps once for a minute that has come since"
    assert lab.schedule_list().schedules[0].next_fire > time.time()
    assert lab.schedule_remove("often").schedules == []
    with pytest.raises(TreadleError, match="No schedule `often`"):
        lab.schedule_remove("often")


def test_a_schedule_of_what_is_no_job_is_refused_when_it_is_made(lab):
    with pytest.raises(TreadleError, match="is not a job"):
        lab.schedule_add("s", "@daily", ["show", "m"])
    with pytest.raises(TreadleError, match="needs `model`"):
        lab.schedule_add("s", "@daily", ["train"])


def test_training_waits_for_what_is_being_fed(lab, tmp_path):
    lab.jobs_pause("m")
    (tmp_path / "b.txt").write_text("a new text that is to be learned too\n" * 60)
    fed = lab.feed("m", [tmp_path / "b.txt"], detach=True)
    trained = lab.train("m", steps=3, detach=True)
    assert lab.jobs_show(trained["job"]).job.state == "blocked"
    lab.jobs_resume("m")
    lab.jobs_follow(trained["job"])
    assert state(lab, fed) == "done"
    assert lab.show("m").tokens["in"] > 0
    assert lab.show("m").dataset["version"] == 2


def test_a_job_may_come_after_another_and_falls_with_it(lab):
    first = lab.train("m", **LONG)
    second = lab.evaluate("m", detach=True, after=[first["job"]])
    assert f"after job {first['job']}" in lab.jobs_show(second["job"]).job.waits_for
    lab.jobs_stop(first["job"])
    until(lambda: state(lab, second) == "cancelled")


def test_a_queue_is_copied_edited_and_reordered(lab):
    lab.jobs_pause("m")
    lab.jobs_pause("n")
    first, second = lab.train("m", steps=3, detach=True), lab.train("m", steps=6, detach=True)
    assert lab.jobs_move(second["job"]).job.place == 1
    assert lab.jobs_show(first["job"]).job.place == 2
    lab.jobs_prioritise(first["job"], 5)
    assert lab.jobs_show(first["job"]).job.place == 1
    lab.jobs_edit(first["job"], ["training.batch_size=2"], steps=4)
    payload = lab.jobs_show(first["job"]).payload
    assert (payload["amount"], payload["settings"]["training"]["batch_size"]) == (4, 2)
    assert payload["settings"]["training"]["threads"] == 1, "as it was asked for"
    copies = lab.jobs_import_queue("m", "n")
    assert len(copies.jobs) == 2
    lab.jobs_resume()
    assert lab.jobs_follow(first["job"])["step"] == 4
    assert lab.jobs_follow(copies.jobs[0])["model"] == "n"
    lab.jobs_follow(second["job"])
    lab.jobs_follow(copies.jobs[1])
    with pytest.raises(TreadleError, match="done, so it cannot be edited"):
        lab.jobs_edit(first["job"], steps=9)
    assert lab.jobs_prune(days=0).jobs
    assert lab.jobs_list().jobs == []


def test_a_service_is_written_and_nothing_is_enabled(tmp_path):
    folder = WorkspaceFolder(tmp_path / 'a "strange" 100%')
    assert re.fullmatch(r"treadle-a-strange-100-[0-9a-f]{6}\.service", service_name(folder))
    text = service_text(folder, ["/usr/bin/python3", "-m", "treadle.cli.main"], 2)
    assert '"/usr/bin/python3" "-m" "treadle.cli.main" "worker" "run" "--workspace"' in text
    assert '\\"strange\\" 100%%"' in text
    assert "KillMode=mixed" in text


def test_a_workspace_whose_ledger_is_on_postgres_is_fed_trained_and_followed(tmp_path, postgres_url, monkeypatch):
    monkeypatch.setenv("TREADLE_DATABASE_URL", postgres_url)
    workspace = Workspace.create(tmp_path / "lab")
    workspace.new("m", SHAPE, size="nano", tokenizer="char")
    (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    seen = []
    workspace.feed("m", [tmp_path / "a.txt"], on_event=lambda event: seen.append(event.type))
    assert workspace.train("m", steps=5, on_event=lambda event: seen.append(event.type))["step"] == 5
    assert "progress" in seen
    running = workspace.train("m", **LONG)
    at_work(workspace, running)
    workspace.jobs_stop(running["job"])
    assert workspace.jobs_follow(running["job"])["outcome"] == "stopped"
    assert [row.state for row in workspace.jobs_list().jobs] == ["cancelled", "done", "done"]
    assert not (workspace.root / "treadle.db").exists()
    workspace.worker_stop()
    until(lambda: not workspace.worker_status().workers)


def test_after_a_training_a_process_waits_ready_for_the_next_one(lab):
    alone(lab)
    worker = run_worker(lab)
    until(lambda: presence.worker_lives(WorkspaceFolder(lab.root)))
    lab.train("m", steps=2)
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    (ready,) = until(lambda: [int(pid) for pid in children.read_text().split()])
    again = lab.train("m", steps=4)
    assert json.loads((lab.root / "runs" / again["run"] / "process.json").read_text())["pid"] == ready
    until(lambda: children.read_text().split() not in ([], [str(ready)]))
    worker.terminate()
    worker.communicate(timeout=60)
    assert not children.exists(), "and goes with its worker"


def test_a_worker_whose_database_is_removed_makes_it_anew_and_its_training_goes_on(lab):
    alone(lab)
    worker = run_worker(lab)
    until(lambda: presence.worker_lives(WorkspaceFolder(lab.root)))
    job = lab.train("m", steps=200, detach=True)
    waiting = lab.train("m", steps=201, detach=True)
    pid = at_work(lab, job)
    for path in lab.root.glob("treadle.db*"):
        path.unlink()
    assert lab.jobs_follow(job["job"])["step"] == 200
    assert json.loads((lab.root / "runs" / job["run"] / "process.json").read_text())["pid"] == pid
    assert lab.jobs_follow(waiting["job"])["step"] == 201
    worker.terminate()
    worker.communicate(timeout=60)


def test_a_clock_that_is_set_by_a_year_moves_no_job_to_another_worker(lab):
    job, waiting = lab.train("m", **LONG), lab.train("n", steps=1, detach=True)
    pid = at_work(lab, job)
    times = {"job": ("created", "started", "lease"), "worker": ("started", "seen"), "queue": ("served",)}
    for days in (400, -800):  # what is stored is moved instead of the clock: to those who read it that is the same
        with contextlib.closing(sqlite3.connect(lab.root / "treadle.db", timeout=30)) as connection, connection:
            for table, columns in times.items():
                changes = ", ".join(f"{name} = {name} + {days * 86400}" for name in columns)
                connection.execute(f"UPDATE {table} SET {changes}")  # noqa: S608 - names from this file
        other = run_worker(lab)
        until(lambda other=other: other.pid in [row["facts"]["pid"] for row in lab.worker_status().workers])
        other.terminate()
        other.communicate(timeout=60)
    events = [event["type"] for event in lab.jobs_show(job["job"]).events]
    assert events == ["submitted", "started"], "nobody has taken it over"
    assert json.loads((lab.root / "runs" / job["run"] / "process.json").read_text())["pid"] == pid
    lab.jobs_stop(job["job"])
    assert lab.jobs_follow(waiting["job"])["step"] == 1
    assert [event["type"] for event in lab.jobs_show(waiting["job"]).events].count("done") == 1


def test_a_worker_that_is_about_to_end_is_not_relied_on(lab):
    alone(lab)
    workspace = WorkspaceFolder(lab.root)
    with contextlib.closing(presence.Bell(workspace)) as bell:  # it has hidden, but its bell still hangs there
        presence.announce(workspace, "train")
        assert bell.heard() == []
        until(lambda: presence.worker_lives(workspace))
