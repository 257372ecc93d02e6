"""All visible text of HTML, with the standard library's tolerant parser: blocks become lines, scripts are left out."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from treadle.data.readers.parsing import tidy

_UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg", "math", "iframe", "object", "select"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PARAGRAPHS = _HEADINGS | {"p", "blockquote", "pre", "table", "ul", "ol", "dl", "section", "article", "div"}
_BLOCKS = _PARAGRAPHS | frozenset(
    {"address", "aside", "body", "dd", "details", "dialog", "dt", "fieldset", "figcaption", "figure", "footer", "form"}
    | {"header", "hr", "li", "main", "nav", "summary", "tbody", "tfoot", "thead", "tr", "caption", "br", "option"}
)
_VOID = frozenset({"br", "hr"})
"""Blocks that are never closed."""
_SPACES = re.compile(r"\s+")


class _Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self.language: str | None = None
        self.metadata: dict[str, str] = {}
        self._unseen: list[str] = []
        self._pre = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.language = dict(attrs).get("lang") or self.language
        elif tag == "title" and not self.title:
            self._in_title = True
        elif tag == "meta":
            self._note(dict(attrs))
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in _BLOCKS:
            self._break(tag)
        elif tag in {"td", "th"} and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\t")
        self._pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        elif tag in _BLOCKS and tag not in _VOID:
            self._break(tag)
        self._pre -= tag == "pre" and self._pre > 0

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif self._pre and not self._unseen:
            self.parts.append(data)
        elif not self._unseen:
            self.parts.append(_SPACES.sub(" ", data))

    def _break(self, tag: str) -> None:
        self.parts.append("\n\n" if tag in _PARAGRAPHS else "\n")

    def _note(self, attributes: dict[str, str | None]) -> None:
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        content = attributes.get("content")
        if content and name in {"author", "description", "date", "keywords", "og:title", "article:published_time"}:
            self.metadata.setdefault(name, content.strip())


def visible_text(markup: str) -> tuple[str, dict[str, str]]:
    """All text that a page shows, and what it says of itself: `title`, `language`, `author`, `description`, ..."""
    parser = _Visible()
    parser.feed(markup)
    parser.close()
    title = _SPACES.sub(" ", "".join(parser.title)).strip()
    facts = {key: html.unescape(value) for key, value in parser.metadata.items()}
    if title:
        facts["title"] = title
    if parser.language:
        facts["language_stated"] = parser.language
    return tidy("".join(parser.parts)), facts
