from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from treadle.config.tree import Entry, Origin, find, plain
from treadle.config.yaml_source import SourceError, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


def _read(folder: Path, text: str) -> Entry:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, "run file", "a.yaml")


def _refusal(folder: Path, text: str) -> str:
    with pytest.raises(SourceError) as caught:
        _read(folder, text)
    assert caught.value.finding.message == str(caught.value)
    return str(caught.value)


def test_every_key_and_list_item_knows_its_line(tmp_path: Path) -> None:
    tree = _read(tmp_path, "# note\ntraining:\n\n  batch_size: 3\nstop:\n  - a\n  - b\n")
    assert find(tree, ("training",))[1].origin == Origin("run file", "a.yaml", 2)
    assert find(tree, ("training", "batch_size"))[1].origin.line == 4
    assert find(tree, ("stop", 1))[1].origin.line == 7
    assert plain(tree) == {"training": {"batch_size": 3}, "stop": ["a", "b"]}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3e-4", 3e-4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-1.5", -1.5),
        ("5.", 5.0),
        ("1_000", 1000),
        ("0", 0),
        ("-7", -7),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("no", "no"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        ("'3'", "3"),
        ("null", None),
        ("~", None),
        ("", None),
        ("[1, 2.0, x]", [1, 2.0, "x"]),
        ("{b: [1, {c: 2}]}", {"b": [1, {"c": 2}]}),
    ],
)
def test_plain_values_mean_what_the_flags_mean(tmp_path: Path, written: str, meant: object) -> None:
    value = plain(_read(tmp_path, f"a: {written}\n"))["a"]
    assert value == meant
    assert type(value) is type(meant)


def test_a_key_set_twice_names_both_lines(tmp_path: Path) -> None:
    message = _refusal(tmp_path, "training:\n  clip: 1\n  batch_size: 2\n  clip: 3\n")
    assert message == "a.yaml:4 cannot be read: `clip` is already set on line 2; keep one."


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &x 1\nb: 2\n", "a.yaml:1 cannot be read: anchors"),
        ("a: 1\nb: *x\n", "a.yaml:2 cannot be read: anchors"),
        ("a: !!python/object/apply:os.system ['true']\n", "a.yaml:1 cannot be read: tags"),
        ("a: !!str 1\n", "a.yaml:1 cannot be read: tags"),
        ("a: 1\nb: ${oc.env:HOME}\n", "a.yaml:2 cannot be read: `${...}` is not resolved"),
        ("a: '${a}'\n", "a.yaml:1 cannot be read: `${...}` is not resolved"),
        ("a: [1, '${a}']\n", "a.yaml:1 cannot be read: `${...}` is not resolved"),
        ("${a}: 1\n", "a.yaml:1 cannot be read: `${...}` is not resolved"),
        ("1: 2\n", "a.yaml:1 cannot be read: a key must be a word"),
        ("? [a]\n: 2\n", "a.yaml:1 cannot be read: a key must be a word"),
        ("a: [1\nb: 2\n", "a.yaml:2 cannot be read: "),
        ("a: 1\n\tb: 2\n", "a.yaml:2 cannot be read: "),
        ("a: 1\n---\nb: 1\n", "a.yaml:2 cannot be read: "),
        ("a: \x01\n", "a.yaml cannot be read: "),
        ("- a\n", "a.yaml:1 must be a mapping"),
        ("words\n", "a.yaml:1 must be a mapping"),
        (f"a: {'[' * 3000}\n", "a.yaml"),
        ("a: " + "x" * 1_000_001, "a.yaml is too large"),
    ],
)
def test_anything_but_plain_settings_is_refused_with_its_line(tmp_path: Path, text: str, part: str) -> None:
    assert _refusal(tmp_path, text).startswith(part)


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert plain(_read(tmp_path, "")) == {}
    assert plain(_read(tmp_path, "# only a note\n")) == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert plain(_read(tmp_path, "\ufeffa: 1\n")) == {"a": 1}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no settings file .*none\.yaml"):
        read_yaml(tmp_path / "none.yaml", "workspace")
    with pytest.raises(SourceError, match="is a folder"):
        read_yaml(tmp_path, "workspace")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")
    with pytest.raises(SourceError, match="not UTF-8"):
        read_yaml(tmp_path / "latin.yaml", "workspace")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    with pytest.raises(SourceError, match="Cannot read the settings file"):
        read_yaml(tmp_path / "loop.yaml", "workspace")
