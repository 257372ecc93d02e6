"""Names, units, ids and hashes: what people read and type."""

import re

import pytest

from treadle.base import units
from treadle.base.errors import UsageError
from treadle.base.hashing import canonical_json, hash_bytes, hash_file, hash_json
from treadle.base.ids import new_id
from treadle.base.names import check_name, did_you_mean


@pytest.mark.parametrize("name", ["bard", "my-notes", "v1.2", "A_b", "x" * 64])
def test_ordinary_names_are_allowed(name):
    assert check_name("model", name) == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "..", "a..b", ".hidden", "-flag", "x" * 300, "🦉", "é", "a\n", "a\0"]
)
def test_names_that_would_hurt_as_paths_are_refused_with_the_rule(name):
    with pytest.raises(UsageError, match="cannot be the name of a model: use 1 to 64 letters"):
        check_name("model", name)


def test_a_near_miss_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("trian", ["train", "show"]) == " Did you mean `train`?"
    assert did_you_mean("zzz", ["train", "show"]) == ""


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.count(812), "812"),
        (units.count(41_234), "41k"),
        (units.count(2_712_000), "2.7 M"),
        (units.count(1.26e9), "1.3 G"),
        (units.size(12), "12 B"),
        (units.size(1_115_394), "1.1 MB"),
        (units.size(2e9), "2.0 GB"),
        (units.duration(0.42), "0.4 s"),
        (units.duration(31.2), "31 s"),
        (units.duration(59.7), "1:00"),
        (units.duration(242), "4:02"),
        (units.duration(7800), "2:10:00"),
    ],
)
def test_numbers_read_like_this(shown, expected):
    assert shown == expected


def test_ids_are_unique_sortable_and_safe_as_file_names():
    ids = [new_id("r") for _ in range(200)]
    assert len(set(ids)) == 200
    assert all(re.fullmatch(r"r-[0-9a-hjkmnp-tv-z]{16}", one) for one in ids)
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)


def test_equal_values_hash_alike_whatever_their_order(tmp_path):
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1}) != hash_json({"a": 1, "b": [2, 1]})
    assert canonical_json({"é": 1.0}) == '{"é":1.0}'.encode()
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x") == hash_bytes(b"abc")
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
