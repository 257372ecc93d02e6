import pytest

from treadle.base.errors import NotFoundError, UsageError
from treadle.flow.roles import TEMPLATE, Role, matches, parse_roles, read_roles


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("docs/**", "docs/a.md", True),
        ("docs/**", "docs/deep/er/a.md", True),
        ("docs/**", "docs2/a.md", False),
        ("docs/**", "src/docs/a.md", False),
        ("docs/", "docs/deep/a.md", True),
        ("docs/*.md", "docs/a.md", True),
        ("docs/*.md", "docs/deep/a.md", False),
        ("**/*.md", "a.md", True),
        ("**/*.md", "x/y/a.md", True),
        ("src/**/test_?.py", "src/test_a.py", True),
        ("src/**/test_?.py", "src/x/test_ab.py", False),
        ("README.md", "README.md", True),
        ("README.md", "READMExmd", False),
        ("a[1].md", "a[1].md", True),
        ("**", "anything/at all\n.txt", True),
    ],
)
def test_a_pattern_fits_paths_as_it_says(pattern, path, fits):
    assert matches(pattern, path) is fits


def test_the_template_has_roles_that_keep_apart():
    roles = parse_roles(TEMPLATE.encode(), "template")
    assert list(roles.roles) == ["reader", "docs", "tester", "coder"]
    assert roles.get("docs").may_write("docs/guide/a.md")
    assert not roles.get("docs").may_write("src/a.py")
    assert not roles.get("coder").may_write("tests/test_a.py")
    assert not any(role.may_write("flow/system/roles.toml") for role in roles.roles.values())
    assert not any(role.may_commit for role in roles.roles.values())
    assert roles.is_test("tests/unit/test_a.py")


def test_a_read_only_role_writes_nothing_whatever_its_paths_say():
    assert not Role("x", writes=("**",), read_only=True).may_write("a")


@pytest.mark.parametrize(
    ("patterns", "operation", "may"),
    [
        ((), "delete", True),
        (("list",), "list", True),
        (("list",), "delete", False),
        (("flow.*",), "flow.list", True),
        (("flow.*",), "flow.ci.list", True),
        (("flow.*",), "flower.list", False),
        (("*",), "flow.ci.run", True),
    ],
)
def test_a_role_is_offered_the_operations_of_its_patterns(patterns, operation, may):
    assert Role("x", operations=patterns).may_call(operation, reads=False) is may
    assert not Role("x", operations=patterns, read_only=True).may_call(operation, reads=False)
    assert Role("x", operations=patterns, read_only=True).may_call(operation, reads=True) is may


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = 2", "format must be 1"),
        ("format = 1\n[roles.docs]\nwrite = ['a']", "unknown key `roles.docs.write`. Did you mean `writes`?"),
        ("format = 1\nrole = 3", "unknown key `role`"),
        ("format = 1\n[roles.docs]\nwrites = 'docs/**'", "roles.docs.writes must be a list of texts"),
        ("format = 1\n[roles.docs]\nread_only = 'yes'", "roles.docs.read_only must be true or false"),
        ("format = 1\n[roles.docs]\ngates = ['no-mock']", "unknown gate 'no-mock'; known: no-mocks, test-first"),
        ("format = 1\n[roles.docs]\nwrites = ['../x']", "leads out of the tree"),
        ("format = 1\n[roles.docs]\npurpose = 3", "roles.docs.purpose must be a text"),
        ("format = 1\n[roles]\ndocs = 3", "write each role as a table"),
        ("format = 1\n[roles.'a b']", "cannot be the name of a role"),
        ("format = 1\ntest_command = ''", "test_command must be a text"),
        ("format 1", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(text, said):
    with pytest.raises(UsageError) as refused:
        parse_roles(text.encode(), "roles.toml")
    assert said in str(refused.value)


def test_a_role_knows_the_file_that_grants_it_and_may_not_write_it(tmp_path):
    (tmp_path / "docs").mkdir()
    file = tmp_path / "docs" / "roles.toml"
    file.write_text("format = 1\n[roles.docs]\nwrites = ['docs/**']\n")
    role = read_roles(tmp_path, file).get("docs")
    assert (role.home, role.may_write("docs/roles.toml"), role.may_write("docs/a.md")) == (
        "docs/roles.toml",
        False,
        True,
    )
    with pytest.raises(UsageError, match=r"unknown key `roles.x.home`"):
        parse_roles(b"format = 1\n[roles.x]\nhome = 'a'", "roles.toml")


def test_an_unknown_role_and_a_missing_file_say_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match="Did you mean `docs`"):
        parse_roles(TEMPLATE.encode(), "roles.toml").get("doc")
    with pytest.raises(NotFoundError, match="treadle flow guard init"):
        read_roles(tmp_path)
