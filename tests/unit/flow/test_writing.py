"""Several writers at once, real processes: nothing is lost, nothing is overwritten."""

import signal
import subprocess
import sys
import time

import pytest

from treadle.flow import verbs
from treadle.flow.draft import Draft
from treadle.flow.folder import FlowFolder
from treadle.flow.writing import Change, ConflictError, carry_out

ADD = """
import sys
from pathlib import Path
from treadle.flow.folder import FlowFolder
from treadle.flow.verbs import add, perform
for number in range({count}):
    perform(FlowFolder(Path(sys.argv[1])), lambda draft: add(draft, f"{{sys.argv[2]}}-{{number}}"))
"""


def start(root, name, count):
    return subprocess.Popen([sys.executable, "-c", ADD.format(count=count), str(root), name])


def test_four_writers_lose_no_task(notes):
    writers = [start(notes.folder.root, f"w{number}", 10) for number in range(4)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    titles = [task.title for page in notes.folder.task_pages() for task in page.tasks]
    assert sorted(titles) == sorted(f"w{writer}-{number}" for writer in range(4) for number in range(10))


def test_a_writer_that_is_killed_leaves_a_whole_file(notes):
    for delay in (0.15, 0.2, 0.25, 0.3):
        writer = start(notes.folder.root, f"k{delay}", 500)
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        text = notes.read()
        assert text.startswith("# Tasks\n")
        assert text.endswith("## Log\n")
    notes.do(verbs.add, "after")  # the lock went with the process
    assert "- [ ] after\n" in notes.read()


def test_an_editor_that_is_faster_keeps_its_words_and_the_edit_is_planned_anew(notes):
    path = notes.folder.tasks_file
    tries = []

    def plan():
        draft = Draft(notes.folder)
        verbs.add(draft, "ours")
        if len(tries) < 2:  # an editor saves between our reading and our writing
            path.write_text(path.read_text() + f"- [ ] theirs {len(tries)}\n")
        tries.append(1)
        return draft.changes()

    carry_out(notes.folder.root, plan)
    text = notes.read()
    assert len(tries) == 3
    assert all(row in text for row in ("- [ ] ours\n", "- [ ] theirs 0\n", "- [ ] theirs 1\n"))


def test_the_loser_is_kept_as_a_patch_that_applies(notes):
    path = notes.folder.tasks_file

    def plan():
        draft = Draft(notes.folder)
        verbs.add(draft, "ours")
        path.write_text(path.read_text() + "\nmore\n")
        return draft.changes()

    with pytest.raises(ConflictError, match="nothing was overwritten"):
        carry_out(notes.folder.root, plan)
    assert notes.read().count("more") == 5
    assert "ours" not in notes.read()
    (patch,) = (notes.folder.root / ".conflicts").glob("*.patch")
    done = subprocess.run(["patch", "-p1", "-d", notes.folder.root, "-i", patch], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "- [ ] ours\n" in notes.read()


def test_permissions_and_links_are_kept(notes, tmp_path):
    real = tmp_path / "elsewhere.md"
    real.write_text("## Active\n")
    real.chmod(0o640)
    path = notes.folder.tasks_file
    path.unlink()
    path.symlink_to(real)
    notes.do(verbs.add, "a")
    assert path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "- [ ] a\n" in real.read_text()


def test_a_dry_run_writes_nothing_and_shows_the_diff(notes):
    before = notes.read()
    _, changes = verbs.perform(notes.folder, lambda draft: verbs.add(draft, "a"), dry_run=True)
    assert notes.read() == before
    diff = changes[0].patch(notes.folder.root)
    assert diff.startswith("--- a/active/tasks.md\n+++ b/active/tasks.md\n@@ ")
    assert "+- [ ] a\n" in diff


def test_a_diff_of_bytes_that_are_no_text_can_be_printed(notes):
    change = Change(notes.folder.root / "x.md", b"a\xff\n", b"b\xff")
    assert change.patch(notes.folder.root).encode()


def test_a_file_that_is_made_twice_is_not_overwritten(tmp_path):
    folder = FlowFolder(tmp_path)
    path = tmp_path / "new.md"

    def plan():
        change = Change(path, None, b"ours\n")
        path.write_bytes(b"theirs\n")
        return [change]

    with pytest.raises(ConflictError):
        carry_out(folder.root, plan)
    assert path.read_bytes() == b"theirs\n"
