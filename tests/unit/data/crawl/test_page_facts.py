from hypothesis import given
from hypothesis import strategies as st

from treadle.data.crawl.lists import addresses_in, kind_of_list
from treadle.data.crawl.page_facts import page_facts

HERE = "http://a.org/docs/page.html"


def facts(body, header=""):
    return page_facts(HERE, body.encode(), header)


def test_links_come_once_in_the_order_of_the_page():
    found = facts(
        '<a href="b.html">b</a><a href="a.html#x">a</a><a href="b.html#y">b</a><a href="#z">z</a><a href="tel:1">t</a>'
        '<area href="/c"><iframe src="d.html"></iframe><a href="page.html">itself</a>'
    )
    assert found.links == (
        "http://a.org/docs/b.html",
        "http://a.org/docs/a.html",
        "http://a.org/c",
        "http://a.org/docs/d.html",
    )


def test_links_are_relative_to_the_base_that_the_page_names():
    assert facts('<base href="/other/"><a href="b">b</a>').links == ("http://a.org/other/b",)


def test_a_page_may_ask_not_to_be_kept_or_followed():
    assert not facts('<meta name="robots" content="NOINDEX, follow"><a href="b">b</a>').keep
    assert facts('<meta name="robots" content="noindex"><a href="b">b</a>').links
    none = facts('<meta name="robots" content="none"><a href="b">b</a>')
    assert (none.keep, none.links) == (False, ())
    assert facts('<a rel="nofollow ugc" href="b">b</a>').links == ()
    assert not facts("<p>x", "noindex").keep
    assert facts('<a href="b">b</a>', "googlebot: nofollow, nofollow").links == ()


def test_the_proper_address_is_told_where_it_is_another():
    assert facts('<link rel="canonical" href="/real.html">').canonical == "http://a.org/real.html"
    assert facts(f'<link rel="canonical" href="{HERE}#x">').canonical is None


def test_feeds_that_a_page_names_are_found():
    found = facts('<link rel="alternate" type="application/rss+xml" href="/feed"><link rel="alternate" href="/fr/">')
    assert found.feeds == ("http://a.org/feed",)


@given(st.binary(max_size=400))
def test_no_page_does_harm(data):
    page_facts(HERE, data)
    page_facts(HERE, b'<a href="' + data + b'"><base href="' + data + b'"><meta name=robots content=' + data)
    kind_of_list(data)
    addresses_in(HERE, b"<urlset><loc>" + data + b"</loc><link href=" + data)


def test_a_line_of_ten_megabytes_is_looked_through_like_any_other():
    found = page_facts(HERE, b'<a href="b">' + b"x" * 10_000_000 + b'<a href="c">')
    assert found.links == ("http://a.org/docs/b", "http://a.org/docs/c")


def test_sitemaps_name_pages_and_further_sitemaps():
    sitemap = b"""<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
        <url><loc> http://a.org/1?x=1&amp;y=2 </loc></url><url><loc><![CDATA[http://a.org/2]]></loc></url></urlset>"""
    assert addresses_in(HERE, sitemap) == (["http://a.org/1?x=1&y=2", "http://a.org/2"], [])
    index = b"<sitemapindex><sitemap><loc>http://a.org/s1.xml.gz</loc></sitemap></sitemapindex>"
    assert addresses_in(HERE, index) == ([], ["http://a.org/s1.xml.gz"])


def test_a_packed_sitemap_is_unpacked():
    import gzip

    packed = gzip.compress(b"<urlset><url><loc>http://a.org/1</loc></url></urlset>")
    assert kind_of_list(packed) == "urlset"
    assert addresses_in(HERE, packed) == (["http://a.org/1"], [])
    assert kind_of_list(packed[:12]) is None


def test_feeds_name_their_items():
    rss = b"<rss><channel><link>http://a.org/</link><item><link>http://a.org/1</link></item></channel></rss>"
    assert addresses_in(HERE, rss)[0] == ["http://a.org/", "http://a.org/1"]
    atom = (
        b"""<feed><link rel="self" href="/atom"/><entry><link href="/1"/><link rel="edit" href="/e"/></entry></feed>"""
    )
    assert addresses_in(HERE, atom)[0] == ["http://a.org/1"]


def test_entities_of_a_hostile_list_stay_what_they_are():
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><urlset><loc>http://a.org/&b;</loc></urlset>'
    assert addresses_in(HERE, bomb)[0] == ["http://a.org/&b;"]
