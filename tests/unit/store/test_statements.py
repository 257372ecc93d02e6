import re
from pathlib import Path

from treadle.store import statements as module
from treadle.store.statements import for_driver, migrations, statements

ROOM = Path(module.__file__).parent


def test_both_databases_know_the_same_statements():
    assert statements("sqlite").keys() == statements("postgres").keys()


def test_every_statement_is_used_and_every_name_that_is_used_exists():
    source = "".join(path.read_text() for folder in ("jobs", "store") for path in (ROOM.parent / folder).rglob("*.py"))
    used = {name for name in statements("sqlite") if f'"{name}"' in source}
    assert used == set(statements("sqlite"))


def test_parameters_are_written_as_the_driver_wants_them():
    assert for_driver("SELECT :a, :b_c", "sqlite") == "SELECT :a, :b_c"
    assert for_driver("SELECT :a, x::text, '%'", "postgres") == "SELECT %(a)s, x::text, '%%'"
    assert "clock_timestamp()" in for_driver("SELECT :now", "postgres")


def test_migrations_are_numbered_without_gaps():
    assert list(migrations("sqlite")) == list(range(1, len(migrations("sqlite")) + 1))
    assert list(migrations("sqlite")) == list(migrations("postgres"))
    assert not re.search(r"\{\w+\}", "".join(migrations("postgres").values()))
