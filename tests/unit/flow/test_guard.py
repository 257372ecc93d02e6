"""The guard with real child processes, in real git trees."""

import subprocess
import sys

import pytest

from treadle.base.errors import NotFoundError, ResourceError, SettingsError, UsageError
from treadle.flow.guard import GuardRequest, run_guarded
from treadle.flow.guard_diff import Tree, check_changes
from treadle.flow.guard_landlock import landlock_version
from treadle.flow.roles import Role

needs_landlock = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
DOCS = Role("docs", writes=("docs/**", "README.md"))
FILES = {"docs/a.md": "a\n", "README.md": "r\n", "src/app.py": "x = 1\n", "flow/system/roles.toml": "format = 1\n"}


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "config", "user.email", "someone@example.org")
    git(root, "config", "user.name", "Someone")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return Tree(root)


@pytest.fixture
def run(tree, tmp_path):
    def run(script, role=DOCS, **options):
        request = GuardRequest(("sh", "-c", script), tree.root, output=tmp_path / "output", **options)
        outcome = run_guarded(role, tree, request)
        return outcome, (tmp_path / "output").read_text()

    return run


def reasons(outcome):
    return {finding.path: finding.reason for finding in outcome.findings}


ATTEMPTS = {
    "a write": "echo x > src/app.py",
    "an append": "echo x >> src/app.py",
    "a new file": "echo x > src/new.py",
    "a new folder": "mkdir src/new",
    "a removal": "rm -f src/app.py",
    "a rename out": "mv docs/a.md src/a.md",
    "a rename over": "mv -f docs/a.md src/app.py",
    "a hard link": "ln src/app.py docs/app.py",
    "a write through a link": "ln -s ../src/app.py docs/l && echo x > docs/l",
    "a truncation": "truncate -s 0 src/app.py",
    "a grandchild": "sh -c 'sh -c \"echo x > src/app.py\"'",
    "a process in the background": "(setsid sh -c 'sleep 0.1; echo x > src/app.py' &); sleep 0.4; false",
    "python": f'{sys.executable} -c \'open("src/app.py", "w")\'',
    "python by its own system calls": (f"{sys.executable} -c 'import os; os.truncate(\"src/app.py\", 0)'"),
    "git's index": "git add docs/a.md && false; touch docs/b; git add docs/b",
    "git's hooks": "echo x > .git/hooks/pre-commit",
    "git's settings": "git config core.hooksPath docs",
    "a commit": "git commit --allow-empty -m x",
    "a branch": "git branch other",
    "the roles": "echo x > flow/system/roles.toml",
    "a place outside the tree": "echo x > ../outside",
    "the home folder": "touch ~/.treadle-guard-was-here",
}


@needs_landlock
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_kernel_refuses_what_lies_outside_the_role(tree, run, tmp_path, attempt):
    outcome, _ = run(ATTEMPTS[attempt])
    assert outcome.layer.startswith("landlock ")
    assert outcome.exit_code != 0
    for name, text in FILES.items():
        if not name.startswith("docs/"):
            assert (tree.root / name).read_text() == text
    assert not (tree.root / "src/new.py").exists()
    assert not (tmp_path / "outside").exists()
    assert git(tree.root, "log", "--format=%s") == "first"
    assert git(tree.root, "branch", "--list").split() == ["*", git(tree.root, "branch", "--show-current")]
    assert not (tree.root / ".git/hooks/pre-commit").exists()


@needs_landlock
def test_a_role_works_freely_inside_its_paths(tree, run):
    script = (
        "echo b > docs/b.md && mkdir -p docs/deep/er && mv docs/b.md docs/deep/er/ && echo x >> docs/a.md"
        " && echo r2 > README.md && ln docs/a.md docs/c.md && rm docs/c.md && ls src > /dev/null"
        " && git status --short && git log --oneline && echo t > $TMPDIR/t && mktemp"
    )
    outcome, output = run(script)
    assert (outcome.exit_code, outcome.findings) == (0, []), output
    assert outcome.changed == ["README.md", "docs/a.md", "docs/deep/er/b.md"]


@needs_landlock
def test_the_guard_commits_what_a_role_may_not_commit_itself(tree, run):
    outcome, _ = run("echo b > docs/b.md; rm docs/a.md", message="Guide: b")
    assert outcome.commit == git(tree.root, "rev-parse", "HEAD")
    assert git(tree.root, "show", "--name-status", "--format=%B").split("\n") == [
        "Guide: b", "", "Treadle-Role: docs", "", "", "D\tdocs/a.md", "A\tdocs/b.md",
    ]  # fmt: skip


def test_the_guard_does_not_commit_what_somebody_had_begun(tree, run):
    (tree.root / "docs/a.md").write_text("begun by hand\n")
    (tree.root / "src/app.py").write_text("x = 2\n")
    outcome, _ = run("echo more >> docs/a.md", message="x")
    assert "had changes before the command" in reasons(outcome)["docs/a.md"]
    assert outcome.commit is None
    outcome, _ = run("echo b > docs/b.md", message="only b")
    assert git(tree.root, "show", "--name-only", "--format=") == "docs/b.md"
    assert (tree.root / "src/app.py").read_text() == "x = 2\n"


def test_nothing_is_committed_when_the_command_fails_or_changes_nothing(run):
    failed, _ = run("echo b > docs/b.md; exit 7", message="x")
    idle, _ = run("true", message="x")
    assert (failed.exit_code, failed.commit, idle.commit) == (7, None, None)
    assert "not committed: the command failed" in failed.notes
    assert "not committed: nothing of the role changed" in idle.notes


def test_a_hook_of_the_tree_does_not_run_in_the_guards_commit(tree, run, tmp_path):
    hook = tree.root / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    hook.chmod(0o755)
    outcome, _ = run("echo b > docs/b.md", message="b")
    assert outcome.commit
    assert not (tmp_path / "hook-ran").exists()


@needs_landlock
def test_a_role_without_new_files_changes_in_place_only(tree, run):
    editor = Role("editor", writes=("docs/**",), no_new_files=True)
    assert run("echo more >> docs/a.md", editor)[0].exit_code == 0
    assert run("echo b > docs/b.md", editor)[0].exit_code != 0
    assert run("rm docs/a.md", editor)[0].exit_code != 0
    assert [path.name for path in (tree.root / "docs").iterdir()] == ["a.md"]


@needs_landlock
def test_a_read_only_role_writes_nothing_but_its_scratch_folder(tree, run):
    reader = Role("reader", writes=("docs/**",), read_only=True)
    assert run("cat src/app.py && echo x > $TMPDIR/x", reader)[0].exit_code == 0
    assert run("echo x > docs/a.md", reader)[0].exit_code != 0


@needs_landlock
def test_a_role_starts_only_its_commands_at_any_depth(tree, run):
    narrow = Role("narrow", writes=("docs/**",), commands=("sh", "cat"))
    assert run("cat docs/a.md", narrow)[1] == "a\n"
    outcome, output = run("cp docs/a.md docs/b.md; /bin/ls", narrow)
    assert outcome.exit_code == 126
    assert output.count("Permission denied") == 2
    carried = f"cat {sys.executable} > docs/python; chmod +x docs/python; ./docs/python -c 1"
    assert run(carried, Role("carrier", writes=("docs/**",), commands=("sh", "cat", "chmod")))[0].exit_code == 126
    with pytest.raises(UsageError, match="may not start `ls`; it may start: sh, cat"):
        run_guarded(narrow, tree, GuardRequest(("ls",), tree.root))
    git_only = Role("g", commands=("git",))
    assert run_guarded(git_only, tree, GuardRequest(("git", "log", "-1", "--format="), tree.root)).exit_code == 0
    script = tree.root / "docs" / "s"
    script.write_text("#!/usr/bin/env cat\nshown\n")
    script.chmod(0o755)
    by_folder = Role("f", commands=(f"{tree.root}/docs/", "/usr/bin/env", "cat"))
    assert run_guarded(by_folder, tree, GuardRequest((str(script),), tree.root)).exit_code == 0


@needs_landlock
def test_a_pattern_that_holds_git_and_the_roles_leaves_them_out(tree, run):
    wide = Role("wide", writes=("**",))
    outcome, _ = run("echo 2 > src/app.py && echo n > src/n.py", wide)
    assert outcome.exit_code == 0
    assert any("nothing new can be made directly in it" in note for note in outcome.notes)
    for script in ("echo x > .git/config", "echo x > flow/system/roles.toml", "rm flow/system/roles.toml"):
        assert run(script, wide)[0].exit_code != 0


@needs_landlock
def test_roles_that_lie_elsewhere_are_kept_too(tree, run):
    elsewhere = Role("wide", writes=("docs/**",), home="docs/roles.toml")
    (tree.root / "docs/roles.toml").write_text("format = 1\n")
    assert run("echo more >> docs/a.md", elsewhere)[0].exit_code == 0
    assert run("echo more >> docs/roles.toml", elsewhere)[0].exit_code != 0
    outcome, _ = run("echo more >> docs/roles.toml", elsewhere, layer="diff")
    assert reasons(outcome) == {"docs/roles.toml": "no role may change the roles"}


@needs_landlock
def test_in_a_linked_work_tree_the_shared_git_folder_is_closed_too(tree, tmp_path):
    git(tree.root, "worktree", "add", "-q", "-b", "side", tmp_path / "side")
    linked = Tree.around(tmp_path / "side" / "docs")
    assert linked.root == tmp_path / "side"
    request = GuardRequest(
        ("sh", "-c", "echo b > docs/b.md; git commit --allow-empty -m x || true"), linked.root, message="b"
    )
    outcome = run_guarded(DOCS, linked, request)
    assert git(linked.root, "log", "--format=%s").split() == ["b", "first"]
    assert outcome.commit == git(tree.root, "rev-parse", "side")


@needs_landlock
def test_the_guarded_command_cannot_end_the_guard(run):
    outcome, output = run("kill -9 $PPID || echo refused")
    assert (outcome.exit_code, "refused" in output) == (0, True)


@needs_landlock
def test_a_role_that_may_commit_commits_but_sets_no_hooks(tree, run):
    own = Role("own", writes=("docs/**",), may_commit=True)
    outcome, output = run("echo b > docs/b.md && git add docs && git commit -qm b", own)
    assert (outcome.exit_code, outcome.findings) == (0, []), output
    outcome, _ = run("git config core.hooksPath docs", own)
    assert list(reasons(outcome).values()) == ["settings and hooks of git run programs; no role may change them"]


@needs_landlock
def test_folders_of_the_role_are_there_for_the_command_and_go_when_unused(tree, run):
    role = Role("new", writes=("notes/deep/**", "logs/**", "docs/*.md", "later.md"))
    outcome, _ = run("echo n > notes/deep/n.md && echo more >> docs/a.md", role)
    assert outcome.changed == ["docs/a.md", "notes/deep/n.md"]
    assert not (tree.root / "logs").exists()
    assert any(note.startswith("docs/*.md: files that exist") for note in outcome.notes)
    assert any(note.startswith("later.md does not exist") for note in outcome.notes)


def test_a_role_whose_path_is_a_link_is_refused(tree, run):
    (tree.root / "linked").symlink_to("src")
    with pytest.raises(SettingsError, match="leads through a link"):
        run("true", Role("x", writes=("linked/**",)))


@needs_landlock
def test_a_link_that_leads_out_of_the_role_is_a_finding(run):
    outcome, _ = run("ln -s ../src docs/way && ln -s /etc docs/etc && ln -s a.md docs/fine", message="x")
    assert reasons(outcome) == {
        "docs/way": "a link to ../src, outside the paths of the role `docs`",
        "docs/etc": "a link to /etc, outside the paths of the role `docs`",
    }
    assert outcome.commit is None


def test_without_the_kernel_the_check_comes_after_and_says_so(tree, run):
    outcome, _ = run("echo b > docs/b.md; echo x > src/app.py; rm README.md", layer="diff")
    assert outcome.layer == "diff"
    assert "what it wrote was not prevented" in outcome.notes[0]
    assert reasons(outcome) == {"src/app.py": "outside the paths of the role `docs`"}
    assert outcome.changed == ["README.md", "docs/b.md"]


@pytest.mark.parametrize("script", ["git commit -q --allow-empty -m x", "git branch b", "git config a.b c"])
def test_without_the_kernel_a_commit_is_found_afterwards(run, script):
    outcome, _ = run(script, layer="diff")
    assert set(reasons(outcome).values()) == {"the role `docs` may not commit"}


def test_without_the_kernel_a_restored_time_hides_nothing(run):
    outcome, _ = run("touch -r src/app.py t; echo y = 1 > src/app.py; touch -r t src/app.py; rm t", layer="diff")
    assert "src/app.py" in reasons(outcome)


def test_a_command_that_is_killed_is_told_by_its_signal(run):
    assert run("kill -9 $$")[0].exit_code == 137


def test_the_command_must_exist_and_the_tree_be_gits(tree, tmp_path):
    with pytest.raises(UsageError, match="No command"):
        run_guarded(DOCS, tree, GuardRequest((), tree.root))
    with pytest.raises(UsageError, match="`no-such-thing` was not found"):
        run_guarded(DOCS, tree, GuardRequest(("no-such-thing",), tree.root))
    with pytest.raises(NotFoundError, match="git init"):
        Tree.around(tmp_path)


def test_a_kernel_without_landlock_is_said_when_landlock_was_asked_for(tree):
    if landlock_version():
        pytest.skip("this kernel has Landlock")
    with pytest.raises(ResourceError, match="--layer diff"):
        run_guarded(DOCS, tree, GuardRequest(("true",), tree.root, layer="landlock"))


def commit(tree, message="next", **files):
    for name, text in files.items():
        path = tree.root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tree.root, "add", "-A")
    git(tree.root, "commit", "-q", "--allow-empty", "-m", message)


def found(tree, range_, role=DOCS):
    _, commits = tree.commits(range_)
    return {one.path: one.reason for each in commits for one in check_changes(role, tree.changes_of(each))}


def test_a_change_that_a_later_commit_takes_back_is_found_all_the_same(tree):
    commit(tree, docs__b="b")
    commit(tree, src__app="bad")
    git(tree.root, "revert", "--no-edit", "HEAD")
    assert found(tree, "HEAD~3..HEAD") == {"src/app": "outside the paths of the role `docs`"}
    assert found(tree, "HEAD~3..HEAD~2") == {}


def test_a_rename_is_checked_at_both_ends(tree):
    git(tree.root, "mv", "src/app.py", "docs/app.py")
    commit(tree)
    assert set(found(tree, "HEAD")) == {"src/app.py"}


def test_a_merge_brings_nothing_that_its_parents_do_not_answer_for(tree):
    main = git(tree.root, "branch", "--show-current")
    git(tree.root, "switch", "-q", "-c", "work")
    commit(tree, docs__b="b")
    git(tree.root, "switch", "-q", main)
    commit(tree, src__other="fine on main")
    git(tree.root, "switch", "-q", "work")
    git(tree.root, "merge", "-q", "--no-edit", main)
    assert found(tree, f"{main}..work") == {}
    git(tree.root, "merge", "-q", "--no-commit", "--no-ff", main)
    assert found(tree, f"{main}...work") == {}


def test_a_merge_that_adds_something_of_its_own_is_found(tree):
    main = git(tree.root, "branch", "--show-current")
    git(tree.root, "switch", "-q", "-c", "work")
    commit(tree, docs__b="b")
    git(tree.root, "switch", "-q", main)
    commit(tree, docs__c="c")
    git(tree.root, "switch", "-q", "work")
    git(tree.root, "merge", "-q", "--no-commit", main)
    (tree.root / "src/app.py").write_text("slipped in\n")
    git(tree.root, "add", "-A")
    git(tree.root, "commit", "-q", "-m", "merge")
    assert set(found(tree, f"{main}..work")) == {"src/app.py"}


def test_the_roles_submodules_and_new_files_are_refused_where_they_must_be(tree):
    everything = Role("all", writes=("**",))
    commit(tree, flow__system__keep="x")
    (tree.root / "flow/system/roles.toml").write_text("format = 1\n# wider\n")
    git(tree.root, "update-index", "--add", "--cacheinfo", f"160000,{git(tree.root, 'rev-parse', 'HEAD')},docs/sub")
    git(tree.root, "commit", "-q", "-m", "x", "--", "flow/system/roles.toml")
    assert found(tree, "HEAD", everything) == {"flow/system/roles.toml": "no role may change the roles"}
    git(tree.root, "update-index", "--add", "--cacheinfo", f"160000,{git(tree.root, 'rev-parse', 'HEAD')},docs/sub")
    git(tree.root, "commit", "-q", "-m", "y")
    assert "a submodule stands for another tree" in found(tree, "HEAD", everything)["docs/sub"]
    commit(tree, docs__new="n")
    assert (
        "may only change files that exist"
        in found(tree, "HEAD", Role("e", writes=("**",), no_new_files=True))["docs/new"]
    )
    assert "read-only" in found(tree, "HEAD", Role("r", writes=("**",), read_only=True))["docs/new"]


@pytest.mark.parametrize("range_", ["", "--all", "nowhere..HEAD", "HEAD~50"])
def test_a_range_that_is_none_is_refused(tree, range_):
    with pytest.raises(UsageError):
        tree.commits(range_)
