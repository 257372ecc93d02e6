r"""From bytes to text: which encoding it is, whether it is text at all, and line ends made one kind.

Text is UTF-8 unless a byte-order mark says UTF-8, UTF-16 or UTF-32, or unless it is no valid UTF-8; then the encoding
is guessed from the surroundings of the first byte that UTF-8 cannot read. Line ends become `\n`; nothing else changes.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from treadle.data.document import PIECE, Document, RefusedError

OpenBytes = Callable[[], IO[bytes]]
"""Opens the bytes of one text from the beginning; may be called again."""

_CHUNK = PIECE // 2
_SAMPLE = 64 * 1024
_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Without a byte-order mark these fit almost any bytes.
_NEVER_GUESSED = ["utf_7", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"]
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_FEW_ACCENTS = 0.01
_COMMON = ("cp1252", "latin_1", "cp1250", "cp1251")
_CONTROLS = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]")
_CONTROLS_OF_TEXT = 0.02


class _NotThisEncodingError(Exception):
    def __init__(self, encoding: str, offset: int) -> None:
        super().__init__(encoding, offset)
        self.encoding = encoding
        self.offset = offset


def text_document(open_bytes: OpenBytes, source: str, metadata: dict[str, Any] | None = None) -> Document:
    """Make a document of bytes that should be text, in bounded memory.

    Raises:
        RefusedError: The bytes are empty, binary, in no encoding that can be told, or cannot be read.
    """

    def decoded_as(encoding: str) -> Document:
        return Document.from_pieces(
            lambda: _pieces(open_bytes, encoding), source, {"encoding": _plain_name(encoding), **(metadata or {})}
        )

    with reading_errors():
        with open_bytes() as file:
            head = file.read(4)
        marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
        try:
            return decoded_as(marked or "utf-8")
        except _NotThisEncodingError as error:
            if marked is not None:
                raise _undecodable(error) from error
            offset = error.offset
        guessed = _guess(open_bytes, offset)
        try:
            return decoded_as(guessed)
        except _NotThisEncodingError as error:
            raise _undecodable(error) from error


def decoded(data: bytes) -> str:
    """Decode a whole page: by its byte-order mark, as UTF-8, as it says itself, or by guessing; never fails."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    declared = _DECLARED.search(data[:2048])
    named = [declared[1].decode("ascii")] if declared else []
    for encoding in [marked] if marked else ["utf-8", *named]:
        with contextlib.suppress(LookupError, UnicodeDecodeError, ValueError):
            return data.decode(encoding)
    import charset_normalizer

    best = charset_normalizer.from_bytes(data[: 4 * _SAMPLE], cp_exclusion=_NEVER_GUESSED).best()
    return data.decode(best.encoding if best else "cp1252", "replace")


@contextlib.contextmanager
def reading_errors() -> Iterator[None]:
    """Turn the errors of files, archives and codecs into `RefusedError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise RefusedError("missing", "There is no such file.") from error
    except OSError as error:
        raise RefusedError("unreadable", f"It cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise RefusedError("damaged", f"The archive is damaged here: {str(error) or 'it ends too early'}.") from error


def _pieces(open_bytes: OpenBytes, encoding: str) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("strict"), translate=True)
    offset = 0
    with reading_errors(), open_bytes() as file:
        final = False
        while not final:
            chunk = file.read(_CHUNK)
            final = not chunk
            try:
                piece = decoder.decode(chunk, final=final)
            except UnicodeDecodeError as error:
                raise _NotThisEncodingError(encoding, offset + error.start) from error
            if piece:
                _check_is_text(piece, first=offset == 0)
                yield piece
            offset += len(chunk)


def _check_is_text(piece: str, *, first: bool) -> None:
    if "\0" in piece:
        raise RefusedError("binary", "It holds NUL bytes, so it is not text (UTF-16 needs a byte-order mark).")
    if first and len(_CONTROLS.findall(piece)) > max(1, _CONTROLS_OF_TEXT * len(piece)):
        raise RefusedError("binary", "It is full of control characters, so it is not text.")


def _guess(open_bytes: OpenBytes, offset: int) -> str:
    import charset_normalizer

    with open_bytes() as file:
        skip = max(0, offset - _SAMPLE)
        while skip:
            skip -= len(file.read(min(skip, _CHUNK)))
        sample = file.read(4 * _SAMPLE)
    if b"\0" in sample:
        raise RefusedError("binary", "It holds NUL bytes, so it is not text (UTF-16 needs a byte-order mark).")
    if _few_accents(sample):
        return "cp1252"
    best = charset_normalizer.from_bytes(sample, cp_exclusion=_NEVER_GUESSED).best()
    if best is None:
        raise RefusedError("binary", "It is text in no encoding that can be told. Convert it to UTF-8 if it is text.")
    # Several encodings can give the same text for the sample; the commonest is the likeliest for the rest of the file.
    return next((common for common in _COMMON if common in best.could_be_from_charset), best.encoding)


def _few_accents(sample: bytes) -> bool:
    """Whether nearly all is ASCII: too little to guess from, and likeliest the West's encoding, for a few accents."""
    high = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    if high > _FEW_ACCENTS * len(sample):
        return False
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(error: _NotThisEncodingError) -> RefusedError:
    name = _plain_name(error.encoding)
    return RefusedError("encoding", f"It looks like {name}, but is not, at byte {error.offset:,}. Convert it to UTF-8.")


def _plain_name(encoding: str) -> str:
    return codecs.lookup(encoding).name.removesuffix("-sig")
