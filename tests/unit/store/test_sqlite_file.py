import contextlib
import re
import sqlite3
import threading
from pathlib import Path

import pytest

from treadle.base.errors import DataError, NotFoundError, NotReadyError
from treadle.store import sqlite_file as module
from treadle.store.sqlite_file import SqliteFile, statements_of, steps_of

ROOM = Path(module.__file__).parents[1]


def test_every_statement_of_a_crawl_is_used_and_every_name_that_is_used_exists():
    source = (ROOM / "data" / "crawl" / "frontier.py").read_text()
    used = set(re.findall(r"""_file\.(?:rows|row|run|many)\(\s*"(\w+)\"""", source))
    assert used == set(statements_of("crawl"))


def test_a_transaction_happens_as_a_whole_or_not_at_all(tmp_path):
    with SqliteFile(tmp_path / "f.db", "crawl") as file:
        with pytest.raises(KeyError), file.transaction():
            file.run("set_fact", name="a", value="1")
            raise KeyError
        assert file.row("fact", name="a") is None
        with file.transaction():
            file.many("set_fact", [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}])
        with SqliteFile(tmp_path / "f.db", "crawl", read_only=True) as reader:
            assert reader.row("fact", name="a") == {"value": "2"}


def test_who_makes_a_file_waits_for_another_process_that_does(tmp_path):
    """SQLite says at once that a file is locked that cannot turn to its write-ahead log yet."""
    with contextlib.closing(sqlite3.connect(tmp_path / "f.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        opened = []
        opener = threading.Thread(target=lambda: opened.append(SqliteFile(tmp_path / "f.db", "crawl").close()))
        opener.start()
        opener.join(0.2)
        assert opener.is_alive()
        holder.execute("ROLLBACK")
    opener.join(20)
    assert opened == [None]


def test_a_file_of_a_newer_treadle_is_left_alone(tmp_path):
    SqliteFile(tmp_path / "f.db", "crawl").close()
    with sqlite3.connect(tmp_path / "f.db") as connection:
        connection.execute(f"PRAGMA user_version = {max(steps_of('crawl')) + 1}")
    connection.close()
    with pytest.raises(NotReadyError, match="newer Treadle"):
        SqliteFile(tmp_path / "f.db", "crawl")


def test_what_is_no_database_is_told_with_the_remedy(tmp_path):
    (tmp_path / "f.db").write_bytes(b"this is not a database at all, whatever it is called" * 50)
    with pytest.raises(DataError, match="damaged"):
        SqliteFile(tmp_path / "f.db", "crawl")


def test_who_only_reads_makes_nothing(tmp_path):
    with pytest.raises(Exception, match=r"Cannot open|unable to open"):
        SqliteFile(tmp_path / "f.db", "crawl", read_only=True)
    assert not (tmp_path / "f.db").exists()
    (tmp_path / "f.db").touch()
    with pytest.raises(NotFoundError, match="only just being made"):
        SqliteFile(tmp_path / "f.db", "crawl", read_only=True)


def test_no_statement_that_is_needed_for_each_page_reads_the_whole_table(tmp_path):
    scanned = set()
    SqliteFile(tmp_path / "f.db", "crawl").close()
    with sqlite3.connect(tmp_path / "f.db") as connection:
        for name, text in statements_of("crawl").items():
            values = dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]+)", text), "[1]")
            plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
            if any(re.match(r"SCAN page\b(?! USING)", step[3]) for step in plan):
                scanned.add(name)
    connection.close()
    # Once for each crawl or round, or for those who look on.
    once = {"ask_again", "ask_tombstones_again", "undecided", "counts", "outcomes", "kept_pages", "last_place"}
    assert scanned <= once | {"bytes_kept", "export", "failures", "own_copies", "pages_asked"}
