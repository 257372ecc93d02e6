"""Web pages: their main text, or all of it, or what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.data.document import RefusedError
from treadle.data.readers.decoding import decoded
from treadle.data.readers.markup import visible_text
from treadle.data.readers.parsing import EXTRA, Items, reader, storable, text_of, tidy
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

MOST_BYTES = 64 << 20
_SHOWN = ("title", "author", "date", "article:published_time", "description", "keywords")


@reader
def read(path: Path, settings: ReadSettings) -> Items:
    """Read one page."""
    if path.stat().st_size > MOST_BYTES:
        raise RefusedError("too_large", f"A page of more than {MOST_BYTES >> 20} MB is not read. Is it one?")
    markup = decoded(path.read_bytes())
    text, facts = page_text(markup, settings.html)
    yield text_of(text, source_of(path), {"format": "html", **facts})


def page_text(markup: str, mode: str) -> tuple[str, dict[str, Any]]:
    """The text of a page in one of the modes of `ReadSettings.html`, and facts about it."""
    everything, facts = visible_text(markup)
    head = "\n".join(facts[key] for key in _SHOWN if key in facts)
    if mode == "all":
        return storable(everything), {**facts, "extract": "all"}
    if mode == "metadata":
        return storable(head), {**facts, "extract": "metadata"}
    main = _fast(markup) if mode == "fast" else _main(markup)
    if not main.strip():  # short pages, and pages that are nothing but links
        return storable(everything), {**facts, "extract": "all"}
    text = f"{head}\n\n{main}" if mode == "mixed" and head else main
    return storable(text), {**facts, "extract": mode}


def _main(markup: str) -> str:
    try:
        import trafilatura
    except ImportError as error:
        raise RefusedError("missing_extra", f"{EXTRA}, or read all of a page: html=all.") from error
    found = trafilatura.extract(markup, fast=True, include_comments=False, include_tables=True)
    return tidy_lines(found or "")


def _fast(markup: str) -> str:
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError as error:
        raise RefusedError("missing_extra", f"{EXTRA}, or read all of a page: html=all.") from error
    return tidy(extract_plain_text(markup, main_content=True, comments=False))


def tidy_lines(text: str) -> str:
    """Paragraphs of an extractor that gives one a line, with blank lines between them; tables and lists stay dense."""
    lines: list[str] = []
    for line in text.splitlines():
        dense = line.startswith(("- ", "| ", "|", "  "))
        if lines and not (dense and lines[-1].startswith(("- ", "|", "  "))):
            lines.append("")
        lines.append(line.rstrip())
    return tidy("\n".join(lines)) if lines else ""
