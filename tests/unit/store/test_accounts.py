"""Accounts in their file: names, levels, the last admin, damage, and writers at the same time."""

import threading

import pytest

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.files import locked
from treadle.store.accounts import AccountsFile, hash_password, verify_password
from treadle.store.workspace import WorkspaceFolder, create_workspace

GOOD = "correct horse"


@pytest.fixture
def accounts(quick_folder):
    return AccountsFile(create_workspace(quick_folder / "lab"))


def test_the_first_user_is_an_admin_and_one_always_stays(accounts):
    with pytest.raises(UsageError, match="first user must be an admin"):
        accounts.add_user("ben", "viewer", GOOD)
    accounts.add_user("ada", "admin", GOOD)
    accounts.add_user("ben", "viewer", GOOD)
    with pytest.raises(UsageError, match="Nobody would be admin"):
        accounts.remove_user("ada")
    with pytest.raises(UsageError, match="Nobody would be admin"):
        accounts.change_user("ada", level="operator")
    assert accounts.read().users["ada"].level == "admin"
    accounts.change_user("ben", level="admin")
    accounts.remove_user("ada")
    accounts.remove_user("ben")
    assert accounts.read().users == {}, "without the last user the workspace is open to its machine again"


@pytest.mark.parametrize("name", ["", "Ada", "a b", "-a", "a" * 40, "ä", "a/b", "nobody"])
def test_names_that_would_confuse_are_refused(accounts, name):
    with pytest.raises(UsageError, match="no name for an account"):
        accounts.add_user(name, "admin", GOOD)


def test_a_short_password_and_a_taken_name_are_refused(accounts):
    with pytest.raises(UsageError, match="at least 8"):
        accounts.add_user("ada", "admin", "1234567")
    accounts.add_user("ada", "admin", GOOD)
    with pytest.raises(UsageError, match="treadle user password ada"):
        accounts.add_user("ada", "admin", GOOD)
    with pytest.raises(NotFoundError, match="Did you mean `ada`"):
        accounts.change_user("adaa", password=GOOD)


def test_a_password_is_known_by_its_hash_only():
    hashed = hash_password(GOOD)
    assert verify_password(hashed, GOOD)
    assert not verify_password(hashed, GOOD + "x")
    assert not verify_password("not a hash", GOOD)


def test_a_key_is_found_by_its_token(accounts):
    key, token = accounts.add_key("notebook", "operator")
    assert accounts.read().key_of(token) == key
    assert accounts.read().key_of(token[:-1]) is None
    with pytest.raises(UsageError, match="treadle key remove notebook"):
        accounts.add_key("notebook", "viewer")
    accounts.remove_key("notebook")
    assert accounts.read().key_of(token) is None


def test_a_change_elsewhere_is_seen_and_a_damaged_file_is_named(quick_folder, accounts):
    other = AccountsFile(WorkspaceFolder(quick_folder / "lab"))
    assert other.read().keys == {}
    accounts.add_key("one", "viewer")
    assert set(other.read().keys) == {"one"}
    accounts.path.write_text('{"users": {"ada": {}}, "keys": {}}')
    with pytest.raises(DataError, match="restore it from a copy"):
        accounts.read()
    with pytest.raises(DataError) as kept:
        accounts.add_key("two", "viewer")
    with locked(accounts.path.with_name("lock"), wait=False):
        assert kept.value, "who failed to change it holds no lock, even while the error is looked at"


def test_writers_at_the_same_time_lose_nothing(accounts):
    threads = [threading.Thread(target=accounts.add_key, args=(f"key{number}", "viewer")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accounts.read().keys) == 8
