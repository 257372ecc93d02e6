import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data.crawl.robots import MOST_BYTES, Robots, parse_robots

HOST = "http://h.org"


def allowed(text, path):
    return parse_robots(text.encode()).decide(HOST + path)[0]


@pytest.mark.parametrize(
    ("rules", "path", "may"),
    [  # the examples of RFC 9309, section 2.2 and 5, among others
        ("Allow: /example/page/\nDisallow: /example/page/disallowed.gif", "/example/page/", True),
        ("Allow: /example/page/\nDisallow: /example/page/disallowed.gif", "/example/page/disallowed.gif", False),
        ("Disallow: /\nAllow: /p", "/page", True),
        ("Allow: /folder\nDisallow: /folder", "/folder/x", True),
        ("Allow: /page\nDisallow: /*.htm", "/page.htm", False),
        ("Allow: /$\nDisallow: /", "/", True),
        ("Allow: /$\nDisallow: /", "/page.htm", False),
        ("Disallow: *.gif$", "/a.gif", False),
        ("Disallow: *.gif$", "/a.gifs", True),
        ("Disallow: /*/x/*/y", "/a/x/b/y", False),
        ("Disallow: /*/x/*/y", "/a/x/y", True),
        ("Disallow:", "/anything", True),
        ("Disallow: /caf%C3%A9", "/caf%C3%A9/1", False),
        ("Disallow: /café", "/caf%C3%A9/1", False),
        ("Disallow: /%7Ejoe", "/~joe/", False),
        ("Disallow: /a?b=", "/a?b=1", False),
        ("Disallow: x", "/xyz", False),
        ("Disallow: /a$b", "/a$bc", False),
    ],
)
def test_the_longest_rule_decides(rules, path, may):
    assert allowed(f"User-agent: *\n{rules}", path) is may


def test_our_own_group_stands_before_that_of_everybody():
    text = "User-agent: *\nDisallow: /\n\nUser-agent: Treadle/2.0\nUser-agent: other\nDisallow: /ours\nCrawl-delay: 2\n"
    robots = parse_robots(text.encode())
    assert robots.decide(f"{HOST}/page")[0]
    assert not robots.decide(f"{HOST}/ours/1")[0]
    assert robots.delay == 2.0


def test_groups_about_us_are_one_and_others_do_not_concern_us():
    text = "user-agent: treadle\ndisallow: /a\nuser-agent: treadlemill\ndisallow: /b\nuser-agent: TREADLE\ndisallow: /c"
    assert [allowed(text, path) for path in ("/a", "/b", "/c")] == [False, True, False]


def test_the_rule_that_decided_is_told_with_its_line():
    _, rule = parse_robots(b"# hello\nUser-agent: *\nDisallow: /private\n").decide(f"{HOST}/private/x")
    assert str(rule) == "Disallow: /private (line 3 of robots.txt)"


def test_sitemaps_and_delays_are_read_whoever_they_are_under():
    robots = parse_robots(
        b"\xef\xbb\xbfSitemap: http://h.org/s.xml\nUser-agent: *\nCrawl-delay: 99999\nCrawl-delay: x\n"
    )
    assert robots.sitemaps == ("http://h.org/s.xml",)
    assert robots.delay == 300.0


def test_what_is_kept_is_what_was_read():
    robots = parse_robots(b"User-agent: *\nDisallow: /a*b$\nAllow: /c\nCrawl-delay: 1.5\nSitemap: http://h.org/s.xml")
    assert Robots.from_json(robots.to_json()) == robots


@given(st.binary(max_size=300))
def test_no_file_does_harm(data):
    parse_robots(data).decide(f"{HOST}/x")
    parse_robots(b"user-agent: *\ndisallow: " + data).decide(f"{HOST}/x?y")


def test_five_megabytes_are_read_in_part_and_quickly():
    begin = time.process_time()
    robots = parse_robots(b"user-agent: *\n" + b"disallow: /*a*a*a*a*a*a*a*a*a*b$\n" * 160_000)
    assert len(robots.rules) == 10_000
    assert robots.decide(f"{HOST}/{'a' * 1900}")[0]
    assert time.process_time() - begin < 20
    assert MOST_BYTES < 1 << 20
