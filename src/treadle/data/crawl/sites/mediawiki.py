"""MediaWiki: articles are followed, the machinery around them is not; edit links and navigation are no text."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from treadle.data.crawl.urls import path_of

_MACHINERY = re.compile(
    r"[?&](action|oldid|diff|curid|printable|redirect|returnto|mobileaction|useskin|veaction|section|search|limit"
    r"|from|until|pagefrom|pageuntil|hidelinks|hideredirs|hidetrans)="
    r"|(/|title=)(Special|Spezial|Sp%C3%A9cial|Especial|Speciale|User|User_talk|Talk|Talk:|Template|Template_talk|Help_talk"
    r"|Category_talk|File|File_talk|Image|MediaWiki|Module|Module_talk|Project_talk)(:|%3A)|/api\.php|/load\.php",
    re.IGNORECASE,
)
_NO_TEXT: Final = (
    ".mw-editsection, .mw-jump-link, #toc, .toc, .navbox, .vertical-navbox, .sidebar, .metadata, .ambox, .noprint,"
    " .mw-empty-elt, .reflist, .references, .printfooter, .catlinks, #siteSub, #contentSub, #jump-to-nav,"
    " sup.reference, style, script"
)


class MediaWiki:
    """Pages that MediaWiki makes."""

    generator = "mediawiki"

    def follows(self, address: str) -> bool:
        """See `SiteHandler`."""
        return _MACHINERY.search(path_of(address)) is None

    def page(self, markup: bytes) -> bytes:
        """See `SiteHandler`."""
        tree = LexborHTMLParser(markup)
        content = tree.css_first("#mw-content-text .mw-parser-output") or tree.css_first("#mw-content-text")
        if content is None:
            return markup
        for node in content.css(_NO_TEXT):
            node.decompose()
        title, heading = tree.css_first("title"), tree.css_first("#firstHeading")
        head = "" if title is None else title.html or ""
        first = "" if heading is None else f"<h1>{heading.text().strip()}</h1>"
        root = tree.css_first("html")
        language = (None if root is None else root.attributes.get("lang")) or ""
        stated = f' lang="{language}"' if re.fullmatch(r"[A-Za-z-]{1,20}", language) else ""
        body = f"<body><article>{first}{content.html}</article></body>"
        return f'<!DOCTYPE html><html{stated}><head><meta charset="utf-8">{head}</head>{body}</html>'.encode()


HANDLER = MediaWiki()
