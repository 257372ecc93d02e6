"""The crawl against a real server on loopback; what is asserted is what the server was asked for."""

import itertools
import socket
import time

import pytest

from treadle.data.crawl.config import CrawlSettings
from treadle.data.crawl.crawler import Crawler
from treadle.data.crawl.fetching import Fetcher, FetchError, FetchLimits, retry_after
from treadle.data.crawl.frontier import Frontier
from treadle.data.crawl.parser import PageParser
from treadle.data.crawl.rules import Boundaries, parse_rule
from treadle.data.readers.limited import Limits
from treadle.store.objects import ObjectStore

QUICK = {"rate": 500.0, "seconds": 5.0}


class Watcher:
    def __init__(self):
        self.moves = 0

    def moved(self):
        self.moves += 1


@pytest.fixture
def crawl(site, quick_folder):
    """Crawl the site once; gives where the pages are."""

    def run(*paths, stop=lambda: False, allow_private=True, now=None, blocked=(), parsing=20.0, **changes):
        settings = CrawlSettings(**{**QUICK, **changes})
        seeds = tuple(path if "://" in path else f"{site.url}{path}" for path in paths or ("/",))
        boundaries = Boundaries(
            seeds,
            settings.scope,
            tuple(map(parse_rule, blocked)),
            tuple(map(parse_rule, settings.include)),
            tuple(map(parse_rule, settings.exclude)),
            settings.depth,
            settings.url_length,
            settings.folder_pages,
        )
        with (
            Frontier(quick_folder / "crawl") as frontier,
            Fetcher("Treadle/test", allow_private=allow_private, connections=4) as fetcher,
            PageParser(Limits(seconds=parsing, memory=300 << 20)) as parser,
        ):
            room = frontier.kept_pages() < settings.max_pages
            frontier.begin(boundaries, now or time.time(), room=room, fresh_seconds=settings.fresh_hours * 3600)
            crawler = Crawler(frontier, fetcher, parser, ObjectStore(quick_folder / "objects"), settings, boundaries)
            run.over = crawler.run(stop, Watcher())
            run.troubles = {row["url"].removeprefix(site.url): row["reason"] for row in frontier.troubles(50)}
            run.frontier_rows = {row["url"].removeprefix(site.url): row for row in frontier.export()}
            return frontier.counts()

    return run


def test_every_page_is_asked_for_once_and_later_only_for_news(manual, crawl):
    first = crawl("/index.html")
    assert (first.pages, first.pending, first.new) == (31, 0, 31)
    asked = manual.asked(200)
    assert sorted(asked) == sorted(manual.pages)

    manual.log.clear()
    manual.touch("/about.html", manual.pages["/about.html"] + b"<p>More.")
    manual.touch("/lts.html", manual.pages["/lts.html"] + b"<p>Less.")
    second = crawl("/index.html")
    assert (second.pages, second.unchanged, second.changed, second.new) == (31, 29, 2, 0)
    assert sorted(manual.asked(200)) == ["/about.html", "/lts.html"]
    assert len(manual.asked(304)) == 29
    assert all(request.conditional for request in manual.log if request.status == 304)


def test_a_server_without_validators_tells_by_its_bytes(manual, crawl):
    manual.validators = False
    crawl("/index.html", max_pages=5)
    manual.touch("/index.html", manual.pages["/index.html"] + b"<p>New.")
    counts = crawl("/index.html", max_pages=5)
    assert (counts.changed, counts.unchanged) == (1, 4)


def test_one_host_is_asked_one_thing_at_a_time_and_not_faster_than_its_rate(manual, crawl):
    crawl("/index.html", rate=20.0, max_pages=8)
    times = [request.time for request in manual.log]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert manual.most_at_once == 1
    assert min(gaps) > 0.045


def test_robots_txt_is_asked_for_first_and_obeyed(site, site_server, crawl):
    site.pages["/robots.txt"] = b"User-agent: *\nDisallow: /private/\nAllow: /private/open\nCrawl-delay: 0.05\n"
    site.pages["/"] = site_server.page("Start", "Hello.", ["/private/x", "/private/open", "/public"])
    for path in ("/private/x", "/private/open", "/public"):
        site.pages[path] = site_server.page(path, "Text.")
    counts = crawl()
    assert site.log[0].path == "/robots.txt"
    assert "/private/x" not in site.asked()
    assert (counts.pages, counts.refused_by_robots) == (3, 1)
    times = [request.time for request in site.log]
    assert min(after - before for before, after in itertools.pairwise(times)) > 0.045


def test_while_robots_txt_cannot_be_had_nothing_else_is_asked_for(site, site_server, crawl):
    site.pages |= {"/robots.txt": b"User-agent: *\nDisallow:\n", "/": site_server.page("Start", "Hello.")}
    site.busy["/robots.txt"] = 2
    assert crawl().pages == 1
    assert [request.path for request in site.log][:3] == ["/robots.txt"] * 3
    site.log.clear()
    site.busy["/robots.txt"] = 99


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(site, site_server, crawl):
    site.pages |= {"/": site_server.page("Start", "Hello.", ["/a", "/b"]), "/a": b"<p>a", "/b": b"<p>b"}
    site.busy["/a"] = 1
    site.retry_after = "1"
    assert crawl().pages == 3
    busy = next(request for request in site.log if request.status == 429)
    later = [request.time for request in site.log if request.time > busy.time]
    assert min(later) - busy.time >= 0.95


def test_a_server_that_is_never_free_is_given_up_for_this_round(site, site_server, crawl):
    site.pages |= {"/": site_server.page("Start", "Hello.", ["/a", "/b"]), "/a": b"<p>a", "/b": b"<p>b"}
    site.busy |= {"/a": 999, "/b": 999}
    counts = crawl()
    assert (counts.pages, counts.failed, counts.pending) == (1, 2, 0)
    assert crawl.over
    assert set(crawl.troubles.values()) == {"host_down"}


def test_a_host_that_is_not_there_is_given_up_soon(crawl):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/"
        counts = crawl(nobody)
    assert (counts.pages, counts.failed) == (0, 1)
    assert crawl.troubles == {nobody: "host_down"}


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ("/_/silent", "timed_out"),
        ("/_/drip", "timed_out"),
        ("/_/huge-headers", "bad_answer"),
        ("/_/endless", "too_large"),
        ("/_/bomb", "too_large"),
        ("/_/damaged", "bad_answer"),
        ("/_/garbage", "bad_answer"),
        ("/_/cut", "bad_answer"),
    ],
)
def test_a_hostile_answer_is_refused_with_its_reason_in_bounded_time(site, route, reason):
    seconds = 0.7 if reason == "timed_out" else 30.0
    with Fetcher("Treadle/test", allow_private=True, connections=1) as fetcher:
        begin = time.monotonic()
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(f"{site.url}{route}", FetchLimits(seconds, bytes=1_000_000))
        assert time.monotonic() - begin < 25
    assert caught.value.trouble == reason
    assert caught.value.said


def test_hostile_pages_end_as_failures_and_the_crawl_goes_on(site, site_server, crawl):
    site.pages["/fine"] = b"<p>Fine."
    bad = ["/_/cut", "/_/huge-headers", "/_/garbage", "/_/failing", "/picture.png", "/missing"]
    site.pages["/picture.png"] = b"\x89PNG"
    site.pages["/"] = site_server.page("Start", "Hello.", [*bad, "/fine"])
    counts = crawl(seconds=1.0)
    assert (counts.pages, counts.failed) == (2, len(bad))
    assert crawl.troubles["/picture.png"] == "content_type"
    assert crawl.troubles["/missing"] == "not_found"
    assert crawl.troubles["/_/failing"] == "status_500"
    asked = site.asked()
    assert asked.count("/_/failing") == 3
    assert asked.count("/missing") == 1


def test_a_page_that_holds_up_or_kills_its_parser_is_refused_and_the_crawl_goes_on(site, site_server, crawl):
    endless = b"<b>" + b"<div>" * 100_000 + b"</b>" * 100_000  # its parsing takes the square of its length
    bold = b"".join(b"<b a=%d>" % number for number in range(1_000))
    bomb = b"<p>" + bold + b"<p>x" * 2_000  # each paragraph opens again all that is bold: two million elements
    site.pages |= {"/endless": endless, "/bomb": bomb, "/fine": b"<p>Fine."}
    site.pages["/"] = site_server.page("Start", "Hello.", ["/endless", "/bomb", "/fine"])
    counts = crawl(parsing=2.0)
    assert (counts.pages, counts.failed, counts.pending) == (2, 2, 0)
    assert crawl.troubles["/endless"] == "parser_stalled"
    assert crawl.troubles["/bomb"] in {"parser_crashed", "parser_stalled", "unreadable"}
    assert site.asked().count("/endless") == 1  # no other attempt


def test_redirects_are_followed_and_loops_end(site, site_server, crawl):
    site.pages |= {"/": site_server.page("Start", "Hello.", ["/old", "/a", "/self"]), "/new": b"<p>New."}
    site.redirects = {"/old": "/new", "/a": "/b", "/b": "/c", "/c": "/a", "/self": "/self"}
    counts = crawl()
    assert (counts.pages, counts.redirects) == (2, 3)
    assert "redirect_loop" in crawl.troubles.values()
    assert max(map(site.asked().count, site.asked())) == 1


def test_an_endless_chain_of_redirects_ends(site, site_server, crawl):
    site.pages["/"] = site_server.page("Start", "Hello.", ["/r/0"])
    site.redirects = {f"/r/{number}": f"/r/{number + 1}" for number in range(200)}
    counts = crawl()
    assert counts.pages == 1
    assert len(site.asked()) < 30


def test_the_host_that_the_start_redirects_to_belongs_to_the_crawl(site, site_server, crawl):
    port = site.server.server_address[1]
    site.redirects = {"/start": f"http://localhost:{port}/"}
    site.pages |= {"/": site_server.page("Start", "Hello.", ["/x"]), "/x": b"<p>x"}
    counts = crawl("/start")
    assert counts.pages == 2
    assert {request.host for request in site.log if request.path == "/x"} == {f"localhost:{port}"}


def test_private_addresses_are_refused_through_names_and_redirects_alike(site, crawl):
    site.pages["/"] = b"<p>secret"
    port = site.server.server_address[1]
    counts = crawl(f"http://localhost:{port}/", f"http://127.0.0.1:{port}/", allow_private=False)
    assert (counts.pages, counts.failed) == (0, 2)
    assert site.log == []


def test_a_trap_ends_at_its_limits(site, site_server, crawl):
    site.pages["/"] = site_server.page("Start", "Hello.", ["/_/trap"])
    counts = crawl(depth=30, folder_pages=6, max_pages=60)
    assert crawl.over
    assert counts.pages < 40
    assert {"repeated_parts", "folder_full"} <= set(counts.left_out)


def test_depth_includes_and_excludes_decide_what_is_followed(site, site_server, crawl):
    site.pages |= {
        "/": site_server.page("0", "x", ["/docs/1", "/blog/1"]),
        "/docs/1": site_server.page("1", "x", ["/docs/2", "/docs/private"]),
        "/docs/2": site_server.page("2", "x", ["/docs/3"]),
        "/docs/3": b"<p>3",
        "/docs/private": b"<p>p",
        "/blog/1": b"<p>b",
    }
    counts = crawl(depth=2, include=("/docs/",), exclude=("/docs/private",))
    assert sorted(site.asked()) == ["/", "/docs/1", "/docs/2"]
    assert counts.left_out == {"depth": 1, "exclude": 1, "include": 1}
    site.log.clear()
    counts = crawl(depth=3, blocked=("/docs/2",))  # other boundaries: what was left out is decided anew
    assert counts.left_out == {}
    assert {"/docs/3", "/docs/private", "/blog/1"} <= set(site.asked())


def test_the_limit_of_pages_holds_and_a_higher_one_goes_on(manual, crawl):
    assert crawl("/index.html", max_pages=7).pages == 7
    assert len(manual.asked(200)) == 7
    counts = crawl("/index.html", max_pages=12)
    assert (counts.pages, counts.round) == (12, 1)
    assert len(manual.asked(200)) == 12
    assert max(map(manual.asked().count, manual.asked())) == 1
    counts = crawl("/index.html", max_pages=12)
    assert (counts.round, counts.unchanged) == (2, 12)


def test_sitemaps_and_feeds_lead_to_pages(site, site_server, crawl):
    feed = '<link rel="alternate" type="application/atom+xml" href="/atom.xml">'
    site.pages |= {
        "/robots.txt": f"Sitemap: {site.url}/map-index.xml\n".encode(),
        "/map-index.xml": f"<sitemapindex><sitemap><loc>{site.url}/map.xml</loc></sitemap></sitemapindex>".encode(),
        "/map.xml": f"<urlset><url><loc>{site.url}/hidden</loc></url></urlset>".encode(),
        "/atom.xml": b'<feed><entry><link href="/news"/></entry></feed>',
        "/": site_server.page("Start", "x", head=feed),
        "/hidden": b"<p>hidden",
        "/news": b"<p>news",
    }
    counts = crawl()
    assert counts.pages == 3
    assert {"/hidden", "/news"} <= set(site.asked())
    site.log.clear()
    assert crawl(sitemaps=False).pages == 3


def test_without_sitemaps_none_is_looked_for(site, crawl):
    site.pages["/"] = b"<p>x"
    crawl(sitemaps=False)
    assert "/sitemap.xml" not in [request.path for request in site.log]


def test_a_page_that_names_its_proper_address_is_kept_once(site, site_server, crawl):
    proper = '<link rel="canonical" href="/real">'
    site.pages |= {
        "/": site_server.page("Start", "x", ["/real?from=mail", "/real", "/orphan"]),
        "/real": site_server.page("Real", "y", head=proper),
        "/real?from=mail": site_server.page("Real", "y", head=proper),
        "/orphan": site_server.page("Orphan", "z", head='<link rel="canonical" href="/nowhere">'),
    }
    counts = crawl()
    assert (counts.pages, counts.copies, counts.unfed) == (3, 1, 3)  # the orphan's proper page is not there
    assert "/nowhere" in site.asked()


def test_pages_that_ask_not_to_be_kept_are_not(site, site_server, crawl):
    site.pages |= {"/": site_server.page("Start", "x", ["/no", "/header"]), "/header": b"<p>h"}
    site.pages["/no"] = site_server.page("No", "x", ["/beyond"], head='<meta name="robots" content="noindex">')
    site.pages["/beyond"] = b"<p>beyond"
    site.headers["/header"] = {"X-Robots-Tag": "noindex"}
    counts = crawl()
    assert (counts.pages, counts.reasons) == (2, {"noindex": 2})


def test_what_has_gone_gets_a_tombstone_and_is_asked_for_again_after_a_week(site, site_server, crawl):
    site.pages |= {"/": site_server.page("Start", "x", ["/a", "/b"]), "/a": b"<p>a", "/b": b"<p>b"}
    crawl()
    site.gone.add("/a")
    del site.pages["/b"]
    counts = crawl()
    assert (counts.pages, counts.gone) == (1, 2)
    site.log.clear()
    assert crawl().gone == 2
    assert site.asked() == ["/"]
    site.gone.clear()
    counts = crawl(now=time.time() + 8 * 86_400)
    assert (counts.pages, counts.gone) == (2, 0) or site.asked().count("/a") == 1


def test_fresh_pages_are_not_asked_for_again(manual, crawl):
    crawl("/index.html", max_pages=5)
    manual.log.clear()
    crawl("/index.html", max_pages=5, fresh_hours=1.0)
    assert manual.asked() == []


def test_a_stop_keeps_what_was_asked_for_and_the_same_call_goes_on(manual, crawl):
    counts = crawl("/index.html", stop=lambda: len(manual.asked()) >= 10)
    assert not crawl.over
    assert counts.pages == len(manual.asked(200))
    counts = crawl("/index.html")
    assert crawl.over
    assert (counts.pages, counts.round) == (31, 1)
    assert sorted(manual.asked(200)) == sorted(manual.pages)
    assert max(map(manual.asked().count, manual.asked())) == 1


def test_waiting_as_long_as_a_server_says_in_seconds_or_as_a_date():
    from treadle.data.crawl.fetching import Answer

    def seconds(value):
        return retry_after(Answer(429, {"retry-after": value}, "", b""), 1_700_000_000.0)

    assert seconds("12") == 12
    assert seconds("Tue, 14 Nov 2023 22:14:00 GMT") == 40.0
    assert seconds("soon") is None
    assert seconds("") is None
