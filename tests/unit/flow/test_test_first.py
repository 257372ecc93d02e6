"""The test-first gate on real commits, with real runs of pytest."""

import subprocess
import sys

import pytest

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.flow.gates_test_first import changed_later, check_test_first, definitions, new_tests
from treadle.flow.guard_check import check_range
from treadle.flow.guard_diff import Tree
from treadle.flow.roles import read_roles

ROLES = 'format = 1\n[roles.all]\nwrites = ["**"]\ngates = ["no-mocks", "test-first"]\n'
OLD = "from app import one\n\ndef test_one():\n    assert one() == 1\n"
NEW = OLD + "\n\ndef test_two():\n    from app import two\n    assert two() == LIMIT\n\nLIMIT = 2\n"
CODE = "def one():\n    return 1\n"
CODE_WITH_TWO = CODE + "\ndef two():\n    return 2\n"
COMMAND = f"env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest"


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def commit(tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "user.email", "someone@example.org")
    git(tmp_path, "config", "user.name", "Someone")

    def commit(**files):
        for name, text in files.items():
            path = tmp_path / {"code": "src/app/__init__.py", "roles": "flow/system/roles.toml"}.get(
                name, f"tests/{name}.py"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", "x")

    commit(code=CODE, test_app=OLD, roles=ROLES)
    return commit


def judged(folder, range_, command=COMMAND):
    answer = check_test_first(range_, command, folder, None)
    return answer["tests"], [finding["reason"] for finding in answer["findings"]], answer["exit_code"]


def changed_later_than(folder, commit):
    """The reasons of the second half of the gate, which runs nothing."""
    tree = Tree(folder)
    roles = read_roles(folder)
    return [finding.reason for finding in changed_later(tree, commit, "HEAD", new_tests(tree, roles, commit))]


def test_a_test_that_fails_before_the_code_and_stays_is_right(tmp_path, commit):
    commit(test_app=NEW)
    commit(code=CODE_WITH_TWO)
    assert judged(tmp_path, "HEAD~2..HEAD") == (["tests/test_app.py::test_two: failed"], [], 0)
    assert len(git(tmp_path, "worktree", "list").splitlines()) == 1
    assert git(tmp_path, "status", "--porcelain") == ""


def test_what_is_bent_is_found_by_the_whole_gate_too(tmp_path, commit):
    commit(test_app=NEW)
    commit(code=CODE_WITH_TWO, test_app=NEW.replace("two() == LIMIT", "True"))
    assert judged(tmp_path, "HEAD~2..HEAD")[1:] == (["`test_two` changed after the commit of its tests"], 3)


def test_a_test_and_its_code_in_one_commit_are_right_too(tmp_path, commit):
    commit(test_app="from app import two\n" + NEW, code=CODE_WITH_TWO)  # the file cannot even be imported before
    assert judged(tmp_path, "HEAD") == (["tests/test_app.py::test_two: failed"], [], 0)


def test_a_test_that_passes_before_the_code_is_a_finding(tmp_path, commit):
    commit(test_app=NEW.replace("assert two() == LIMIT", "pass").replace("    from app import two\n", ""))
    tests, reasons, code = judged(tmp_path, "HEAD")
    assert tests == ["tests/test_app.py::test_two: passed"]
    assert reasons == ["the new test test_two passed on the tree before its commit; it must fail there"]
    assert code == 3


def test_a_test_that_is_skipped_proves_nothing(tmp_path, commit):
    skipped = NEW.replace("def test_two", "@pytest.mark.skip\ndef test_two")
    commit(test_app="import pytest\n" + skipped)
    assert judged(tmp_path, "HEAD")[0] == ["tests/test_app.py::test_two: was skipped"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("two() == LIMIT", "True"), "`test_two` changed after the commit of its tests"),
        (lambda text: text.replace("LIMIT = 2", "LIMIT = 3"), "`LIMIT` changed after the commit of its tests"),
        (lambda text: text.replace("def test_two", "def old_two"), "`test_two` is gone after the commit of its tests"),
        (lambda text: text.replace("\n\ndef test_two", "\n\n@pytest.mark.skip\ndef test_two"), "`test_two` changed"),
    ],
)
def test_a_test_that_is_bent_to_the_code_is_a_finding(tmp_path, commit, change, said):
    commit(test_app=NEW)
    commit(code=CODE_WITH_TWO, test_app=change(NEW))
    assert any(reason.startswith(said) for reason in changed_later_than(tmp_path, "HEAD~1"))


def test_layout_comments_and_further_tests_may_change(tmp_path, commit):
    commit(test_app=NEW)
    more = "# a remark\n" + NEW.replace("\n\n\n", "\n\n") + "\ndef helper():\n    return 1\n"
    commit(code=CODE_WITH_TWO, test_app=more)
    assert changed_later_than(tmp_path, "HEAD~1") == []


def test_a_conftest_that_is_bent_is_a_finding(tmp_path, commit):
    commit(test_app=NEW, conftest="import pytest\n\n@pytest.fixture\ndef two():\n    return 2\n")
    commit(conftest="import pytest\n\n@pytest.fixture\ndef two():\n    return 3\n")
    assert changed_later_than(tmp_path, "HEAD~1") == ["`two` changed after the commit of its tests"]


def test_parametrised_tests_and_classes_count_as_a_whole(tmp_path, commit):
    text = (
        "import pytest\n\nclass TestIt:\n    @pytest.mark.parametrize('n', [1, 2])\n    def test_n(self, n):\n"
        "        assert n == 1\n"
    )
    commit(test_class=text)
    assert judged(tmp_path, "HEAD")[0] == ["tests/test_class.py::TestIt::test_n: failed or passed"]


def test_a_range_without_new_tests_runs_nothing(tmp_path, commit):
    commit(code=CODE_WITH_TWO)
    assert judged(tmp_path, "HEAD", "no-such-command") == ([], [], 0)


def test_a_command_that_cannot_run_is_said(tmp_path, commit):
    commit(test_app=NEW)
    with pytest.raises(UsageError, match="no-such-command was not found"):
        judged(tmp_path, "HEAD", "no-such-command")
    with pytest.raises(NotReadyError, match="could not be run"):
        judged(tmp_path, "HEAD", f"{sys.executable} -c 1")
    assert len(git(tmp_path, "worktree", "list").splitlines()) == 1


def test_the_roles_of_the_base_count_and_must_be_there(tmp_path, commit):
    commit(roles=ROLES.replace("[roles.all]", "[roles.other]"))
    assert check_range("all", "HEAD", tmp_path, None)["findings"][0]["reason"] == "no role may change the roles"
    git(tmp_path, "rm", "-q", "flow/system/roles.toml")
    git(tmp_path, "commit", "-q", "-m", "gone")
    commit(code=CODE_WITH_TWO)
    with pytest.raises(NotFoundError, match="--roles FILE"):
        check_range("all", "HEAD", tmp_path, None)


def test_the_gates_of_a_role_are_checked_with_its_paths(tmp_path, commit):
    commit(test_app=OLD + "\n\ndef test_three():\n    from unittest import mock\n    import app\n    app.one = mock\n")
    reasons = [finding["reason"] for finding in check_range("all", "HEAD", tmp_path, None)["findings"]]
    assert "imports unittest.mock" in reasons
    assert "replaces app.one of the product" in reasons
    assert any("test_three passed on the tree before its commit" in reason for reason in reasons)


def test_definitions_are_compared_without_layout():
    assert definitions(b"def f( a ):\n  return  1 # x\n") == definitions(b"def f(a):\n    return 1\n")
    assert list(definitions(b"class A(B):\n    x = 1\n    def test_a(self): pass\n")) == [
        "class A",
        "A::x = ",
        "A::test_a",
    ]
    assert definitions(b"not python at all") == {}
