import pytest

from treadle.base.errors import NotFoundError, UsageError
from treadle.store.models import ModelCards
from treadle.store.workspace import create_workspace, find_workspace

SETTINGS = {"defaults": [{"override /size": "nano"}, {"override /family": "gpt"}]}


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "lab")


def test_a_workspace_is_found_by_flag_then_environment_then_parents(tmp_path, workspace):
    other = create_workspace(tmp_path / "other")
    inside = workspace.root / "a" / "b"
    inside.mkdir(parents=True)
    environment = {"TREADLE_WORKSPACE": str(other.root)}
    assert find_workspace(workspace.root, environment=environment, start=tmp_path) == workspace
    assert find_workspace(None, environment=environment, start=inside) == other
    assert find_workspace(None, environment={}, start=inside) == workspace


def test_without_a_workspace_the_error_names_init(tmp_path):
    with pytest.raises(NotFoundError, match="treadle init"):
        find_workspace(None, environment={}, start=tmp_path)
    with pytest.raises(NotFoundError, match="treadle init"):
        find_workspace(tmp_path, environment={})


def test_making_a_workspace_twice_or_on_a_file_is_refused(tmp_path, workspace):
    with pytest.raises(UsageError, match="workspace already"):
        create_workspace(workspace.root)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        create_workspace(tmp_path / "file")


def test_a_model_is_found_by_name_and_by_id(workspace):
    cards = ModelCards(workspace)
    card = cards.create("bard", {**SETTINGS, "data": {"tokenizer": "char"}})
    assert cards.get("bard") == cards.get(card.id) == card
    assert (workspace.models / "bard" / "model.yaml").is_file()
    assert cards.all() == [card]
    assert (card.family, card.size) == ("gpt", "nano")


def test_a_taken_name_is_refused_and_a_missing_one_is_answered_with_the_known(workspace):
    cards = ModelCards(workspace)
    with pytest.raises(NotFoundError, match="treadle new bard"):
        cards.get("bard")
    cards.create("bard", SETTINGS)
    with pytest.raises(UsageError, match="exists already"):
        cards.create("bard", SETTINGS)
    with pytest.raises(NotFoundError, match=r"Did you mean `bard`\? Known: bard\."):
        cards.get("brad")


def test_a_deleted_model_lies_in_the_trash_and_its_name_is_free(workspace):
    cards = ModelCards(workspace)
    card = cards.create("bard", SETTINGS)
    trash = cards.delete(card)
    assert (trash / "model.yaml").is_file()
    assert cards.all() == []
    assert not (workspace.models / "bard").is_symlink()
    assert cards.create("bard", SETTINGS).id != card.id


def test_damaged_cards_are_named_and_do_not_hide_the_others(workspace):
    cards = ModelCards(workspace)
    card = cards.create("bard", SETTINGS)
    other = cards.create("other", SETTINGS)
    (cards.folder(card) / "model.yaml").write_text("name: [")
    (workspace.models / "m-empty").mkdir()
    assert cards.all() == [other]
    first, second = map(str, cards.damaged())
    assert "model.yaml is not a model card" in first
    assert "m-empty/model.yaml is not a model card" in second
