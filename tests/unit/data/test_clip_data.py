"""Clips of video from what a person names to examples: drawn shapes, files, the split, the maps."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

from treadle.base.errors import DataError, NotReadyError, UsageError
from treadle.data.bundled.shapes import shape_clips
from treadle.data.clip_data import MOST_PHRASES, ClipLoader, Decided, prepare_clips
from treadle.data.clip_maps import EDGES, blur_maps, edge_maps, fitted, placed
from treadle.data.clips import ClipFacts, read_clips, written
from treadle.data.config import DataSettings
from treadle.data.document import Document, Refusal
from treadle.data.readers.clips import read_paths
from treadle.data.readers.labelled_images import read_paths as read_others
from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore
from treadle.video import controls
from treadle.video.frames import FrameWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.data.prepared import Prepared

RANDOM = np.random.default_rng(3)


def document(counts: Sequence[int], captions: Sequence[str], edge: int = 8) -> Document:
    """Clips whose frames are told apart by their colour: frame n of all is filled with n."""
    total = sum(counts)
    frames = np.broadcast_to(np.arange(total, dtype=np.uint8)[:, None, None, None], (total, edge, edge, 3))
    facts = [ClipFacts(count, caption) for count, caption in zip(counts, captions, strict=True)]
    return Document.from_pieces(lambda: written(edge, edge, facts, [frames.tobytes()]), "here")


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
        return prepare_clips(dataset, self.path / "model", DataSettings.model_validate(settings), 1, fix=fix)

    def loader(self, *documents: Document, **settings: Any) -> ClipLoader:
        prepared = self.prepare(*documents, **settings)
        assert prepared is not None
        assert isinstance(prepared.loader, ClipLoader)
        return prepared.loader


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def firsts(loader: ClipLoader) -> tuple[list[int], list[int]]:
    """The first frame of each example to train on, in order, and of each held-out one."""
    trained = (
        loader.batch(0, loader.targets_per_epoch).inputs[:, 0, 0, 0, 0].tolist() if loader.targets_per_epoch else []
    )
    held_out = [number for batch in loader.evaluation(3) for number in batch.inputs[:, 0, 0, 0, 0].tolist()]
    return sorted(trained), held_out


def test_moving_shapes_are_the_same_each_time_and_move(tmp_path: Path) -> None:
    first, second = (list(shape_clips(4, 7)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)
        assert one.caption == other.caption
        assert all(np.abs(np.diff(one.frames.astype(int), axis=0)).sum((1, 2, 3)) > 0)
    (made,) = read_paths([tmp_path / "bundled:shapes:3@7"])
    assert isinstance(made, Document)
    clips = read_clips(made)
    np.testing.assert_array_equal(clips.frames, np.concatenate([clip.frames for clip in first[:3]]))
    assert [facts.caption for facts in clips.facts] == [clip.caption for clip in first[:3]]
    assert clips.facts[0].phrases[-1].startswith("on ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bundled:shapes:0", "it must be for 1 to"),
        ("bundled:shape", "bundled:shapes:COUNT"),
        ("bundled:digits", "no clips"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_can_be(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        list(read_paths([tmp_path / name]))
    with pytest.raises(UsageError, match="family video_flow"):
        list(read_others([tmp_path / "bundled:shapes:3"]))


def test_video_files_are_named_after_their_folder_and_others_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "Waves"
    folder.mkdir()
    with FrameWriter(folder / "1.mp4", Fraction(8), quality="lossless") as writer:
        for number in range(6):
            writer.write(np.full((24, 48, 3), 40 * number, np.uint8))
    (folder / "bad.mp4").write_text("no video")
    (folder / "notes.txt").write_text("to be")
    found = list(read_paths([folder]))
    refused = {item.reason for item in found if isinstance(item, Refusal)}
    assert refused == {"damaged", "unknown_format"}
    (clips,) = (read_clips(item) for item in found if isinstance(item, Document))
    assert (clips.facts[0].frames, clips.facts[0].phrases) == (6, ["waves"])
    assert clips.frames.shape == (6, 48, 48, 3)
    assert clips.frames[1, 24, 24].tolist() == [40, 40, 40]
    assert clips.frames[1, 2].max() == 0, "what made it square is black"


def test_examples_are_cut_from_clips_and_no_clip_of_many_lies_on_both_sides(room: Room) -> None:
    counts = [3, *[4] * 9, *[9] * 10]  # of four frames an example: none, nine of one, ten of two
    loader = room.loader(document(counts, ["a, b"] * 20), clip_frames=4, held_out=0.15)
    begins = np.cumsum([0, *counts[:-1]])
    whole = [
        int(begin) + first for begin, count in zip(begins, counts, strict=True) for first in range(0, count - 3, 4)
    ]
    assert firsts(loader) == (whole[:-6], whole[-6:])
    assert (loader.targets_per_epoch, loader.held_out_targets) == (23, 6)
    assert [(piece.targets, piece.held_out) for piece in loader.pieces] == [(23, 6)]
    film = room.loader(document([100], ["film"], 12), clip_frames=4, held_out=0.2)
    assert (film.targets_per_epoch, film.held_out_targets) == (21 + 20, 8 + 5)


def test_an_epoch_visits_each_example_once_in_a_seeded_order(room: Room) -> None:
    loader = room.loader(document([4] * 24, ["a"] * 24), clip_frames=4, held_out=0.0)
    order = loader.batch(0, 48).inputs[:, 0, 0, 0, 0].tolist()
    assert sorted(order[:24]) == sorted(order[24:]) == list(range(0, 96, 4))
    assert order[:24] != order[24:]
    np.testing.assert_array_equal(loader.batch(30, 4).inputs, loader.batch(24, 10).inputs[6:])
    again = room.loader(clip_frames=4, held_out=0.0)
    np.testing.assert_array_equal(again.batch(0, 8).inputs, loader.batch(0, 8).inputs)


def test_what_was_decided_at_the_first_training_stays(room: Room) -> None:
    assert room.prepare(document([4] * 3, ["b, a"] * 3), fix=False, clip_frames=4) is None
    first = room.prepare(clip_frames=4, held_out=0.0)
    assert first is not None
    assert (first.vocabulary, first.context) == (2, 4)
    assert first.tokenizer == {"kind": "clips", "phrases": ["a", "b"], "size": 8, "frames": 4}
    later = room.loader(document([4] * 3, ["b, c"] * 3, 16), clip_frames=4, held_out=0.0)
    assert later.targets_per_epoch == 6
    assert sorted(later.batch(0, 6).targets.tolist()) == [2, 2, 2, 3, 3, 3], "a new phrase is not known"
    for changed in ({"clip_frames": 8}, {"clip_frames": 4, "image_size": 16}):
        with pytest.raises(UsageError, match="needs a new model"):
            room.prepare(**changed)


def test_a_model_knows_the_most_frequent_phrases() -> None:
    many = [f"p{number:02}" for number in range(40)]
    assert Decided(phrases=("a", "b"), size=8, frames=4).bits(["b", "z"]) == 2
    assert MOST_PHRASES < 32 <= len(many)


def test_clips_that_suit_no_model_are_refused_with_the_way_out(room: Room, tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"data\.clip_frames=4"):
        room.prepare(document([3], ["a"]), clip_frames=8)
    other = Room(tmp_path / "other")
    with pytest.raises(UsageError, match="a multiple of 4"):
        other.prepare(document([8], ["a"]), image_size=10)
    with pytest.raises(DataError, match="holds no clips"):
        read_clips(Document.from_text("to be or not to be", "play.txt"))
    alone = Room(tmp_path / "third").loader(document([8], ["a"]), held_out=0.9)
    if not alone.targets_per_epoch:
        with pytest.raises(NotReadyError, match="held out"):
            alone.batch(0, 1)


def test_a_damaged_cut_is_made_again(room: Room) -> None:
    before = room.loader(document([8] * 4, ["a"] * 4), held_out=0.0).batch(0, 4).inputs
    (note,) = (room.path / "data" / "clips").iterdir()
    note.write_text("{")
    np.testing.assert_array_equal(room.loader(held_out=0.0).batch(0, 4).inputs, before)


def test_maps_are_those_of_the_video_tools() -> None:
    frames = np.asarray(next(shape_clips(1, 5)).frames)
    for strength in EDGES:
        maps = edge_maps(frames, strength)
        for frame, made in zip(frames, maps, strict=True):
            np.testing.assert_array_equal(made, controls.edge_map(frame, strength)[..., :1])
    assert EDGES == controls.CANNY
    for strength in ("medium", "very_high"):
        theirs = np.stack([controls.blurred(frame, strength) for frame in frames])
        assert np.abs(blur_maps(frames, strength).astype(int) - theirs).mean() < 16


def test_a_frame_that_is_not_square_lies_in_the_middle() -> None:
    frame = RANDOM.integers(1, 255, (20, 40, 3), dtype=np.uint8)
    assert placed(20, 40, 16) == (4, 0, 8, 16)
    square = fitted(frame, 16)
    assert square[:4].max() == square[12:].max() == 0
    assert square[4:12].min() > 0
    assert fitted(square, 16) is square
