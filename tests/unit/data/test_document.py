from __future__ import annotations

import hashlib

import pytest

from treadle.data.document import PIECE, REASONS, Document, RefusedError


def test_the_id_is_the_hash_of_the_text_alone() -> None:
    one = Document.from_text("naïve", "a.txt", {"encoding": "utf-8"})
    other = Document.from_text("naïve", "b.txt")
    assert one.id == other.id == hashlib.sha256("naïve".encode()).hexdigest()
    assert (one.size, one.text, one.source, one.metadata) == (6, "naïve", "a.txt", {"encoding": "utf-8"})


def test_a_long_text_comes_in_bounded_pieces() -> None:
    text = "ä" * (2 * PIECE + 5)
    pieces = list(Document.from_text(text, "long").pieces())
    assert [len(piece) for piece in pieces] == [PIECE, PIECE, 5]
    assert "".join(pieces) == text


@pytest.mark.parametrize(("text", "detail"), [("", "no text"), (" \n\t\n", "white space")])
def test_nothing_and_blank_text_are_refused_as_empty(text: str, detail: str) -> None:
    with pytest.raises(RefusedError, match=detail) as refused:
        Document.from_text(text, "blank.txt")
    refusal = refused.value.refusal("blank.txt")
    assert (refusal.source, refusal.reason) == ("blank.txt", "empty")
    assert refusal.reason in REASONS


def test_half_a_surrogate_pair_is_refused_by_its_code() -> None:
    with pytest.raises(RefusedError, match=r"U\+D800"):
        Document.from_text("a\ud800b", "odd")
