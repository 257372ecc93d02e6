"""Models as things: names are fields, copies appear at once, and what a kill leaves is tidied by the next change."""

import pytest

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.store.model_copies import remove_unfinished
from treadle.store.models import ModelCards
from treadle.store.workspace import create_workspace

SETTINGS = {"defaults": [{"override /size": "nano"}, {"override /family": "gpt"}]}


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "lab")


@pytest.fixture
def cards(workspace):
    return ModelCards(workspace)


def links(workspace):
    return {path.name: path.readlink().name for path in workspace.models.iterdir() if path.is_symlink()}


def learned(cards, workspace, card):
    """Give a model files such as training and feeding leave."""
    folder = cards.folder(card)
    for path in ("checkpoints/step-00000002/model.safetensors", "history/steps.jsonl", "tokenizer/tokenizer.json"):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(path)
    (folder / "checkpoints" / ".step-00000004.x.tmp").mkdir()
    (folder / "inbox").mkdir()
    (folder / "inbox" / "a.txt").write_text("dropped")
    (folder / ".writer").touch()
    (workspace.datasets / card.id / "versions").mkdir(parents=True)
    (workspace.datasets / card.id / "versions" / "000001.json").write_text("{}")


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_renamed_model_keeps_its_id_its_folder_and_its_settings(cards, workspace):
    card = cards.create("bard", SETTINGS)
    renamed = cards.rename(card, "poet")
    assert (renamed.id, renamed.name, renamed.settings) == (card.id, "poet", SETTINGS)
    assert cards.get("poet") == cards.get(card.id) == renamed
    assert links(workspace) == {"poet": card.id}
    with pytest.raises(NotFoundError, match="poet"):
        cards.get("bard")
    assert cards.rename(renamed, "poet") == renamed, "once more changes nothing"


@pytest.mark.parametrize("name", ["other", "no/slash", "", "m-1/../x"])
@pytest.mark.parametrize("change", ["rename", "copy"])
def test_a_taken_or_impossible_name_is_refused_and_changes_nothing(cards, workspace, change, name):
    card = cards.create("bard", SETTINGS)
    cards.create("other", SETTINGS)
    before = cards.all(), links(workspace), sorted(workspace.models.iterdir())
    with pytest.raises(UsageError):
        getattr(cards, change)(card, name)
    assert (cards.all(), links(workspace), sorted(workspace.models.iterdir())) == before


def test_a_cell_of_an_experiment_keeps_its_name_and_can_be_copied(cards):
    cell = cards.create("depth-2", SETTINGS, experiment="x-1")
    with pytest.raises(UsageError, match="treadle copy depth-2 mine"):
        cards.rename(cell, "mine")
    assert cards.copy(cell, "mine").experiment is None


def test_settings_that_are_changed_while_a_model_is_renamed_do_not_bring_the_old_name_back(cards):
    card = cards.create("bard", SETTINGS)
    cards.rename(card, "poet")
    from dataclasses import replace

    cards.update(replace(card, settings={**SETTINGS, "training": {"seed": 3}}))
    now = cards.get(card.id)
    assert (now.name, now.settings["training"]) == ("poet", {"seed": 3})


def test_a_copy_has_what_was_learned_and_nothing_that_waits_or_is_half_written(cards, workspace):
    card = cards.create("bard", SETTINGS)
    learned(cards, workspace, card)
    made = cards.copy(card, "poet", ("inbox",))
    assert made.id != card.id
    assert made.copied_from == {"id": card.id, "name": "bard"}
    assert made.settings == card.settings
    held = files(cards.folder(made))
    assert set(held) == {
        "model.yaml",
        "checkpoints/step-00000002/model.safetensors",
        "history/steps.jsonl",
        "tokenizer/tokenizer.json",
    }
    assert (cards.folder(made) / "inbox").is_dir()
    assert files(workspace.datasets / made.id) == {"versions/000001.json": "{}"}
    assert links(workspace) == {"bard": card.id, "poet": made.id}


def test_weights_are_shared_and_history_is_not(cards, workspace):
    card = cards.create("bard", SETTINGS)
    learned(cards, workspace, card)
    made = cards.copy(card, "poet")
    same = [
        (cards.folder(card) / path).samefile(cards.folder(made) / path)
        for path in ("checkpoints/step-00000002/model.safetensors", "history/steps.jsonl")
    ]
    assert same == [True, False]
    with (cards.folder(made) / "history" / "steps.jsonl").open("a") as file:
        file.write("more")
    assert (cards.folder(card) / "history" / "steps.jsonl").read_text() == "history/steps.jsonl"


def test_what_a_killed_copy_left_is_removed_by_the_next_change(cards, workspace):
    card = cards.create("bard", SETTINGS)
    learned(cards, workspace, card)
    whole = cards.copy(card, "poet")
    (workspace.models / ".m-half.abcd.tmp" / "checkpoints").mkdir(parents=True)  # killed before its rename
    (workspace.datasets / "m-half" / "versions").mkdir(parents=True)
    (workspace.datasets / ".m-other.abcd.tmp").mkdir()
    (workspace.models / f".{whole.id}.abcd.tmp").mkdir()
    cards.rename(card, "first")
    assert not list(workspace.models.glob(".m-*"))
    assert sorted(path.name for path in workspace.datasets.iterdir()) == sorted([card.id, whole.id])


def test_links_that_a_kill_left_behind_are_put_right(cards, workspace):
    card = cards.create("bard", SETTINGS)
    (workspace.models / "bard").unlink()
    (workspace.models / "stale").symlink_to("m-gone")
    (workspace.models / "wrong").symlink_to(card.id)
    cards.create("other", SETTINGS)
    assert links(workspace) == {"bard": card.id, "other": cards.get("other").id}


def test_the_link_of_a_damaged_model_stays(cards, workspace):
    card = cards.create("bard", SETTINGS)
    (cards.folder(card) / "model.yaml").write_text(":")
    cards.create("other", SETTINGS)
    assert links(workspace)["bard"] == card.id


def test_a_model_that_was_deleted_meanwhile_is_named(cards):
    card = cards.create("bard", SETTINGS)
    cards.delete(card)
    for change in (lambda: cards.rename(card, "poet"), lambda: cards.copy(card, "poet"), lambda: cards.delete(card)):
        with pytest.raises(NotFoundError, match="it was deleted"):
            change()
    assert not cards.folder(card).exists()


def test_a_model_that_is_being_trained_can_be_renamed_and_copied_but_not_deleted(cards):
    card = cards.create("bard", SETTINGS)
    with cards.writing(card):
        assert cards.copy(cards.rename(card, "poet"), "copy").name == "copy"
        with pytest.raises(NotReadyError, match="is being trained"):
            cards.delete(card)


def test_tidying_leaves_whole_models_alone(cards, workspace):
    card = cards.create("bard", SETTINGS)
    learned(cards, workspace, card)
    before = files(workspace.root)
    remove_unfinished(workspace)
    assert files(workspace.root) == before
