from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from treadle.base.errors import SettingsError
from treadle.config.compose import Sources, compose
from treadle.config.show import check, keys_of, rows
from treadle.config.tree import Origin

Write = Callable[[str, str], Path]


def test_rows_list_presets_and_every_setting_with_value_origin_and_meaning() -> None:
    settings = compose(Sources(size="nano", flags=["training.clip=0.5"]))
    listed = {row.key: row for row in rows(settings)}
    assert listed["size"].value == "nano"
    assert listed["size"].origin == Origin("command line")
    assert listed["training.clip"].value == 0.5
    assert str(listed["training.clip"].origin) == "command line"
    assert listed["training.clip"].description == "largest global gradient norm; 0 = no clipping"
    assert str(listed["family.width"].origin) == "size nano, conf/size/nano.yaml:6"
    assert str(listed["generation.top_k"].origin) == "built-in"
    assert set(listed) == {*settings.origins, "family", "size"}
    assert all(row.description for row in listed.values())
    json.dumps([row.value for row in listed.values()])


def test_one_key_or_one_section_can_be_asked_for() -> None:
    settings = compose(Sources())
    assert [row.key for row in rows(settings, "training.clip")] == ["training.clip"]
    assert {row.key.rpartition(".")[0] for row in rows(settings, "training.optimizer")} == {"training.optimizer"}
    assert [row.key for row in rows(settings, "size")] == ["size"]
    assert next(row.key for row in rows(settings, "family")) == "family"


def test_an_unknown_key_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(SettingsError, match=r"Unknown setting `training.clp`. Did you mean `training.clip`\?"):
        rows(compose(Sources()), "training.clp")


def test_keys_tell_leaves_from_what_holds_them() -> None:
    known = keys_of(compose(Sources()))
    assert not known["training"].is_leaf
    assert not known["training.optimizer"].is_leaf
    assert known["training.optimizer.momentum"].is_leaf
    assert known["training.optimizer.epsilon"].is_leaf
    assert all(key.description for key in known.values())


def test_check_finds_nothing_in_good_files_and_everything_in_bad_ones(write: Write) -> None:
    good = write("treadle.yaml", "format: 1\nsettings: {}\n")
    assert check(Sources(workspace_file=good)) == []
    bad = write("model.yaml", "settings:\n  training:\n    clip: x\n  generation:\n    tokns: 3\n")
    found = check(Sources(workspace_file=good, model_file=bad))
    assert [(finding.file, finding.line) for finding in found] == [("model.yaml", 5), ("model.yaml", 3)]
