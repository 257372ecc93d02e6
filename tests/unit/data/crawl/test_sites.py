from treadle.data.crawl.sites.catalog import SITE_HANDLERS, handler_of
from treadle.data.crawl.sites.mediawiki import HANDLER

PAGE = b"""<!DOCTYPE html><html lang="en"><head><meta name="generator" content="MediaWiki 1.39.4">
<title>Loom - Wiki</title></head>
<body><div id="mw-navigation">Main page Random page</div><h1 id="firstHeading">Loom</h1><div id="mw-content-text">
<div class="mw-parser-output"><p>A loom weaves.<sup class="reference">[1]</sup></p>
<h2>Parts<span class="mw-editsection">[edit]</span></h2><table class="navbox"><tr><td>See also</td></tr></table>
<p>The treadle moves it.</p></div></div></body></html>"""


def test_mediawiki_is_known_by_what_it_says_of_itself():
    assert handler_of("MediaWiki 1.39.4") is HANDLER
    assert handler_of("Hugo 0.1") is None
    assert handler_of("") is None
    assert "mediawiki" in SITE_HANDLERS.names()


def test_the_article_stays_and_the_machinery_around_it_goes():
    kept = HANDLER.page(PAGE).decode()
    assert "A loom weaves." in kept
    assert "The treadle moves it." in kept
    assert "<title>Loom - Wiki</title>" in kept
    assert not any(word in kept for word in ("Random page", "[edit]", "See also", "[1]"))


def test_a_page_without_an_article_stays_as_it_is():
    assert HANDLER.page(b"<p>x") == b"<p>x"


def test_articles_are_followed_and_forms_and_histories_are_not():
    wiki = "https://wiki.example/"
    assert HANDLER.follows(f"{wiki}wiki/Loom")
    assert HANDLER.follows(f"{wiki}w/index.php?title=Loom")
    for path in (
        "w/index.php?title=Loom&action=edit",
        "wiki/Special:Random",
        "wiki/Talk:Loom",
        "w/index.php?title=Loom&oldid=7",
    ):
        assert not HANDLER.follows(wiki + path)
