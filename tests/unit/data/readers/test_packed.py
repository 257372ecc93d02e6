"""tar, gz, bz2, xz, zst, and archives inside archives."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from treadle.data.document import Document
from treadle.data.readers import unpacking
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.one_file import read_file


def tarball(members: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def zstandard(content: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(content))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard])
def test_a_packed_file_is_read_as_what_it_holds(texts_of, pack) -> None:
    assert texts_of("notes.txt.packed", pack(b"hello")) == ["hello"]
    assert texts_of("rows.jsonl.gz", pack(b'{"text": "one"}\n{"text": "two"}')) == ["one", "two"]
    assert texts_of("both", pack(tarball({"a.txt": b"a", "b.html": b"<html><body>b"})), html="all") == ["a", "b"]
    assert texts_of("cut.gz", pack(b"hello " * 5000)[:-9])[-1].startswith(("!damaged", "!unreadable", "!empty"))


def test_members_are_named_with_their_archives(tmp_path: Path) -> None:
    path = tmp_path / "outer.zip"
    path.write_bytes(zipped({"in/inner.tar": tarball({"x/a.txt": b"a", ".hidden": b"h"})}))
    (item,) = list(read_file(path, ReadSettings()))
    assert isinstance(item, Document)
    assert (item.source, item.text) == (f"{path}!/in/inner.tar!/x/a.txt", "a")


def test_no_path_of_a_tar_reaches_the_disk_and_links_are_refused(texts_of, tmp_path: Path) -> None:
    link = tarfile.TarInfo("link.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("null")
    device.type = tarfile.CHRTYPE
    folder = tmp_path / "deep"
    folder.mkdir()
    outside = tmp_path.parent / "evil-absolute.txt"
    escaping = {"../../evil.txt": b"climbs", str(outside): b"absolute"}
    found = texts_of("deep/evil.tar", tarball(escaping, link, device))
    assert found[:2] == ["climbs", "absolute"]
    assert [said.partition(":")[0] for said in found[2:]] == ["!unknown_format", "!unreadable"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "evil.tar"]
    assert not outside.exists()


def test_what_unpacks_too_far_is_refused_and_the_rest_is_read(texts_of) -> None:
    zeros = b"\0" * (unpacking.RATIO_FROM + 1)
    assert texts_of("bomb.gz", gzip.compress(zeros))[0].startswith("!too_large")
    found = texts_of("bomb.tar.gz", gzip.compress(tarball({"a.txt": b"a", "zeros.txt": zeros})))
    assert found[0] == "a"
    assert found[-1].startswith("!too_large")


def test_archives_in_archives_end_at_the_third(texts_of) -> None:
    content = zipped({"a.txt": b"a"})
    for _ in range(2):
        content = zipped({"inner.zip": content})
    assert texts_of("three.zip", content) == ["a"]
    (said,) = texts_of("four.zip", zipped({"inner.zip": content}))
    assert said.startswith("!too_large: It is an archive in 3 others")


def test_an_archive_without_files_and_a_damaged_one_are_refused(texts_of) -> None:
    assert texts_of("a.tar", tarball({}))[0].startswith(("!empty", "!binary"))
    assert texts_of("a.tar", tarball({".hidden": b"x"}))[0].startswith("!empty")
    broken = bytearray(tarball({"a.txt": b"a" * 2000, "b.txt": b"b"}))
    broken[2560:2700] = b"\xff" * 140
    assert texts_of("a.tar", bytes(broken))[-1].startswith("!damaged")
    assert texts_of("a.gz", b"no gzip")[0].startswith("!damaged")


def test_what_is_unpacked_is_removed_with_its_documents(tmp_path: Path) -> None:
    import gc
    import tempfile

    before = set(Path(tempfile.gettempdir()).glob("treadle-member-*"))
    path = tmp_path / "a.tar"
    path.write_bytes(tarball({f"{n}.txt": b"text" for n in range(3)}))
    items = list(read_file(path, ReadSettings()))
    assert len(set(Path(tempfile.gettempdir()).glob("treadle-member-*")) - before) >= 3
    assert [item.text for item in items if isinstance(item, Document)] == ["text"] * 3
    mine = set(Path(tempfile.gettempdir()).glob("treadle-member-*")) - before
    del items
    gc.collect()
    assert len(mine & set(Path(tempfile.gettempdir()).glob("treadle-member-*"))) < 3
