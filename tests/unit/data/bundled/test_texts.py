from __future__ import annotations

import pytest

from treadle.base.errors import NotFoundError
from treadle.data.bundled.texts import bundled_names, bundled_text


def test_shakespeare_comes_with_treadle() -> None:
    text = bundled_text("shakespeare").read_text(encoding="utf-8")
    assert (len(text), len(set(text))) == (1_115_394, 65)


def test_every_bundled_text_has_its_licence_written_down() -> None:
    licences = bundled_text("names").with_name("LICENSES.md").read_text()
    assert all(f"| {name}.txt |" in licences for name in bundled_names())


def test_an_unknown_text_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"Did you mean `shakespeare`\? Known: names, shakespeare"):
        bundled_text("shakespear")
