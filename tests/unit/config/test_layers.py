from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from treadle.config.layers import Layer, read_layer
from treadle.config.tree import leaves, plain

Write = Callable[[str, str], Path]


def _messages(layer: Layer) -> list[str]:
    return [finding.message for finding in layer.findings]


def test_a_preset_is_chosen_by_the_defaults_list_or_by_its_short_form(write: Write) -> None:
    listed = read_layer(write("a.yaml", "defaults:\n  - override /size: tiny\n  - _self_\n"), "run file")
    short = read_layer(write("b.yaml", "size: tiny\n"), "run file")
    assert listed.choices["size"].name == short.choices["size"].name == "tiny"
    assert (listed.choices["size"].origin.line, short.choices["size"].origin.line) == (2, 1)
    assert _messages(listed) == _messages(short) == []


def test_both_forms_in_one_file_must_agree(write: Write) -> None:
    layer = read_layer(write("a.yaml", "defaults:\n  - override /size: tiny\nsize: nano\n"), "run file")
    assert _messages(layer) == ["`size` is chosen twice: tiny in a.yaml:2, nano in a.yaml:3. Keep one."]


@pytest.mark.parametrize(
    "line", ["size: tiny", "override size: tiny", "/size: tiny", "tiny", "override /size: 3", "override /size: null"]
)
def test_any_other_line_in_the_defaults_list_is_refused(write: Write, line: str) -> None:
    layer = read_layer(write("a.yaml", f"defaults:\n  - {line}\n"), "run file")
    expected = "Cannot read this line of `defaults` in a.yaml:2: write `override /size: tiny`."
    assert _messages(layer) == [expected]


def test_a_defaults_list_that_is_no_list_is_refused(write: Write) -> None:
    assert _messages(read_layer(write("a.yaml", "defaults: tiny\n"), "run file")) != []


def test_self_stands_last_because_a_files_own_values_always_win(write: Write) -> None:
    layer = read_layer(write("a.yaml", "defaults:\n  - _self_\n  - override /size: tiny\n"), "run file")
    assert "must come last" in _messages(layer)[0]


def test_a_section_whose_lines_are_all_commented_out_says_nothing(write: Write) -> None:
    layer = read_layer(write("a.yaml", "training:\n  # clip: 1\ndata:\n  tokenizer: char\n"), "run file")
    assert plain(layer.tree) == {"data": {"tokenizer": "char"}}
    assert _messages(layer) == []


def test_settings_may_be_empty_and_must_be_a_mapping(write: Write) -> None:
    for text in ("settings:\n", "settings: {}\n", "format: 1\n", ""):
        layer = read_layer(write("a.yaml", text), "workspace", under="settings")
        assert (next(iter(leaves(layer.tree, "x")))[0], _messages(layer)) == ("x", [])
    layer = read_layer(write("a.yaml", "settings: 3\n"), "workspace", under="settings")
    assert _messages(layer) == ["The settings in a.yaml:1 must be a mapping."]


def test_a_section_outside_the_settings_of_a_workspace_is_not_overlooked(write: Write) -> None:
    layer = read_layer(write("a.yaml", "training:\n  clip: 1\nfamily: gpt\n"), "workspace", under="settings")
    assert _messages(layer) == ["`training` in a.yaml:1 stands outside `settings`. Move it below `settings:`."]
    layer = read_layer(write("a.yaml", "setings: {}\n"), "workspace", under="settings")
    assert _messages(layer) == ["Unknown key `setings` in a.yaml:1. Did you mean `settings`?"]


def test_a_section_with_a_bare_value_and_a_size_with_settings_are_refused(write: Write) -> None:
    layer = read_layer(write("a.yaml", "training: 3\nsize:\n  layers: 3\n"), "run file")
    assert [message.split(" ")[0] for message in _messages(layer)] == ["`training`", "`size`"]
