import pytest

from treadle.base.errors import UsageError
from treadle.data.crawl.config import checked_settings
from treadle.data.crawl.rules import Boundaries, Rule, parse_rule

SEED = "https://docs.example.org/guide/"


def boundaries(**changes):
    facts = {"seeds": (SEED,), "scope": "host", "blocked": (), "include": (), "exclude": (), "depth": 3}
    for name in ("blocked", "include", "exclude"):
        if name in changes:
            changes[name] = tuple(map(parse_rule, changes[name]))
    return Boundaries(**{**facts, **changes})


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("exact:HTTP://A.org/x", Rule("exact", "http://a.org/x")),
        ("prefix:https://a.org/x/", Rule("prefix", "https://a.org/x/")),
        ("https://a.org/x/", Rule("prefix", "https://a.org/x/")),
        ("domain:Ads.Example", Rule("domain", "ads.example")),
        ("ads.example", Rule("domain", "ads.example")),
        ("/private/", Rule("path", "/private/")),
        ("path:private", Rule("path", "/private")),
        (r"regex:\d{4}", Rule("regex", r"\d{4}")),
    ],
)
def test_a_rule_is_read_as_it_is_meant_and_written_in_one_way(text, rule):
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize("text", ["", "exact:", "regex:(", "exact:nothing", "domain:a b", "two words"])
def test_what_is_no_rule_is_refused_with_the_ways_to_write_one(text):
    with pytest.raises(UsageError, match=r"rule|expression"):
        parse_rule(text)


@pytest.mark.parametrize(
    ("rule", "address", "matches"),
    [
        ("exact:http://a.org/x", "http://a.org/x", True),
        ("exact:http://a.org/x", "http://a.org/xy", False),
        ("domain:a.org", "http://a.org/", True),
        ("domain:a.org", "http://sub.a.org:8080/", True),
        ("domain:a.org", "http://ba.org/", False),
        ("prefix:http://a.org/x", "http://a.org/xy", True),
        ("path:/x/", "http://b.org/x/1", True),
        ("path:/x/", "http://b.org/y/x/1", False),
        (r"regex:[?&]page=\d+$", "http://a.org/l?page=12", True),
        (r"regex:[?&]page=\d+$", "http://a.org/l?page=x", False),
    ],
)
def test_each_kind_matches_what_it_says(rule, address, matches):
    assert parse_rule(rule).matches(address) is matches


@pytest.mark.parametrize(
    ("changes", "address", "depth", "reason"),
    [
        ({}, SEED, 0, "given"),
        ({}, "https://docs.example.org/x", 3, "scope"),
        ({}, "https://docs.example.org/x", 4, "depth"),
        ({}, "https://example.org/x", 1, "scope"),
        ({"scope": "domain"}, "https://api.docs.example.org/x", 1, "scope"),
        ({"scope": "any"}, "https://other.org/x", 1, "scope"),
        ({"blocked": ["/x"]}, "https://docs.example.org/x", 1, "rule"),
        ({"blocked": ["/guide/"]}, SEED, 0, "rule"),
        ({"exclude": ["/x"], "include": ["/x"]}, "https://docs.example.org/x", 1, "exclude"),
        ({"include": ["/guide/"]}, "https://docs.example.org/guide/2", 1, "include"),
        ({"include": ["/guide/"]}, "https://docs.example.org/blog/2", 1, "include"),
        ({}, "https://docs.example.org/a/a/a/a/", 1, "repeated_parts"),
    ],
)
def test_the_verdict_names_what_decided(changes, address, depth, reason):
    verdict = boundaries(**changes).verdict(address, depth)
    assert verdict.reason == reason
    assert verdict.rule


@pytest.mark.parametrize(
    ("changes", "address", "allowed"),
    [
        ({}, "https://docs.example.org/x", True),
        ({}, "https://example.org/x", False),
        ({"scope": "domain"}, "https://api.docs.example.org/x", True),
        ({"scope": "domain"}, "https://example.org/x", False),
        ({"scope": "any"}, "https://other.org/x", True),
        ({"include": ["/guide/"]}, "https://docs.example.org/blog/", False),
    ],
)
def test_scope_and_includes_let_in_what_they_say(changes, address, allowed):
    assert boundaries(**changes).verdict(address, 1).allowed is allowed


def test_a_host_to_which_a_given_address_redirects_belongs_to_the_crawl():
    found = boundaries().verdict("https://www.docs.example.org/x", 1, ["www.docs.example.org"])
    assert found.allowed


def test_a_wrong_setting_is_named_as_its_flag():
    with pytest.raises(UsageError, match=r"--max-pages 0"):
        checked_settings({"max_pages": 0})
    with pytest.raises(UsageError, match="regular expression"):
        checked_settings({"exclude": ("regex:(",)})
    assert checked_settings({"include": ["/a/"]})["include"] == ["/a/"]
