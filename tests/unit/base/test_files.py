import os
import signal
import subprocess
import sys
import time

import pytest

from treadle.base.errors import DataError, ResourceError
from treadle.base.files import locked, new_file, new_folder, read_json, remove_leftovers, write_bytes, write_json


def test_a_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})
    write_json(path, {"b": [2.5, None, "é"]})
    assert read_json(path) == {"b": [2.5, None, "é"]}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_an_interrupted_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "x"
    write_bytes(path, b"old")
    with pytest.raises(TypeError):
        write_bytes(path, 7)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_new_folder_appears_only_when_it_is_whole(tmp_path):
    final = tmp_path / "thing"
    with pytest.raises(RuntimeError), new_folder(final) as folder:
        (folder / "part").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(final) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "part").write_text("whole")
        assert not final.exists()
    assert (final / "sub" / "part").read_text() == "whole"


def test_a_killed_writer_leaves_only_what_the_next_one_can_remove(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from treadle.base.files import new_folder\n"
        f"with new_folder(Path({str(tmp_path)!r}) / 'thing') as f:\n"
        "    (f / 'part').write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        process.kill()
    assert not (tmp_path / "thing").exists()
    assert len(remove_leftovers(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_exclusive_and_dies_with_its_process(tmp_path):
    path = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from treadle.base.files import locked\n"
        f"with locked(Path({str(path)!r})):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    start = time.monotonic()
    with locked(path, wait=False):
        assert time.monotonic() - start < 5


def test_a_full_disk_and_a_forbidden_folder_are_named():
    # The two kernel devices below exist on every Linux: one is full, the other takes no files.
    with pytest.raises(ResourceError, match="No space left"):
        from pathlib import Path

        from treadle.base.files import disk_errors

        with disk_errors(Path("/dev/full")), Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")
    with pytest.raises((ResourceError, FileNotFoundError)):
        write_bytes(Path("/proc/treadle/x"), b"x")


def test_a_missing_or_broken_json_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.json is missing"):
        read_json(tmp_path / "gone.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataError, match=r"x\.json is not valid JSON"):
        read_json(tmp_path / "x.json")


def test_a_new_file_appears_at_the_end_or_not_at_all(tmp_path):
    with new_file(tmp_path / "deep" / "a.bin") as file:
        file.write(b"whole")
        assert not (tmp_path / "deep" / "a.bin").exists()
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"whole"
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "b[1].bin") as file:
        file.write(b"half" * (1 // 0))
    assert not list(tmp_path.glob("*b*"))


def test_a_new_file_clears_away_what_a_writer_left_that_was_killed_long_ago(tmp_path):
    old, fresh, other = (tmp_path / name for name in (".a[1].x.tmp", ".a[1].y.tmp", ".a1.x.tmp"))
    for path in (old, fresh, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (1, 1))
    with new_file(tmp_path / "a[1]") as file:
        file.write(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a1.x.tmp", ".a[1].y.tmp", "a[1]"]
