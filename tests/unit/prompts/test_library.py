"""Prompts as files: versions, parents, damage."""

import dataclasses
import json
import threading

import pytest

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.prompts.library import PromptLibrary
from treadle.prompts.record import Prompt, PromptInput


@pytest.fixture
def shelf(tmp_path):
    return PromptLibrary(tmp_path / "prompts", tmp_path / "trash")


def prompt(name="dusk", **more):
    given = {"text": "A street.", "settings": {}, "tags": (), "negative": None, "inputs": (), "parent": None}
    return Prompt(name, 0, purpose="video", **{**given, **more})


def test_a_stored_prompt_is_read_back_as_it_was(shelf):
    made = shelf.add(
        prompt(negative="", settings={"seed": 7}, tags=("a", "b"), inputs=(PromptInput("edge", "/x.mp4", "0" * 64, 3),))
    )
    assert made.version == 1
    assert shelf.get("dusk") == made


def test_a_change_is_a_new_version_and_the_old_one_stays(shelf):
    first = shelf.add(prompt())
    second = shelf.add(dataclasses.replace(first, text="Another street.", parent=1))
    assert (second.version, second.parent) == (2, 1)
    assert shelf.get("dusk", 1) == first
    assert shelf.versions("dusk") == [1, 2]


def test_a_version_that_says_the_same_is_stored_once(shelf):
    first = shelf.add(prompt())
    assert shelf.add(dataclasses.replace(first, parent=1)) == first
    assert shelf.versions("dusk") == [1]


def test_a_taken_name_is_refused_with_the_way_to_a_version(shelf):
    shelf.add(prompt())
    with pytest.raises(UsageError, match="treadle prompt edit dusk"):
        shelf.add(prompt(text="Other."))


def test_an_unknown_prompt_is_answered_with_the_nearest(shelf):
    shelf.add(prompt())
    with pytest.raises(NotFoundError, match="Did you mean `dusk`"):
        shelf.get("dust")
    with pytest.raises(NotFoundError, match="no version 9; it has 1 to 1"):
        shelf.get("dusk", 9)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
def test_a_name_cannot_lead_out_of_the_folder(shelf, name):
    with pytest.raises(UsageError, match="cannot be the name of a prompt"):
        shelf.add(prompt(name))
    with pytest.raises(UsageError, match="cannot be the name of a prompt"):
        shelf.delete(name)


def test_versions_that_two_people_store_at_once_all_stay(shelf):
    first = shelf.add(prompt())
    texts = [f"Street {number}." for number in range(12)]

    def store(text):
        shelf.add(dataclasses.replace(first, text=text, parent=1))

    threads = [threading.Thread(target=store, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.versions("dusk") == list(range(1, 14))
    assert {shelf.get("dusk", number).text for number in range(2, 14)} == set(texts)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace("A street.", "A road."),
        lambda text: json.dumps({**json.loads(text), "extra": 1}),
        lambda text: json.dumps({**json.loads(text), "inputs": [{"kind": "video"}]}),
        lambda text: json.dumps({**json.loads(text), "inputs": 3}),
        lambda _: "[]",
    ],
)
def test_a_damaged_version_is_named_and_the_others_are_listed(shelf, tmp_path, damage):
    shelf.add(prompt())
    shelf.add(prompt("noon"))
    file = tmp_path / "prompts" / "dusk" / "000001.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(DataError, match=r"000001\.json"):
        shelf.get("dusk")
    whole, damaged = shelf.search([])
    assert [found.name for found in whole] == ["noon"]
    assert "dusk" in damaged[0]


def test_the_id_hangs_on_what_decides_the_result_only(shelf):
    first = shelf.add(prompt(inputs=(PromptInput("video", "/a.mp4", "1" * 64, 3),)))
    moved = dataclasses.replace(first, name="x", tags=("t",), inputs=(PromptInput("video", "/b.mp4", "1" * 64, 3),))
    assert moved.id == first.id
    for change in ({"text": "B."}, {"negative": ""}, {"settings": {"seed": 2}}, {"purpose": "text"}, {"inputs": ()}):
        assert dataclasses.replace(first, **change).id != first.id


def test_search_wants_all_words_in_any_case(shelf):
    shelf.add(prompt(text="A wet street at night.", tags=("rain",)))
    shelf.add(prompt("noon", text="A dry street."))

    def found(*words, tag=None):
        return [one.name for one in shelf.search(words, tag)[0]]

    assert found("STREET") == ["dusk", "noon"]
    assert found("street", "RAIN") == ["dusk"]
    assert found("street", tag="rain") == ["dusk"]
    assert found("snow") == []


def test_a_deleted_prompt_lies_in_the_trash_with_all_its_versions(shelf):
    first = shelf.add(prompt())
    shelf.add(dataclasses.replace(first, text="B.", parent=1))
    place = shelf.delete("dusk")
    assert sorted(path.name for path in place.iterdir()) == ["000001.json", "000002.json"]
    assert shelf.names() == []
    assert shelf.add(prompt()).version == 1
