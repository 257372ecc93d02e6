"""Reading in processes of their own: no file takes the caller down or holds it up."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from treadle.data.document import REASONS, Document, Refusal
from treadle.data.readers.catalog import READERS, TEXT_EXTENSIONS
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.sandbox import Limits, Sandbox, Work, read_files

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = "<a " * 300_000
"""A page whose parsing takes the square of its length."""
MAGIC = [
    b"%PDF-1.4\n",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"PAR1",
    b"<html>",
]
MAGIC += [b"<?xml version='1.0'?>", b"From x 1999\n", b"[{", b"\0" * 257 + b"ustar\0", b"\xff\xfe", b""]


def shown(items: list[Document | Refusal]) -> list[str]:
    return [item.text if isinstance(item, Document) else item.reason for item in items]


def test_no_bytes_under_any_name_take_the_parent_down(tmp_path: Path) -> None:
    chance = random.Random(7)
    names = [*sorted(set(READERS.names()) - TEXT_EXTENSIONS), ".txt", ".bin"]
    files = []
    for number in range(260):
        body = chance.randbytes(chance.randrange(400))
        if number % 3 == 0:
            body = bytes(chance.choices(b'<>&;{}[]",:ab01 \n\\u', k=chance.randrange(300)))
        path = tmp_path / f"{number:03d}{names[number % len(names)]}"
        path.write_bytes(MAGIC[number // len(names) % len(MAGIC)] + body)
        files.append(path)
    found = list(read_files(files, Work()))
    assert {item.source.partition("#")[0].partition("!/")[0] for item in found} == {str(path) for path in files}
    assert all(isinstance(item, Document) or item.reason in REASONS for item in found)
    assert not [item for item in found if isinstance(item, Refusal) and item.reason == "crashed"]


def test_a_file_that_hangs_is_refused_and_the_batch_goes_on(tmp_path: Path) -> None:
    for name, content in {"a.html": "<html>one", "b.html": ENDLESS, "c.html": "<html>three"}.items():
        (tmp_path / name).write_text(content)
    with Sandbox(Work(limits=Limits(seconds=2))) as sandbox:
        found = list(sandbox.read(sorted(tmp_path.iterdir())))
        assert shown(found) == ["one", "timed_out", "three"]
        assert sandbox._process.restarts == 1
        assert "made no progress for 2 s" in found[1].detail
        assert shown(list(sandbox.read([tmp_path / "a.html"]))) == ["one"]


def test_a_reader_that_dies_costs_only_the_file_that_it_died_of(tmp_path: Path) -> None:
    for name, content in {"a.html": "<html>one", "b.html": ENDLESS, "c.html": "<html>three"}.items():
        (tmp_path / name).write_text(content)
    sandbox = Sandbox(Work())
    with sandbox:
        sandbox.submit(sorted(tmp_path.iterdir()))
        process = sandbox._process

        def kill_when_it_is_busy() -> None:
            while not sandbox._spool.found.read_bytes().count(b"\n"):
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(process.id, signal.SIGKILL)

        killer = threading.Thread(target=kill_when_it_is_busy)
        killer.start()
        found = list(sandbox.results())
        killer.join()
    assert shown(found) == ["one", "crashed", "three"]
    assert "signal 9" in found[1].detail


def test_a_reader_has_little_memory(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["' + "x" * 120_000_000 + '"]')
    (tmp_path / "b.json").write_text('{"text": "small"}')
    with Sandbox(Work(limits=Limits(memory=220 << 20))) as sandbox:
        found = list(sandbox.read([tmp_path / "a.json", tmp_path / "b.json"]))
    assert shown(found) in (["too_large", "small"], ["crashed", "small"])


def test_several_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    files: list[Path | Refusal] = []
    for number in range(150):
        path = tmp_path / f"{number:03d}.txt"
        path.write_text(f"document {number} " * (1 + number % 7))
        files.append(path)
    files[70] = Refusal("somewhere", "missing", "?")
    one, two = (shown(list(read_files(files, Work(), processes))) for processes in (1, 2))
    assert one == two
    assert one[70] == "missing"
    assert len(one) == 150


def test_a_document_outlives_the_process_that_read_it(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html>page")
    with Sandbox(Work()) as sandbox:
        (item,) = list(sandbox.read([tmp_path / "a.html"]))
    assert isinstance(item, Document)
    assert (item.text, item.text) == ("page", "page")
    assert len(item.metadata["file"]) == 64


def test_a_process_whose_parent_has_died_does_nothing() -> None:
    import json
    import subprocess
    import sys

    order = json.dumps({"parent": 1, "memory": 1 << 30, "settings": {}, "then": None, "then_settings": None})
    done = subprocess.run(
        [sys.executable, "-m", "treadle.data.readers.sandboxed"], input=order + "\n", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["lone\udcff.txt", "new\nline.txt"])
def test_any_name_of_a_file_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("text")
    with Sandbox(Work()) as sandbox:
        (item,) = list(sandbox.read([path]))
    assert isinstance(item, Document)
    assert item.text == "text"


def test_ten_megabytes_on_one_line_of_a_page_are_read(tmp_path: Path) -> None:
    (tmp_path / "line.html").write_text("<html><body><p>" + "word " * 2_000_000)
    with Sandbox(Work(ReadSettings(html="all"))) as sandbox:
        (item,) = list(sandbox.read([tmp_path / "line.html"]))
    assert isinstance(item, Document)
    assert item.size == 9_999_999
