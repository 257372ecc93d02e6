"""Steps that change a text: repair, normal form, boilerplate, white space; and its form."""

from __future__ import annotations

from typing import Any

import pytest

from treadle.data.document import PIECE
from treadle.data.steps.boilerplate import stripped
from treadle.data.steps.forms import form_of
from treadle.data.steps.language import language_of
from treadle.data.steps.lines import beginning, whole_lines
from treadle.data.steps.repair import normalised, repaired
from treadle.data.steps.whitespace import tidied

BOOK = """The Project Gutenberg EBook of Looms, by Ada

*** START OF THIS PROJECT GUTENBERG EBOOK LOOMS ***

Produced by Bea and
others

CHAPTER I
It was.

*** END OF THIS PROJECT GUTENBERG EBOOK LOOMS ***
Licence
"""
PLAY = (
    "ACT I\n\nROMEO.\nO, speak again!\n\nJULIET.\nO Romeo!\n\nROMEO.\nShall I hear more?\n\n"
    "JULIET.\n'Tis but thy name\n"
)
TURNS = "Ada: Hello there.\nBea: Good day.\nAda: How is the loom?\nBea: It runs.\n"
VERSE = "\n".join(
    [
        "Shall I compare thee to a summer's day",
        "Thou art more lovely and more temperate",
        "Rough winds do shake the darling buds",
        "",
    ]
    * 4
)
PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 8 + "\n"


def run(step: Any, text: str, *more: Any) -> tuple[str, dict[str, Any]]:
    facts: dict[str, Any] = {}
    return "".join(step([text], *more, facts)), facts


def test_lines_are_never_cut_but_where_they_have_no_end() -> None:
    assert list(whole_lines(["a\nb", "c\nd", "\n"])) == ["a\n", "bc\n", "d\n"]
    long = "word " * (PIECE // 5) + "end"
    pieces = list(whole_lines([long[:PIECE], long[PIECE:]]))
    assert "".join(pieces) == long
    assert pieces[0].endswith(" ")
    assert "".join(whole_lines(["x" * PIECE, "y"])) == "x" * PIECE + "y"
    assert beginning(iter(["abc", "def", "ghi"]), 5) == "abcde"


def test_text_that_was_decoded_wrongly_is_repaired_line_by_line() -> None:
    wrong = "Größe und Süße".encode().decode("cp1252")
    text, facts = run(repaired, f"{wrong}\nfine: naïve café\n")
    assert text == "Größe und Süße\nfine: naïve café\n"
    assert facts == {"repaired_lines": 1}


@pytest.mark.parametrize(
    "text", ["plain", "Ã\u0192 once", "Größe, naïve, façade, ÅÄÖ", "Привет, мир", "日本語のテキスト"]
)
def test_what_may_be_meant_is_left_alone(text: str) -> None:
    assert run(repaired, text) == (text, {})


def test_characters_are_brought_into_one_form() -> None:
    assert run(normalised, "e\u0301\ufb01 \u00adx\ufeff\x0cy\u2028z\r\n", "NFC")[0] == "é\ufb01 x\x0cy\nz\n"
    assert run(normalised, "\ufb01", "NFKC") == ("fi", {"unicode_changed": True})
    assert run(normalised, "e\u0301", "as given") == ("e\u0301", {})
    assert run(normalised, "a\x00b", "NFC") == ("ab", {"removed_characters": 1})


def test_the_licence_around_a_book_is_taken_off() -> None:
    assert run(stripped, BOOK) == ("CHAPTER I\nIt was.\n", {"boilerplate": "project gutenberg"})
    pieces = list(stripped(["The Project Gutenberg\n", BOOK, "more"], {}))
    assert "".join(pieces) == "CHAPTER I\nIt was.\n"


@pytest.mark.parametrize("text", ["", "Nothing.\n", "Of Project Gutenberg we speak, but have no mark.\n" * 20])
def test_a_text_without_that_licence_stays_as_it_is(text: str) -> None:
    assert run(stripped, text) == (text, {})


def test_prose_is_tidied_across_pieces() -> None:
    assert "".join(tidied(["\n\na  \n\n", "\n\nb\n", "\n", "\n\n", "c\n\n\n"])) == "a\n\nb\n\nc\n"
    assert "".join(tidied(["a\n", "b"])) == "a\nb"
    assert list(tidied(["\n\n", " \n"])) == []


@pytest.mark.parametrize(
    ("text", "source", "form"),
    [
        (PROSE * 3, "", "prose"),
        (PLAY, "", "dialogue"),
        (TURNS, "", "dialogue"),
        (VERSE, "", "verse"),
        ("a,b,c,d\n" * 9, "", "table"),
        ("| a | b |\n" * 9, "", "table"),
        ("[10:31] <ada> hi\n[10:32] <bea> hello\n" * 4, "", "chat"),
        ("user: hi\n\nassistant: hello\n\nuser: bye\n\nassistant: bye\n", "", "chat"),
        ("int main() {\n  return 0;\n}\n" * 3, "", "code"),
        ("anything", "/x/y.py", "code"),
        ("short", "", "prose"),
    ],
)
def test_the_form_of_a_text_is_told(text: str, source: str, form: str) -> None:
    assert form_of(text, source)[0] == form


def test_the_speakers_of_a_dialogue_are_counted() -> None:
    assert form_of(PLAY)[1] == {"speakers": 2}


def test_languages_are_told_where_there_is_enough_text() -> None:
    pytest.importorskip("py3langid")
    told = language_of("Der Bär aß süße Äpfel, während es regnete und die Vögel in den Bäumen sangen. " * 30)
    assert told is not None
    assert told[0] == "de"
    assert language_of("hm") is None
