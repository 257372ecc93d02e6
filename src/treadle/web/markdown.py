"""Markdown to HTML on the server: no HTML of the writer's, no address that runs or loads anything."""

from __future__ import annotations

import posixpath
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict


NOTES: Final = "/flow/read?path="
"""Where a link to another file of the notes leads."""


def rendered(text: str, file: str = "") -> Markup:
    """Render notes as people wrote them; `file` is where they stand, relative to the folder of notes.

    HTML inside is shown as text; addresses other than http, https and mailto are no links; pictures become links, since
    a page of ours asks no other host for anything. Deep indentation is no code here: tasks would vanish in it.
    """
    return Markup(_parser().render(text, {"file": file}))  # noqa: S704 - the parser escapes all text, and HTML is switched off


@cache
def _parser() -> MarkdownIt:
    made = _Notes("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("code")
    made.add_render_rule("link_open", _link)
    made.add_render_rule("image", _picture)
    for name in ("th_open", "td_open"):
        made.add_render_rule(name, _cell)
    return made


class _Notes(MarkdownIt):
    """Makes no link of an address that might do something other than lead somewhere."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        scheme, colon, _ = url.strip().partition(":")
        return not colon or "/" in scheme or "#" in scheme or scheme.lower() in {"http", "https", "mailto"}


def _link(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, place: MutableMapping[str, Any]
) -> str:
    """Links lead out of the workshop in a tab of their own; those to other files of the notes to the page of these."""
    token = tokens[index]
    address = str(token.attrGet("href") or "")
    if address.startswith(("http://", "https://", "mailto:")):
        token.attrSet("rel", "noopener noreferrer nofollow")
        token.attrSet("target", "_blank")
    elif address and not address.startswith("#"):
        path, hash_, anchor = unquote(address).partition("#")
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(place.get("file", "")), path))
        token.attrSet("href", f"{NOTES}{quote(meant)}{hash_}{quote(anchor)}")
    return renderer.renderToken(tokens, index, options, place)


def _cell(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, place: MutableMapping[str, Any]
) -> str:
    """The pages allow no styles inside elements: what is aligned to the right gets the class for numbers."""
    token = tokens[index]
    if token.attrs.pop("style", "") == "text-align:right":
        token.attrSet("class", "num")
    return renderer.renderToken(tokens, index, options, place)


def _picture(
    _renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    named = token.content or str(token.attrGet("src") or "")
    return str(Markup("<span>[{}]</span>").format(named))
