from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from treadle.data.document import Document, Refusal
from treadle.data.readers import archive, unpacking
from treadle.data.readers.config import ReadSettings

if TYPE_CHECKING:
    from pathlib import Path


def make_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def read(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    texts: dict[str, str] = {}
    refused: dict[str, str] = {}
    for item in list(archive.read(path, ReadSettings())):  # all of them first: a document outlives its reader
        if isinstance(item, Document):
            texts[item.source.removeprefix(f"{path}!/")] = item.text
        else:
            assert isinstance(item, Refusal)
            refused[item.source.removeprefix(f"{path}!/")] = item.reason
    return texts, refused


def test_text_members_are_read_in_order_and_the_rest_is_refused(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path / "a.zip",
        {
            "b/two.md": b"# Two",
            "a/one.txt": "Gl\xfcck und \xc4rger \xfcber S\xfc\xdfes\r\n".encode("latin-1") * 5,
            "README": b"read me",
            "play.xml": b"<PLAY><SPEECH><SPEAKER>ROMEO</SPEAKER><LINE>O!</LINE></SPEECH></PLAY>",
            "inner.zip": b"PK",
            "picture.txt": b"\x89PNG\0\0",
            "void.txt": b"",
            ".hidden.txt": b"hidden",
            "__MACOSX/one.txt": b"hidden",
            "folder/": b"",
        },
    )
    texts, refused = read(path)
    assert list(texts) == ["README", "a/one.txt", "b/two.md", "play.xml"]
    assert texts["play.xml"] == "ROMEO:\nO!"
    assert texts["a/one.txt"] == "Glück und Ärger über Süßes\n" * 5
    assert refused == {
        "inner.zip": "damaged",
        "picture.txt": "unknown_format",
        "void.txt": "empty",
    }


def test_no_member_is_written_to_the_disk_whatever_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    path = make_zip(folder / "evil.zip", {"../../evil.txt": b"climbs", "/etc/evil.txt": b"absolute"})
    before = sorted(tmp_path.rglob("*"))
    texts, refused = read(path)
    assert sorted(texts.values()) == ["absolute", "climbs"]
    assert refused == {}
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_that_unpacks_too_far_is_refused_whole(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "bomb.zip", {"zeros.txt": b"a" * (unpacking.RATIO_FROM + 1)})
    assert path.stat().st_size < 100_000
    assert read(path) == ({}, {str(path): "too_large"})


def test_a_stated_size_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {f"{n}.txt": b"x" for n in range(3)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for _ in range(3):
        entry = data.index(b"PK\x01\x02")
        data[entry + 24 : entry + 28] = (0xFFFFFFF0).to_bytes(4, "little")  # uncompressed size in the directory
        data[entry : entry + 4] = b"pk\x01\x02"
    path.write_bytes(bytes(data).replace(b"pk\x01\x02", b"PK\x01\x02"))
    assert read(path) == ({}, {str(path): "too_large"})


def test_an_encrypted_member_is_refused_alone(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"secret.txt": b"secret", "plain.txt": b"plain"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert read(path) == ({"plain.txt": "plain"}, {"secret.txt": "encrypted"})


def test_a_link_inside_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    assert read(path) == ({}, {"link.txt": "unknown_format"})


def test_a_member_packed_in_an_unknown_way_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"odd.txt": b"odd"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 97
    data[data.index(b"PK\x03\x04") + 8] = 97
    path.write_bytes(data)
    assert read(path) == ({}, {"odd.txt": "unknown_format"})


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_refused_and_the_others_are_read(tmp_path: Path, compression: int) -> None:
    long = b"".join(b"%d bottles\n" % (n * 7919 % 10007) for n in range(4000))
    path = make_zip(tmp_path / "a.zip", {"bad.txt": long, "good.txt": b"good"}, compression)
    data = bytearray(path.read_bytes())
    for place in range(3000, 3040):
        data[place] ^= 0x5A
    path.write_bytes(data)
    texts, refused = read(path)
    assert texts == {"good.txt": "good"}
    assert refused["bad.txt"] in {"damaged", "unreadable", "binary"}


@pytest.mark.parametrize("content", [b"", b"PK", b"this is no archive"])
def test_what_is_no_archive_is_refused_as_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert read(path) == ({}, {str(path): "damaged"})


def test_a_truncated_archive_is_refused_as_damaged(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"one.txt": b"one" * 1000})
    path.write_bytes(path.read_bytes()[:-30])
    assert read(path) == ({}, {str(path): "damaged"})


def test_an_archive_without_files_is_refused_as_empty(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"folder/": b"", ".hidden": b"x"})
    assert read(path) == ({}, {str(path): "empty"})
