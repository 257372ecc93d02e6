"""Looking through pages in a process with limits: what it dies of is refused, and the next page is looked through."""

import os
import signal
import threading
import time

import pytest

from treadle.data.crawl.fetching import Answer
from treadle.data.crawl.found import Found, PageFacts
from treadle.data.crawl.parser import PageParser, ParsingError
from treadle.data.readers.limited import Limits

HERE = "http://a.org/x"
ENDLESS = b"<b>" + b"<div>" * 100_000 + b"</b>" * 100_000
"""A page whose parsing takes the square of its length."""
BOMB = b"<p>" + b"".join(b"<b a=%d>" % number for number in range(1_000)) + b"<p>x" * 2_000
"""A page of 17 kB that is a tree of two million elements: each paragraph opens again all that is bold."""


def answer(body, type_="text/html", **headers):
    return Answer(200, headers, type_, body)


def looked_through(parser, body, type_="text/html", **headers):
    return parser.look_through(HERE, answer(body, type_, **headers), strip_tracking=True)


def test_what_a_page_and_a_list_hold_is_told():
    with PageParser() as parser:
        page = looked_through(parser, b'<a href="y?utm_source=z">y</a><link rel=canonical href="/real">')
        assert page == Found(PageFacts(("http://a.org/y",), (), "http://a.org/real"))
        assert not looked_through(parser, b"<p>x", **{"x-robots-tag": "noindex"}).facts.keep
        listed = looked_through(parser, b"<urlset><loc>http://a.org/1</loc></urlset>", "text/xml")
        assert (listed.is_list, listed.pages) == (True, ("http://a.org/1",))
        assert looked_through(parser, b"\x89PNG", "image/png") == Found()
        wiki = b'<meta name=generator content="MediaWiki 1"><a href="/wiki/Loom">1</a><a href="/wiki/Special:Log">2</a>'
        assert looked_through(parser, wiki).facts.links == ("http://a.org/wiki/Loom",)
        assert parser._process.restarts == 0


def test_a_page_that_finds_no_end_is_refused_in_bounded_time():
    with PageParser(Limits(seconds=1)) as parser:
        begin = time.monotonic()
        with pytest.raises(ParsingError, match="found no end in 1 s") as caught:
            looked_through(parser, ENDLESS)
        assert caught.value.trouble == "parser_stalled"
        assert time.monotonic() - begin < 60
        assert looked_through(parser, b'<a href="/y">').facts.links == ("http://a.org/y",)
        assert parser._process.restarts == 1


def test_a_page_that_wants_all_memory_is_refused():
    with PageParser(Limits(memory=300 << 20)) as parser:
        with pytest.raises(ParsingError):
            looked_through(parser, BOMB)
        assert looked_through(parser, b'<a href="/y">').facts.links == ("http://a.org/y",)


def test_a_parser_that_is_killed_costs_the_page_that_it_was_at_and_none_if_it_was_idle():
    with PageParser() as parser:
        looked_through(parser, b"<p>x")
        os.kill(parser._process.id, signal.SIGKILL)
        parser._process.last_words()
        assert looked_through(parser, b'<a href="/y">').facts.links == ("http://a.org/y",)
        killer = threading.Timer(0.5, os.kill, (parser._process.id, signal.SIGKILL))
        killer.start()
        with pytest.raises(ParsingError, match="signal 9") as caught:
            looked_through(parser, ENDLESS)
        killer.join()
        assert caught.value.trouble == "parser_crashed"
