"""Markdown of others becomes HTML that can do no harm."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.web.markdown import rendered

_TAGS = re.compile(r"<(/?)([a-z0-9]+)((?:\s[^<>]*)?)>")
_KNOWN = {
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "a", "em", "strong", "code", "pre", "blockquote", "hr",
    "br", "table", "thead", "tbody", "tr", "th", "td", "s", "span",
}  # fmt: skip


def test_markdown_reads_as_it_was_meant():
    text = rendered("# Plan\n\n- **now**\n- ~~later~~\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n")
    assert "<h1>Plan</h1>" in text
    assert "<strong>now</strong>" in text
    assert "<s>later</s>" in text
    assert '<td>1</td>\n<td class="num">2</td>' in text


def test_tasks_that_are_indented_deeply_stay_visible():
    assert "<code>" not in rendered("- a\n        - [ ] deep\n\n      more\n")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html,x)",
        "[x](file:///etc/passwd)",
        "![x](https://elsewhere.example/pixel.png)",
        "![x](javascript:alert(1))",
        '<https://a.org/"onmouseover=alert(1)>',
        '[x](https://a.org "\\"onmouseover=alert(1)")',
        "[x][y]\n\n[y]: javascript:alert(1)",
    ],
)  # fmt: skip
def test_nothing_in_it_runs_or_loads(text):
    assert_harmless(rendered(text))


def assert_harmless(html):
    for _, name, attributes in _TAGS.findall(html):
        assert name in _KNOWN
        for attribute, value in re.findall(r'([a-z-]+)="([^"]*)"', attributes):
            assert attribute in {"href", "rel", "target", "title", "start", "class"}
            if attribute == "href":
                assert re.match(r"https?://|mailto:|/flow/read\?path=|#", value)


@given(st.text(alphabet="<>[]()!\"'`*_~#|-:/\\&;=\n ajvscriptxon.", max_size=80))
def test_whatever_is_written_the_html_is_harmless(text):
    assert_harmless(rendered(text))


def test_links_to_other_notes_lead_to_their_page():
    text = rendered("[a](../active/tasks.md#log) [b](ideas.md) [c](https://a.org) [d](#here)", "planning/plan.md")
    assert 'href="/flow/read?path=active/tasks.md#log"' in text
    assert 'href="/flow/read?path=planning/ideas.md"' in text
    assert 'href="https://a.org" rel="noopener noreferrer nofollow" target="_blank"' in text
    assert 'href="#here"' in text
