from treadle.data.crawl.chrome import SAMPLE
from treadle.data.crawl.documents import PageReader, ReadPage, cleaned, learned_chrome
from treadle.data.crawl.frontier import KeptPage
from treadle.data.document import Document, Refusal
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.sandbox import Work
from treadle.store.objects import ObjectStore

WIKI = b"""<!DOCTYPE html><html><head><meta name="generator" content="MediaWiki 1.39"><title>Loom</title></head><body>
<p>Random page</p><div id="mw-content-text"><div class="mw-parser-output"><p>A loom weaves cloth out of threads.</p>
<h2>Parts<span class="mw-editsection">[edit]</span></h2><p>The treadle moves it, under your own foot.</p></div></div>
</body></html>"""


def kept(number, url="http://a.org/x", body="", type_="text/html", chrome=None, host=1):
    return KeptPage(number, url, body, type_, 0, number, host, "http://a.org", chrome)


def test_pages_are_read_like_files_and_named_by_their_addresses(tmp_path):
    objects = ObjectStore(tmp_path / "objects")
    bodies = {
        "text/html": b"<html><head><title>T</title></head><body><p>One page of a site.</p></body></html>",
        "text/plain": b"plain as it is\n",
        "text/markdown": b"\x89PNG no text at all",
    }
    pages = [kept(n, f"http://a.org/{n}#x", objects.put(body), type_) for n, (type_, body) in enumerate(bodies.items())]
    pages.append(kept(3, "http://a.org/wiki", objects.put(WIKI)))
    with PageReader(objects, Work(ReadSettings(html="all")), "test") as reader:
        found = reader.read(pages)
    assert [read.item.source for read in found] == [page.url for page in pages]
    html, plain, picture, wiki = (read.item for read in found)
    assert "One page of a site." in html.text
    assert html.metadata["crawl"] == "test"
    assert plain.text == "plain as it is\n"
    assert isinstance(picture, Refusal)
    assert "The treadle moves it" in wiki.text
    assert "Random page" not in wiki.text
    assert "[edit]" not in wiki.text


def read_pages(count, chrome=None):
    texts = [f"Menu of the site\nText of page {number}\n{'Early' if number < SAMPLE else 'Late'} line"
             for number in range(count)]  # fmt: skip
    return [ReadPage(kept(number, chrome=chrome), Document.from_text(text, "s")) for number, text in enumerate(texts)]


def test_chrome_is_found_on_the_first_pages_alone_however_many_are_given():
    expected = {"Menu of the site", "Early line"}
    assert learned_chrome(read_pages(SAMPLE)) == {1: expected}
    assert learned_chrome(list(reversed(read_pages(3 * SAMPLE)))) == {1: expected}
    assert learned_chrome(read_pages(SAMPLE, chrome=())) == {}


def test_a_page_without_its_chrome_is_another_document_and_says_so():
    page = read_pages(1)[0]
    assert cleaned(page, ()) is page.item
    assert cleaned(page, {"Nothing of it"}) is page.item
    rest = cleaned(page, {"Menu of the site"})
    assert rest.text == "Text of page 0\nEarly line"
    assert rest.metadata == {"chrome": "dropped"}
    nothing = cleaned(page, set(page.item.text.split("\n")))
    assert (nothing.reason, nothing.source) == ("empty", "s")
