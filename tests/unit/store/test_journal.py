import os
import resource
import shutil
import signal
import subprocess
import sys

from treadle.store.journal import Journal, merged


def test_lines_are_read_in_the_order_in_which_they_were_written(tmp_path):
    journal = Journal(tmp_path / "ledger")
    journal.append([{"table": "job", "id": 1, "text": "ü\n"}], sync=True)
    assert journal.begin_next() == 2
    Journal(tmp_path / "ledger").append([{"table": "job", "id": 2}], sync=False)
    journal.append([{"table": "job", "id": 3}], sync=False)
    assert [record["id"] for record in journal.read(0)] == [1, 2, 3]
    assert [record["id"] for record in journal.read(2)] == [2, 3]
    journal.forget(2)
    assert journal.numbers() == [2]


def test_a_line_that_a_kill_cut_off_costs_only_itself(tmp_path):
    journal = Journal(tmp_path)
    journal.append([{"table": "job", "id": 1}], sync=True)
    journal.close()
    path = tmp_path / "journal-000001.jsonl"
    path.write_bytes(path.read_bytes() + b'{"table": "job", "id"')
    journal.append([{"table": "job", "id": 3}], sync=True)
    assert [record["id"] for record in journal.read(0)] == [1, 3]


def test_a_folder_that_was_removed_is_made_again(tmp_path):
    journal = Journal(tmp_path / "ledger")
    journal.append([{"table": "job", "id": 1}], sync=True)
    shutil.rmtree(tmp_path / "ledger")
    journal.append([{"table": "job", "id": 2}], sync=True)
    assert [record["id"] for record in journal.read(0)] == [2]


def test_the_latest_word_on_each_field_counts():
    tables = merged(
        [
            {"table": "job", "id": 1, "state": "ready", "payload": "{}"},
            {"table": "schedule", "id": 1, "name": "nightly"},
            {"table": "job", "id": 1, "state": "done"},
            {"table": "schedule", "id": 1, "gone": True},
        ]
    )
    assert tables["job"] == {1: {"id": 1, "state": "done", "payload": "{}"}}
    assert tables["schedule"] == {1: {"id": 1, "gone": True}}


def test_a_full_disk_leaves_no_half_line(tmp_path):
    """A limit on the size of files is met in the middle of a line."""
    code = (
        "import sys; from pathlib import Path; from treadle.store.journal import Journal\n"
        "from treadle.base.errors import ResourceError\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.append([{'table': 'job', 'id': 1}], sync=True)\n"
        "try: journal.append([{'table': 'job', 'id': 2, 'text': 'x' * 3000}], sync=True)\n"
        "except ResourceError as error: print('refused', 'space' in str(error))\n"
        "journal.append([{'table': 'job', 'id': 3}], sync=True)\n"
    )

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-B", "-c", code, tmp_path], preexec_fn=limit, capture_output=True, text=True, env=os.environ
    )
    assert (done.returncode, done.stdout) == (0, "refused True\n"), done.stderr
    assert [record["id"] for record in Journal(tmp_path).read(0)] == [1, 3]
    assert b"\n\n" not in (tmp_path / "journal-000001.jsonl").read_bytes()
