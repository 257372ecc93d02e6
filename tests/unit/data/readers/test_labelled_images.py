from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from treadle.base.errors import NotFoundError
from treadle.data.document import Document, Refusal
from treadle.data.pictures import read_header, read_pictures
from treadle.data.readers.labelled_images import read_paths

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(1).integers(256, size=(5, 6, 7), dtype=np.uint8)
LABELS = np.array([3, 1, 3, 0, 1], np.uint8)


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def pair(folder: Path, *, zipped: bool = False, labels: np.ndarray = LABELS) -> tuple[Path, Path]:
    end = ".gz" if zipped else ""
    images_file, labels_file = folder / f"t-images-idx3-ubyte{end}", folder / f"t-labels-idx1-ubyte{end}"
    for path, array in ((images_file, PIXELS), (labels_file, labels)):
        path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    return images_file, labels_file


def only(items: list[Document | Refusal]) -> Document:
    (item,) = items
    assert isinstance(item, Document), item
    return item


def reason(path: Path) -> tuple[str, str]:
    refusals = [item for item in read_paths([path]) if isinstance(item, Refusal)]
    assert len(refusals) == 1
    return refusals[0].reason, refusals[0].detail


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pair_is_one_document_of_all_its_pictures_in_order(tmp_path: Path, zipped: bool) -> None:
    images_file, _ = pair(tmp_path, zipped=zipped)
    document = only(list(read_paths([images_file])))
    pictures = read_pictures(document)
    assert (pictures.header.count, pictures.header.height, pictures.header.width) == (5, 6, 7)
    assert pictures.labels == ["3", "1", "3", "0", "1"]
    assert pictures.content == PIXELS.tobytes()


def test_naming_both_halves_the_folder_or_the_labels_gives_the_same_one_document(tmp_path: Path) -> None:
    images_file, labels_file = pair(tmp_path)
    ids = {
        only(list(read_paths(paths))).id
        for paths in ([images_file, labels_file], [labels_file, images_file], [labels_file], [tmp_path])
    }
    assert len(ids) == 1


def test_zipped_or_not_the_same_pictures_are_the_same_document(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "zipped").mkdir()
    pair(tmp_path / "plain")
    pair(tmp_path / "zipped", zipped=True)
    plain, zipped = read_paths([tmp_path / "plain", tmp_path / "zipped"])
    assert isinstance(plain, Document)
    assert isinstance(zipped, Document)
    assert plain.id == zipped.id


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    images_file, labels_file = pair(tmp_path)
    labels = labels_file.read_bytes()
    labels_file.unlink()
    assert reason(images_file)[0] == "unlabelled"
    images_file.unlink()
    labels_file.write_bytes(labels)
    assert reason(labels_file)[0] == "unlabelled"


def test_what_is_wrong_with_a_pair_is_said(tmp_path: Path) -> None:
    images_file, labels_file = pair(tmp_path, labels=LABELS[:4])
    assert reason(images_file) == ("damaged", f"It holds 5 pictures, but {labels_file.name} 4 labels.")
    pair(tmp_path)
    images_file.write_bytes(idx(PIXELS)[:-10])
    assert reason(images_file) == ("damaged", "It ends too early: 10 bytes are missing.")
    images_file.write_bytes(idx(PIXELS)[:9])
    assert "within its header" in reason(images_file)[1]
    images_file.write_bytes(idx(PIXELS.astype(np.float32), 0x0D))
    assert "type 0xd" in reason(images_file)[1]
    images_file.write_bytes(b"what is this")
    assert "does not begin" in reason(images_file)[1]
    images_file.write_bytes(idx(PIXELS[0]))
    assert "shape (6, 7)" in reason(images_file)[1]
    pair(tmp_path, labels=LABELS[:0])
    images_file.write_bytes(idx(PIXELS[:0]))
    assert reason(images_file)[0] == "empty"


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    images_file, _ = pair(tmp_path, zipped=True)
    images_file.write_bytes(images_file.read_bytes()[:-40])
    assert reason(images_file)[0] == "damaged"


def test_a_picture_has_the_name_of_its_folder_as_its_label(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    Image.fromarray(PIXELS[0]).save(tmp_path / "cats" / "a.png")
    Image.new("RGB", (9, 4), "red").save(tmp_path / "cats" / "b.jpg")
    grey, colour = (read_header(one) for one in read_paths([tmp_path]) if isinstance(one, Document))
    assert grey[1] == colour[1] == ["cats"]
    assert (grey[0].channels, colour[0].channels) == (1, 3)
    assert (colour[0].height, colour[0].width) == (4, 9)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    assert reason(tmp_path / "broken.png")[0] == "damaged"
    Image.fromarray(PIXELS[0]).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-30])
    assert reason(tmp_path / "cut.png")[0] == "damaged"
    (tmp_path / "notes.txt").write_text("hello")
    assert reason(tmp_path / "notes.txt")[0] == "unknown_format"
    assert reason(tmp_path / "nowhere.png")[0] == "missing"


def test_the_bundled_digits_are_a_pair(tmp_path: Path) -> None:
    header, labels = read_header(only(list(read_paths([tmp_path / "bundled:digits"]))))
    assert (header.count, header.height, header.width) == (1797, 8, 8)
    assert set(labels) == set("0123456789")
    with pytest.raises(NotFoundError, match="Did you mean `digits`"):
        list(read_paths([tmp_path / "bundled:digit"]))
