"""A damaged database is rebuilt with everything that was confirmed to anybody."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from treadle.jobs import found_runs
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.ledger_changes import Edit, Target
from treadle.jobs.ledger_submit import submit
from treadle.jobs.request import JobOptions, JobRequest
from treadle.jobs.runs import RunFolder
from treadle.operations.jobs import stop as jobs_stop
from treadle.store.database import DatabaseDamagedError
from treadle.store.opening import open_database
from treadle.store.workspace import WorkspaceFolder, create_workspace

A, B = "model:m-a", "model:m-b"
ME = WorkerIdentity.current()


@pytest.fixture
def workspace(quick_folder):
    return create_workspace(quick_folder / "lab")


def fill(ledger):
    """One of everything."""
    jobs = ledger.submit_many([NewJob(A, "train", {"n": n}) for n in range(8)])
    ledger.work.finish(ledger.work.claim(ME, {"heavy": 9}), {"loss": 1.5})
    ledger.work.fail(ledger.work.claim(ME, {"heavy": 9}), "broke")
    running = ledger.work.claim(ME, {"heavy": 9})
    ledger.work.set_run(running, "r-1")
    ledger.stop(running.job.id)
    ledger.submit(NewJob(A, "train", {}, waits_on=(jobs[2].id,), if_failed="run"))
    ledger.submit(NewJob(B, "feed", {}, lane="light", not_before=4e9, dedup_key="k", priority=3))
    ledger.move(jobs[7].id, Target(place=1))
    ledger.edit(jobs[6].id, Edit(payload={"n": 66}))
    ledger.stop(jobs[5].id)
    ledger.retry(jobs[5].id)
    ledger.pause(B)
    ledger.limit(B, 7)
    ledger.schedules.add("nightly", "0 2 * * *", NewJob(A, "train", {}), 1000.0)
    ledger.schedules.add("gone", "0 2 * * *", NewJob(A, "train", {}), 1000.0)
    ledger.schedules.remove("gone")
    return running


def everything(ledger):
    waits = {job.id: ledger.dependencies(job.id) for job in ledger.jobs()}
    return ledger.jobs(), ledger.queues(), ledger.schedules.all(), waits


def garbage(path):
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(os.urandom(path.stat().st_size))


def lost(path):
    path.unlink()


def truncated(path):
    os.truncate(path, path.stat().st_size // 3)


def inner_pages(path):
    data = bytearray(path.read_bytes())
    data[8192:] = random.Random(7).randbytes(len(data) - 8192)
    path.write_bytes(data)


@pytest.mark.parametrize("backed_up", [False, True], ids=["journal only", "backup and journal"])
@pytest.mark.parametrize("damage", [garbage, lost, truncated, inner_pages])
def test_a_damaged_database_loses_nothing(workspace, damage, backed_up):
    with Ledger.open(workspace) as ledger:
        ledger.submit(NewJob(A, "train", {"before": "backup"}))
        if backed_up:
            assert ledger.backup(0) is not None
        running = fill(ledger)
        before, cursor = everything(ledger), ledger.last_event()
    damage(workspace.database)
    with _opened_again(workspace) as ledger:
        assert ledger.rebuilt is not None
        assert (ledger.rebuilt.damaged is None) == (damage is lost)
        assert (ledger.rebuilt.backup is not None) == backed_up
        assert everything(ledger) == before
        assert [event.type for event in ledger.events(cursor)] == ["rebuilt"]
        assert ledger.work.cancelled(running).state == "cancelled"  # the claim still holds
        assert ledger.submit(NewJob(A, "train", {})).place == len(ledger.jobs(A, ["ready"]))
    with Ledger.open(workspace) as ledger:
        assert ledger.rebuilt is None


def _opened_again(workspace):
    """Damage inside shows only when something reads it: that command fails and says so, the next one rebuilds."""
    try:
        with Ledger.open(workspace) as ledger:
            if ledger.rebuilt is None:
                ledger.jobs()
                pytest.fail("the damage was not noticed")
            return Ledger(ledger.database.__class__(workspace.database, workspace.ledger), ledger.rebuilt)
    except DatabaseDamagedError as error:
        assert "Run the command again" in str(error)  # noqa: PT017
    return Ledger.open(workspace)


def test_the_damaged_file_is_kept(workspace):
    with Ledger.open(workspace) as ledger:
        ledger.submit(NewJob(A, "train", {}))
    workspace.database.write_bytes(b"not a database at all" * 1000)
    with Ledger.open(workspace) as ledger:
        kept = WorkspaceFolder(workspace.root).ledger / ledger.rebuilt.damaged / "treadle.db"
    assert kept.read_bytes().startswith(b"not a database")


def test_a_command_says_that_it_rebuilt_the_database_and_goes_on(workspace):
    with Ledger.open(workspace) as ledger:
        made = ledger.submit(NewJob("model:m-a", "train", {}, not_before=4e9))
    garbage(workspace.database)
    command = [Path(sys.executable).parent / "treadle", "jobs", "list", "--json", "--workspace", workspace.root]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "was damaged" in done.stderr
    assert "no queued job was lost" in done.stderr
    assert f'"job": {made.id}' in done.stdout or f'"id": {made.id}' in done.stdout
    again = subprocess.run(command, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "")


def test_of_damaged_backups_the_newest_sound_one_is_used(workspace):
    with Ledger.open(workspace) as ledger:
        made = []
        for n in range(5):
            ledger.submit(NewJob(A, "train", {"n": n}))
            made.append(ledger.backup(0))
        before = ledger.jobs()
    assert [path.exists() for path in made] == [False, False, True, True, True]
    made[4].write_bytes(b"x" * 5000)
    os.truncate(made[3], 5000)
    garbage(workspace.database)
    with Ledger.open(workspace) as ledger:
        assert ledger.rebuilt.backup == made[2].name
        assert ledger.jobs() == before


def test_a_backup_is_made_when_it_is_due_and_something_has_changed(workspace):
    with Ledger.open(workspace) as ledger:
        assert ledger.backup(0) is None
        ledger.submit(NewJob(A, "train", {}))
        assert ledger.backup(3600) is not None
        assert ledger.backup(0) is None
        ledger.submit(NewJob(A, "train", {}))
        assert ledger.backup(3600) is None
        assert ledger.backup(0) is not None


def test_a_process_that_has_the_old_file_open_goes_on_with_the_new_one(workspace):
    with Ledger.open(workspace) as old, Ledger.open(workspace) as reader:
        first = old.submit(NewJob(A, "train", {}))
        assert reader.wait(1)
        assert not reader.wait(0.01)
        garbage(workspace.database)
        with Ledger.open(workspace) as new:
            assert new.rebuilt is not None
            second = old.submit(NewJob(A, "train", {}))
            assert [job.id for job in new.jobs()] == [first.id, second.id]
            assert reader.wait(1)
            assert [job.id for job in reader.jobs()] == [first.id, second.id]


def test_a_rebuild_that_is_killed_is_done_by_the_next_one(workspace):
    with Ledger.open(workspace) as ledger:
        ledger.submit_many([NewJob(A, "train", {"n": n}) for n in range(300)])
        before = ledger.jobs(count=1000)
    code = (
        "import sys, os; from pathlib import Path; from treadle.jobs.ledger import Ledger\n"
        "from treadle.store.workspace import WorkspaceFolder\n"
        "os.write(1, b'x'); Ledger.open(WorkspaceFolder(Path(sys.argv[1]))); os.write(1, b'y')\n"
    )
    rng = random.Random(5)
    for _ in range(12):
        garbage(workspace.database) if workspace.database.exists() else None
        process = subprocess.Popen([sys.executable, "-c", code, workspace.root], stdout=subprocess.PIPE)
        process.stdout.read(1)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with Ledger.open(workspace) as ledger:
        assert ledger.jobs(count=1000) == before


def test_every_submit_that_was_confirmed_survives_kills_and_damage(workspace):
    """Processes submit and say so; each is killed at a random moment; then the database is destroyed."""
    code = (
        "import sys, os; from pathlib import Path\n"
        "from treadle.jobs.ledger import Ledger; from treadle.jobs.job import NewJob\n"
        "from treadle.store.workspace import WorkspaceFolder\n"
        "ledger = Ledger.open(WorkspaceFolder(Path(sys.argv[1])))\n"
        "while True: os.write(1, b'%d\\n' % ledger.submit(NewJob('model:m-a', 'train', {'by': os.getpid()})).id)\n"
    )
    rng = random.Random(11)
    confirmed = []
    for number in range(6):
        process = subprocess.Popen([sys.executable, "-c", code, workspace.root], stdout=subprocess.PIPE)
        confirmed.append(int(process.stdout.readline()))
        time.sleep(rng.uniform(0.02, 0.1))
        process.kill()
        confirmed += [int(line) for line in process.communicate()[0].split(b"\n")[:-1]]
        if number == 2:
            with Ledger.open(workspace) as ledger:
                ledger.backup(0)
    with Ledger.open(workspace) as ledger:
        there = ledger.jobs(count=10**6)
    assert len(set(confirmed)) == len(confirmed) > 30
    assert set(confirmed) <= {job.id for job in there}
    garbage(workspace.database)
    with Ledger.open(workspace) as ledger:
        after = ledger.jobs(count=10**6)
    assert {job.id for job in there} <= {job.id for job in after}
    assert len(after) <= len(there) + 6  # what was written down but not confirmed when its process was killed


def test_a_copied_workspace_without_its_ledger_folder_just_opens(workspace, quick_folder):
    with Ledger.open(workspace) as ledger:
        made = ledger.submit(NewJob(A, "train", {}))
    shutil.copytree(workspace.root, quick_folder / "copy", ignore=shutil.ignore_patterns("ledger"))
    with Ledger.open(WorkspaceFolder(quick_folder / "copy")) as ledger:
        assert ledger.rebuilt is None
        assert ledger.get(made.id) == made


def test_a_database_that_is_removed_while_it_is_open_is_not_replaced_by_an_empty_one(workspace):
    with Ledger.open(workspace) as early:
        fill(early)
        before = everything(early)
        workspace.database.unlink()
        with pytest.raises(DatabaseDamagedError, match=r"is gone.*Run the command again"):
            early.jobs()
        with pytest.raises(DatabaseDamagedError, match="is gone"):
            early.submit(NewJob(A, "train", {}))
        assert not workspace.database.exists()
        with Ledger.open(workspace) as late:
            assert late.rebuilt is not None
            assert everything(late) == before
        assert everything(early) == before, "and who had the old one open goes on with the new one"


def requests(workspace, count):
    """Jobs as commands queue them, with run folders."""
    for number in range(count):
        asked = JobRequest(workspace, A, "train", {"model": "m-a", "n": number}, "heavy")
        with asked.submit(JobOptions(priority=number % 2, attempts=1 + number)) as job:
            yield job.job


def lose(workspace):
    shutil.rmtree(workspace.ledger)
    for path in workspace.root.glob("treadle.db*"):
        path.unlink()


def test_without_database_and_journal_the_runs_tell_what_waited_and_nothing_starts_by_itself(workspace):
    first, second, done, stopped = requests(workspace, 4)
    RunFolder(workspace.runs / done.run).write_result({"outcome": "done", "value": {}})
    jobs_stop(workspace, stopped.id)
    before = read_from(workspace)
    lose(workspace)
    with Ledger.open(workspace) as ledger:
        assert [job.run for job in ledger.jobs()] == [second.run, first.run], "the more urgent one is before the other"
        for old, new in zip((second, first), ledger.jobs(), strict=True):
            assert (new.payload, new.lane, new.priority, new.max_attempts) == (
                old.payload,
                old.lane,
                old.priority,
                old.max_attempts,
            )
        assert ledger.work.claim(ME, {"heavy": 9}) is None
        ledger.resume(A)
        assert ledger.work.claim(ME, {"heavy": 9}).job.run == second.run
    assert read_from(workspace) == before, "no run folder was touched"
    with Ledger.open(workspace) as ledger:
        assert len(ledger.jobs()) == 2, "they are found once"


def test_a_kill_while_the_runs_are_read_is_made_up_for_by_the_next_command(workspace):
    (job,) = requests(workspace, 1)
    lose(workspace)
    assert found_runs.expect(workspace)
    Ledger(*open_database(workspace)).close()  # the database is there, and empty, when the process is killed
    with Ledger.open(workspace) as ledger:
        assert [found.run for found in ledger.jobs()] == [job.run]
    assert not found_runs.expect(workspace)


def test_a_new_workspace_expects_nothing_of_its_runs(workspace):
    assert not found_runs.expect(workspace)
    (job,) = requests(workspace, 1)
    with Ledger.open(workspace) as ledger:
        assert [found.id for found in ledger.jobs()] == [job.id]
        assert ledger.queue(A).paused is None


def read_from(workspace):
    return {path: path.read_bytes() for path in workspace.runs.rglob("*") if path.is_file()}


def test_a_backup_waits_for_the_transaction_that_is_being_written(workspace):
    """Else its lines would stand in a journal that the copy is thought to hold already."""
    made = []

    def back_up():
        with Ledger.open(workspace) as other:
            made.append(other.backup(0))

    with Ledger.open(workspace) as ledger:
        ledger.submit(NewJob(A, "train", {"n": 1}))
        thread = threading.Thread(target=back_up)
        with ledger.database.transaction() as transaction:
            (job,) = submit(transaction, [NewJob(A, "train", {"n": 2})])
            thread.start()
            thread.join(0.3)
            assert [path.name for path in workspace.ledger.glob("journal-*")] == ["journal-000001.jsonl"]
        thread.join(60)
    garbage(workspace.database)
    with Ledger.open(workspace) as ledger:
        assert ledger.rebuilt.backup == made[0].name
        assert ledger.get(job.id).payload == {"n": 2}
