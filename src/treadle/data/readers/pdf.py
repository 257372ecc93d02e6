"""PDF: the text of its pages. Those from right to left are read by two parsers, and the better order is taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from treadle.data.document import RefusedError
from treadle.data.readers.parsing import EXTRA, Items, reader, storable, text_of
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

_HYPHEN = re.compile("(?<=\\w)[\ufffe\u0002\u00ad]\\s*\n?(?=\\w)")
_WRAPPED_HYPHEN = re.compile(r"(?<=[a-zß-öø-ÿ])-\n(?=[a-zß-öø-ÿ])")
_LIGATURES = {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl"}
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_SHARE = 0.2


@reader
def read(path: Path, settings: ReadSettings) -> Items:  # noqa: ARG001 - as all readers
    """Read all pages of a PDF as one document."""
    try:
        import pypdfium2
    except ImportError as error:
        raise RefusedError("missing_extra", f"{EXTRA}.") from error
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise _refused(error) from error
    pages = []
    for number in range(len(document)):
        try:
            text = document[number].get_textpage().get_text_range()
        except pypdfium2.PdfiumError as error:
            raise RefusedError("damaged", f"Page {number + 1} of {len(document)} cannot be read: {error}.") from error
        if len(_RIGHT_TO_LEFT.findall(text)) > _SHARE * len(text):
            text = _better_ordered(text, _right_to_left(path, number))
        pages.append(_joined(storable(text)))
    if not any(page.strip() for page in pages):
        said = "Its pages hold no text, only pictures. Recognise the text (OCR) first." if pages else "It has no pages."
        raise RefusedError("empty", said)
    facts: dict[str, Any] = {"format": "pdf", "pages": len(pages)}
    title = (document.get_metadata_dict() or {}).get("Title", "").strip()
    if title:
        facts["title"] = storable(title)
    yield text_of("\n\n".join(page.strip("\n") for page in pages), source_of(path), facts)


def _refused(error: Exception) -> RefusedError:
    said = str(error)
    if "password" in said.lower() or "security" in said.lower():
        return RefusedError("encrypted", "It is encrypted. Save it without a password.")
    return RefusedError("damaged", "It is no whole PDF. Download or save it again.")


def _joined(text: str) -> str:
    """Words that were cut at the ends of lines made whole; ligatures as letters."""
    text = _WRAPPED_HYPHEN.sub("", _HYPHEN.sub("", text))
    for ligature, letters in _LIGATURES.items():
        text = text.replace(ligature, letters)
    return text


def _better_ordered(first: str, second: str) -> str:
    """Of two readings of a page the one in which fewer lines begin with what ends sentences; the second if equal."""
    return second if second and _misplaced(second) <= _misplaced(first) else first


def _misplaced(text: str) -> int:
    return sum(line.lstrip()[:1] in set(".,:;!?") for line in text.splitlines() if line.strip())


def _right_to_left(path: Path, number: int) -> str:
    try:
        import pypdf
        import pypdf.errors
    except ImportError as error:
        raise RefusedError("missing_extra", f"{EXTRA}.") from error
    try:
        return pypdf.PdfReader(path).pages[number].extract_text()
    except (pypdf.errors.PyPdfError, ValueError, KeyError, TypeError, AttributeError):
        return ""  # what the first parser gave is then taken
