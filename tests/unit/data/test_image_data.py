from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from treadle.base.errors import DataError, NotReadyError, UsageError
from treadle.data.config import DataSettings
from treadle.data.document import Document
from treadle.data.image_data import ImageLoader, prepare_images
from treadle.data.pictures import Header, decode_picture, written
from treadle.data.readers.labelled_images import read_paths
from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.data.prepared import Prepared

RANDOM = np.random.default_rng(3)
PIXELS = RANDOM.integers(1, 256, size=(40, 6, 6, 1), dtype=np.uint8)
LABELS = [str(number % 4) for number in range(40)]


def document(pixels: np.ndarray = PIXELS, labels: Sequence[str] = LABELS) -> Document:
    header = Header("pixels", *pixels.shape)
    content = [pixels.tobytes()[:100], pixels.tobytes()[100:]]
    return Document.from_pieces(lambda: written(header, labels, content), "here")


class Room:
    """A dataset and a model's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.versions = DatasetVersions(path / "data", ObjectStore(path / "objects"))

    def prepare(self, *documents: Document, fix: bool = True, **settings: Any) -> Prepared | None:
        if documents:
            self.versions.add(documents)
        dataset = self.versions.latest()
        assert dataset is not None
        chosen = DataSettings.model_validate({"image_shift": 0.0, **settings})
        return prepare_images(dataset, self.path / "model", chosen, 1, fix=fix)

    def loader(self, *documents: Document, **settings: Any) -> ImageLoader:
        prepared = self.prepare(*documents, **settings)
        assert prepared is not None
        assert isinstance(prepared.loader, ImageLoader)
        return prepared.loader


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_the_last_share_of_a_document_of_many_pictures_is_held_out_by_position(room: Room) -> None:
    loader = room.loader(document(), held_out=0.1)
    assert (loader.targets_per_epoch, loader.held_out_targets) == (36, 4)
    (batch,) = loader.evaluation(10)
    np.testing.assert_array_equal(batch.inputs, PIXELS[36:])
    assert batch.targets.tolist() == [0, 1, 2, 3]


def test_every_picture_is_visited_once_an_epoch_with_its_own_class(room: Room) -> None:
    loader = room.loader(document(), held_out=0.1)
    assert loader.targets_between(3, 10) == 7
    for epoch in range(2):
        seen = loader.batch(36 * epoch, 36)
        originals = {picture.tobytes(): int(label) for picture, label in zip(PIXELS[:36], LABELS, strict=False)}
        found = {picture.tobytes(): int(label) for picture, label in zip(seen.inputs, seen.targets, strict=True)}
        assert found == originals
    assert loader.batch(0, 36).targets.tolist() != loader.batch(36, 36).targets.tolist()


def test_a_position_gives_the_same_batch_however_it_is_reached(room: Room) -> None:
    loader = room.loader(document(), image_shift=0.2)
    whole = loader.batch(30, 12)
    again = [room.loader(image_shift=0.2).batch(30 + place, 1) for place in range(12)]
    np.testing.assert_array_equal(whole.inputs, np.concatenate([one.inputs for one in again]))
    np.testing.assert_array_equal(whole.targets, np.concatenate([one.targets for one in again]))


def test_pictures_to_train_on_are_shifted_and_held_out_ones_are_not(room: Room) -> None:
    plain, shifted = room.loader(document()), room.loader(image_shift=0.17)
    before, after = plain.batch(0, 36), shifted.batch(0, 36)
    moves = set()
    for one, other in zip(before.inputs, after.inputs, strict=True):
        padded = np.pad(one, ((1, 1), (1, 1), (0, 0)))
        moves |= {
            (down, right)
            for down in range(3)
            for right in range(3)
            if (padded[down : down + 6, right : right + 6] == other).all()
        }
    assert len(moves) == 9
    np.testing.assert_array_equal(next(plain.evaluation(9)).inputs, next(shifted.evaluation(9)).inputs)


def test_a_single_picture_falls_on_one_side_by_its_content(room: Room) -> None:
    singles = [document(PIXELS[place : place + 1], [LABELS[place]]) for place in range(40)]
    loader = room.loader(*singles, held_out=0.3)
    held_out = loader.held_out_targets
    assert 3 < held_out < 25
    assert loader.targets_per_epoch == 40 - held_out
    assert Room(room.path / "other").loader(*reversed(singles), held_out=0.3).held_out_targets == held_out


def test_classes_size_and_channels_are_decided_by_the_first_training(room: Room) -> None:
    assert room.prepare(document(), fix=False) is None
    first = room.prepare()
    assert first is not None
    assert (first.vocabulary, first.context) == (4, 6)
    assert first.tokenizer == {"kind": "labelled_images", "classes": ["0", "1", "2", "3"], "size": 6, "channels": 1}
    with pytest.raises(UsageError, match=r"6 x 6 pixels since its first training; data.image_size=8"):
        room.prepare(image_size=8)
    later = document(RANDOM.integers(256, size=(30, 9, 5, 3), dtype=np.uint8), ["1", "2"] * 15)
    assert room.loader(later).batch(0, 4).inputs.shape == (4, 6, 6, 1)


def test_numbers_are_ordered_by_value_and_words_come_after_them(room: Room) -> None:
    names = ["10", "9", "cat", "2"] * 10
    prepared = room.prepare(document(labels=names))
    assert prepared is not None
    assert prepared.tokenizer["classes"] == ["2", "9", "10", "cat"]


def test_unknown_classes_are_refused_with_counts_or_left_out(room: Room) -> None:
    room.prepare(document())
    news = document(255 - PIXELS, ["1", "dog"] * 20)
    with pytest.raises(UsageError, match=r"not among them: dog \(20\)"):
        room.prepare(news)
    assert len(list(room.loader(unknown="skip", held_out=0).evaluation(9))) == 0
    assert room.loader(unknown="skip", held_out=0).targets_per_epoch == 60


def test_one_class_is_not_enough(room: Room) -> None:
    with pytest.raises(UsageError, match="only one class"):
        room.prepare(document(labels=["7"] * 40))


def test_with_all_pictures_held_out_the_remedy_is_said(room: Room) -> None:
    loader = room.loader(document(PIXELS[:2], ["a", "b"]), held_out=0.9)
    assert loader.targets_per_epoch == 0
    with pytest.raises(NotReadyError, match=r"data.held_out=0"):
        loader.batch(0, 4)


def test_what_was_decoded_is_kept_and_made_again_when_it_is_damaged(room: Room) -> None:
    before = room.loader(document()).batch(0, 8)
    (note,) = (room.path / "data" / "pictures").iterdir()
    note.write_text("{")
    np.testing.assert_array_equal(room.loader().batch(0, 8).inputs, before.inputs)
    (note,) = (room.path / "data" / "pictures").iterdir()
    written_at = note.stat().st_mtime_ns
    room.loader()
    assert note.stat().st_mtime_ns == written_at


def test_text_is_no_picture(room: Room) -> None:
    with pytest.raises(DataError, match="holds no labelled pictures"):
        room.prepare(Document.from_text("to be\nor not\nto be", "play.txt"))


def test_pictures_keep_their_proportions_and_transparency_is_white(tmp_path: Path) -> None:
    Image.new("L", (20, 10), 200).save(tmp_path / "wide.png")
    picture = decode_picture((tmp_path / "wide.png").read_bytes(), 8, 1)
    assert picture[2:6].min() == 200
    assert picture[:2].max() == picture[6:].max() == 0
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "glass.png")
    assert decode_picture((tmp_path / "glass.png").read_bytes(), 4, 3).min() == 255
    Image.fromarray(np.full((4, 4), 65_535, np.uint16)).save(tmp_path / "deep.png")
    assert decode_picture((tmp_path / "deep.png").read_bytes(), 4, 1).min() == 255


def test_the_bundled_digits_are_split_and_read(room: Room) -> None:
    prepared = room.prepare(*(one for one in read_paths([room.path / "bundled:digits"]) if isinstance(one, Document)))
    assert prepared is not None
    assert prepared.context == 8
    assert prepared.loader.held_out_targets == 180
