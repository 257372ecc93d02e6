import json
import os

import pytest

from treadle.base.errors import DataError, NotFoundError
from treadle.jobs.runs import create_run, find_run
from treadle.operations.data import FeedPayload
from treadle.recipes.catalog import FEED
from treadle.store.models import ModelCards
from treadle.store.workspace import create_workspace

SETTINGS = {"defaults": [{"override /size": "nano"}, {"override /family": "gpt"}]}


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "lab")


def feed(workspace, *paths):
    card = ModelCards(workspace).create("bard", SETTINGS)
    return create_run(workspace, "feed", {"model": card.id, "paths": [str(path) for path in paths]})


def test_a_run_knows_its_process_while_that_lives_and_the_attempt_that_it_belongs_to(workspace, tmp_path):
    folder = feed(workspace, tmp_path)
    assert (folder.process(), folder.fence()) == (None, 0)
    folder.claim(7)
    assert (folder.process(), folder.fence()) == (os.getpid(), 7)
    facts = json.loads((folder.path / "process.json").read_text())
    (folder.path / "process.json").write_text(json.dumps({**facts, "started": "1"}))
    assert folder.process() is None, "another process with the same number"
    (folder.path / "process.json").write_text(json.dumps({**facts, "host": "elsewhere"}))
    assert folder.process() is None, "a number means something on its own machine only"


def test_results_are_forgotten_by_their_outcome(workspace, tmp_path):
    folder = feed(workspace, tmp_path)
    folder.forget_result()
    folder.write_result({"outcome": "stopped", "value": {}})
    folder.forget_result("failed")
    assert folder.result() is not None
    folder.forget_result("stopped")
    assert folder.result() is None


def test_a_request_with_unknown_or_mistyped_fields_is_refused():
    assert FEED.validate({"model": "m-1", "paths": ["/x"]}) == FeedPayload("m-1", ("/x",))
    with pytest.raises(DataError, match="damaged at `paths"):
        FEED.validate({"model": "m-1", "paths": 7})
    with pytest.raises(DataError, match="damaged"):
        FEED.validate({"model": "m-1", "paths": [], "command": "rm"})


def test_an_unknown_or_damaged_run_is_named(workspace):
    with pytest.raises(NotFoundError, match="No run `r-1`"):
        find_run(workspace, "r-1")
    with pytest.raises(NotFoundError, match="No run"):
        find_run(workspace, "../models")
    folder = create_run(workspace, "feed", {})
    (folder.path / "spec.yaml").write_text("- nothing")
    with pytest.raises(DataError, match="damaged"):
        folder.spec()
    (folder.path / "spec.yaml").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        folder.spec()
