from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from treadle.data.document import PIECE, Document, Refusal
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.text import read

PLAY = Path(__file__).parents[3] / "data" / "mindpaint-latin1.txt"
GERMAN = "Der Bär aß süße Äpfel über der Straße, während es regnete und die Vögel sangen. "


def read_one(path: Path) -> Document:
    (document,) = read(path, ReadSettings())
    assert isinstance(document, Document)
    return document


def refusal_of(path: Path) -> Refusal:
    (refusal,) = read(path, ReadSettings())
    assert isinstance(refusal, Refusal)
    assert refusal.source == str(path)
    return refusal


@pytest.mark.parametrize(
    ("encoding", "mark", "name"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", codecs.BOM_UTF8, "utf-8"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "utf-16"),
        ("utf-32-le", codecs.BOM_UTF32_LE, "utf-32"),
    ],
)
def test_unicode_is_read_with_and_without_its_mark(tmp_path: Path, encoding: str, mark: bytes, name: str) -> None:
    text = "naïve café 日本 😀\n" * 3
    path = tmp_path / "a.txt"
    path.write_bytes(mark + text.encode(encoding))
    document = read_one(path)
    assert document.text == text
    assert document.metadata["encoding"] == name
    assert document.id == Document.from_text(text, "elsewhere").id


def test_a_latin_1_play_is_read_rightly_with_its_line_ends_made_one_kind() -> None:
    document = read_one(PLAY)
    assert document.text == PLAY.read_bytes().decode("latin-1").replace("\r\n", "\n")
    assert "Maître d'hôtel" in document.text
    assert document.metadata["encoding"] in {"iso8859-1", "cp1252"}


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "“Smart quotes” and a café — naïve façade… it’s £5. " * 4),  # noqa: RUF001 - the point
        ("latin-1", GERMAN * 3),
        ("cp1251", "Привет, как дела? Это русский текст для проверки кодировки. " * 4),
        ("koi8-r", "Привет, как дела? Это русский текст для проверки кодировки. " * 4),
        ("shift_jis", "これは日本語のテキストです。文字コードを検出します。" * 4),
    ],
)
def test_common_encodings_without_a_mark_are_told_apart(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert read_one(path).text == text


def test_the_first_odd_byte_may_come_late(tmp_path: Path) -> None:
    text = "It rained all day, and nobody came.\n" * 60_000 + GERMAN * 3
    assert len(text) > 2 * PIECE
    path = tmp_path / "late.txt"
    path.write_bytes(text.encode("latin-1"))
    assert read_one(path).text == text


def test_pieces_are_bounded_and_characters_across_them_are_whole(tmp_path: Path) -> None:
    text = "a" + "€" * PIECE
    path = tmp_path / "one-line.txt"
    path.write_text(text)
    pieces = list(read_one(path).pieces())
    assert max(map(len, pieces)) <= PIECE
    assert "".join(pieces) == text


def test_a_line_end_across_two_chunks_is_one_line_end(tmp_path: Path) -> None:
    path = tmp_path / "crlf.txt"
    path.write_bytes(b"x" * (PIECE // 2 - 1) + b"\r\ny\rz\r")
    assert read_one(path).text == "x" * (PIECE // 2 - 1) + "\ny\nz\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (codecs.BOM_UTF8, "empty"),
        (b" \r\n\t \n", "empty"),
        (b"text, and then\0binary", "binary"),
        (b"caf\xe9 and then\0binary", "binary"),
        (bytes(range(1, 32)) * 20, "binary"),
        (bytes((7 * i * i + 3 * i) % 255 + 1 for i in range(5000)), "binary"),
        (codecs.BOM_UTF16_LE + b"a\0b\0\xff", "encoding"),
        (codecs.BOM_UTF8 + b"caf\xe9 au lait", "encoding"),
    ],
)
def test_what_is_no_text_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    refusal = refusal_of(path)
    assert refusal.reason == reason
    assert len(refusal.detail) > 10


def test_binary_far_behind_text_is_still_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"text\n" * PIECE + b"\0")
    assert refusal_of(path).reason == "binary"


def test_a_guess_that_fails_later_is_refused(tmp_path: Path) -> None:
    japanese = "これは日本語のテキストです。文字コードを検出します。".encode("shift_jis")
    path = tmp_path / "a.txt"
    path.write_bytes(japanese * 20_000 + b"\x81\xff\x81\xff")
    assert refusal_of(path).reason == "encoding"


def test_a_missing_and_an_unreadable_file_are_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "absent.txt").reason == "missing"
    assert refusal_of(tmp_path).reason == "unreadable"


def test_a_name_that_is_not_utf8_can_be_written_down(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("hello")
    assert read_one(path).source == f"{tmp_path}/caf\\xe9.txt"
