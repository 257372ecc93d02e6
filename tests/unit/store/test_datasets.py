from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.store.datasets import DatasetCards
from treadle.store.references import referenced_objects
from treadle.store.workspace import create_workspace

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef" * 4


def test_a_card_keeps_settings_and_tags(tmp_path: Path) -> None:
    cards = DatasetCards(create_workspace(tmp_path))
    cards.create("looms", {"html": "fast"})
    cards.tag("looms", "clean", 2)
    cards.tag("looms", "clean", 3)
    card = cards.get("looms")
    assert (card.settings, card.tags) == ({"html": "fast"}, {"clean": 3})
    assert cards.tag("looms", "clean", None).tags == {}
    assert [one.name for one in cards.all()] == ["looms"]
    assert cards.find("../looms") is None


@pytest.mark.parametrize("name", ["m-123", "../x", "", "a b"])
def test_impossible_names_are_refused(tmp_path: Path, name: str) -> None:
    cards = DatasetCards(create_workspace(tmp_path))
    with pytest.raises(UsageError, match="cannot be the name"):
        cards.create(name, {})


def test_a_number_is_no_tag_and_an_unknown_dataset_is_named(tmp_path: Path) -> None:
    cards = DatasetCards(create_workspace(tmp_path))
    cards.create("looms", {})
    with pytest.raises(UsageError, match="would be taken for a version's number"):
        cards.tag("looms", "7", 1)
    with pytest.raises(NotFoundError, match="Did you mean `looms`"):
        cards.get("loom")


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    cards = DatasetCards(create_workspace(tmp_path))
    cards.create("looms", {})
    (tmp_path / "datasets" / "looms" / "dataset.yaml").write_text("[")
    with pytest.raises(DataError, match=r"dataset\.yaml is not the card"):
        cards.all()


def test_every_object_that_is_named_anywhere_is_in_use(tmp_path: Path) -> None:
    import sqlite3

    workspace = create_workspace(tmp_path)
    folder = tmp_path / "crawls" / "c"
    folder.mkdir(parents=True)
    (tmp_path / "datasets" / "x.json").write_text(f'{{"shards": ["{ID}"]}}')
    database = sqlite3.connect(folder / "frontier.db")
    database.execute("CREATE TABLE page (body TEXT, size INTEGER)")
    database.execute("INSERT INTO page VALUES (?, 1)", (ID[::-1],))
    database.commit()
    database.close()
    (workspace.trash / "old").mkdir(parents=True)
    (workspace.trash / "old" / "y.json").write_text(f'"{"f" * 64}"')
    assert referenced_objects(workspace) == {ID, ID[::-1]}
    assert referenced_objects(workspace, frozenset({tmp_path / "datasets" / "x.json"})) == {ID[::-1]}
    (folder / "broken.db").write_bytes(b"SQLite format 3\0 and no more" * 99)
    with pytest.raises(DataError, match="nothing was removed"):
        referenced_objects(workspace)
