import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data.crawl.urls import (
    AddressError,
    folder_of,
    name_of,
    normalise,
    origin_of,
    path_of,
    resolve,
    trap,
)

hosts = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?(\.[a-z]{2,6}){1,2}", fullmatch=True)
paths = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.sampled_from(["http", "https", "HTTP", "hTTps"]), hosts, paths, paths)
def test_a_normalised_address_is_its_own_normal_form(scheme, host, path, query):
    address = f"{scheme}://{host}/{path}?{query}"
    try:
        once = normalise(address)
    except AddressError:
        return
    assert normalise(once) == once
    assert once.isascii()
    assert once.startswith(("http://", "https://"))
    assert "#" not in once
    assert "/../" not in path_of(once).partition("?")[0]


@given(st.text(max_size=80))
def test_no_text_does_anything_but_become_an_address_or_be_refused(text):
    for address in (text, f"http://{text}", f"http://a.org/{text}"):
        with contextlib.suppress(AddressError):
            found = normalise(address)
            assert origin_of(found) + path_of(found) == found
            assert name_of(found) in found
            assert path_of(found).startswith(folder_of(found).rstrip("?"))
    resolve("http://a.org/x/y", text)


@given(hosts, st.text("abc/.", max_size=30))
def test_a_link_and_its_absolute_form_lead_to_the_same_address(host, path):
    base = f"http://{host}/"
    assert resolve(base, "/" + path.lstrip("/")) == resolve(base, f"http://{host}/" + path.lstrip("/"))


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("http://example.org:8080/a", "http://example.org:8080/a"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://user:word@example.org/a", "http://example.org/a"),
        ("http://example.org/a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/../../c", "http://example.org/c"),
        ("http://example.org/a/..", "http://example.org/"),
        ("http://example.org/%7euser/%2e%2e/x", "http://example.org/x"),
        ("http://example.org/a%2fb", "http://example.org/a%2Fb"),
        ("http://example.org/100%", "http://example.org/100%25"),
        ("http://example.org/ä b", "http://example.org/%C3%A4%20b"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://example.org/a#part", "http://example.org/a"),
        ("http://example.org/a?", "http://example.org/a"),
        ("http://example.org?q=1", "http://example.org/?q=1"),
        ("http://example.org/a?b=1&a=2", "http://example.org/a?b=1&a=2"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"),
        (" http://example.org/a\n", "http://example.org/a"),
    ],
)
def test_addresses_that_name_the_same_page_become_the_same(written, normal):
    assert normalise(written) == normal


BAD = ("", "example.org", "ftp://a.org/", "javascript:alert(1)", "http://", "http:///x", "http://a b/", "http://[::1")
LONG = ("http://" + "a" * 64 + ".org/", "http://a.org/" + "x" * 9000)


@pytest.mark.parametrize("text", [*BAD, *LONG, "http://a:99999/", "http://-a.org/", "http://a..b/"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressError):
        normalise(text)


def test_parameters_of_trackers_go_only_when_told():
    address = "http://a.org/x?utm_source=mail&id=7&fbclid=abc"
    assert normalise(address) == address
    assert normalise(address, strip_tracking=True) == "http://a.org/x?id=7"
    assert normalise("http://a.org/x?gclid=1", strip_tracking=True) == "http://a.org/x"


@pytest.mark.parametrize("link", ["#top", "", "mailto:a@b.org", "javascript:void(0)", "data:text/html,x", "tel:1"])
def test_links_that_lead_to_no_page_lead_nowhere(link):
    assert resolve("http://a.org/x", link) is None


def test_links_are_relative_to_their_page():
    base = "http://a.org/docs/guide/one.html?x=1"
    assert resolve(base, "two.html") == "http://a.org/docs/guide/two.html"
    assert resolve(base, "../") == "http://a.org/docs/"
    assert resolve(base, "//b.org/x") == "http://b.org/x"
    assert resolve(base, "?y=2") == "http://a.org/docs/guide/one.html?y=2"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/b/c.html", None),
        ("2024/01/01/2024/", None),
        ("a/" * 4, "repeated_parts"),
        ("x/a/b/a/b/a/b/y", "repeated_parts"),
        ("/".join(map(str, range(30))), "too_many_parts"),
        ("a?" + "&".join(f"p{n}=1" for n in range(30)), "too_many_parts"),
        ("x" * 3000, "too_long"),
    ],
)
def test_addresses_without_end_are_told(path, reason):
    assert trap(normalise(f"http://a.org/{path}"), 2000) == reason


def test_the_quota_of_a_folder_counts_queries_of_one_page_together():
    assert folder_of("http://a.org/x/y.html") == "/x/"
    assert folder_of("http://a.org/list?page=7") == folder_of("http://a.org/list?page=8") == "/list?"
