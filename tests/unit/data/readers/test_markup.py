from __future__ import annotations

import pytest

from treadle.data.readers.markup import visible_text

PAGE = """<!doctype html><html lang="en"><head><title>The  Loom</title><meta name="author" content="Ada &amp; Bea">
<style>p{}</style></head><body><nav><a href=/>Home</a></nav><h1>Looms</h1>
<p>A loom <b>weaves</b>&nbsp;cloth.<br>It has a treadle.</p><script>alert("<p>no</p>")</script>
<ul><li>warp<li>weft</ul><pre>a
  b</pre><table><tr><td>1<td>2</tr></table></body></html>"""
PROSE = "<p>" + "The treadle turns the wheel, and the wheel turns the spindle that the potter needs. " * 4 + "</p>"


def test_all_visible_text_is_read_and_scripts_are_not() -> None:
    text, facts = visible_text(PAGE)
    assert text == "Home\n\nLooms\n\nA loom weaves cloth.\nIt has a treadle.\n\nwarp\nweft\n\na\nb\n\n1\t2".replace(
        "\t", " "
    )
    assert facts == {"title": "The Loom", "author": "Ada & Bea", "language_stated": "en"}


@pytest.mark.parametrize(
    "markup", ["", "<", "<html", "</p></p>", "<p" * 50, "<!--", "<title>", "&#xFFFFFFFF;", "<a\0b>"]
)
def test_broken_markup_gives_some_text_and_no_error(markup: str) -> None:
    assert isinstance(visible_text(markup)[0], str)


def test_a_page_is_read_in_each_mode(texts_of, facts_of) -> None:
    menu = "<nav><a href=/>Home</a> <a href=/a>About</a></nav>"
    head = "<html><head><title>Wheels</title></head>"
    page = f"{head}<body>{menu}<main><h1>Wheels</h1>{PROSE * 3}</main></body></html>"
    (everything,) = texts_of("page.html", page, html="all")
    assert everything.startswith("Home About\n\nWheels")
    for mode in ("main", "fast"):
        (text,) = texts_of("page.html", page, html=mode)
        assert "The treadle turns the wheel" in text
        assert "About" not in text
    assert texts_of("page.html", page, html="metadata") == ["Wheels"]
    assert texts_of("page.html", page, html="mixed")[0].startswith("Wheels\n\n")
    assert facts_of("page.html", page)["extract"] == "main"


def test_a_page_without_main_text_is_read_as_a_whole(texts_of, facts_of) -> None:
    assert texts_of("page.html", "<html><body>Hi</body></html>", html="fast") == ["Hi"]
    assert texts_of("empty.html", "<html><body><script>x</script></body></html>") == ["!empty: It holds no text."]


@pytest.mark.parametrize(
    ("declared", "encoding"), [("utf-8", "utf-8"), ("iso-8859-2", "iso-8859-2"), ("nonsense", "cp1252")]
)
def test_a_page_is_decoded_as_it_says_or_as_can_be_guessed(texts_of, declared: str, encoding: str) -> None:
    page = f'<html><head><meta charset="{declared}"></head><body><p>Größe</p></body></html>'
    assert texts_of("page.html", page.encode(encoding), html="all") == ["Größe"]
