"""Maps of depth and of segments, given and by models."""

import contextlib

import cv2
import numpy as np
import onnx_models
import pytest
from clips import HEIGHT, WIDTH, moving, stored

from treadle.base.errors import DataError, NotFoundError
from treadle.video import map_process, maps
from treadle.video.map_model import MapModel, ModelUse
from treadle.video.onnx_file import check_self_contained

needs_onnx = pytest.mark.usefixtures("onnx_runtime")
RAMP = np.linspace(0, 1, 32 * 48, dtype=np.float32).reshape(32, 48)


@pytest.fixture
def onnx_runtime():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")


def test_numbers_are_spread_over_the_range_of_the_whole_clip(tmp_path):
    depths = np.stack([RAMP * 4 + 2, RAMP * 2 + 2, np.full_like(RAMP, np.nan)])
    np.save(tmp_path / "depth.npy", depths)
    first, second, third = maps.depth_pictures(maps.given(tmp_path / "depth.npy"))
    assert (first.min(), first.max()) == (0, 255)
    assert (second.min(), second.max()) == (0, 127)
    assert not third.any()


def test_grey_pictures_stay_as_they_are_and_those_of_16_bits_are_spread(tmp_path):
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        folder = tmp_path / str(bits)
        folder.mkdir()
        for number in (1, 2):
            cv2.imwrite(str(folder / f"{number}.png"), np.full((4, 6), number * 20, kind))
    assert [int(one[0, 0]) for one in maps.depth_pictures(maps.given(tmp_path / "8"))] == [20, 40]
    assert [int(one[0, 0]) for one in maps.depth_pictures(maps.given(tmp_path / "16"))] == [0, 255]
    film = stored(tmp_path / "film.mp4", moving(2))
    grey = next(iter(maps.depth_pictures(maps.given(film))))
    assert grey.shape == (HEIGHT, WIDTH)


def test_labels_get_colours_that_stay_and_zero_is_black():
    labels = np.array([[0, 1, 2], [255, 256, 0]])
    shown = maps.coloured(labels)
    assert not shown[0, 0].any()
    assert len({tuple(int(one) for one in row) for row in shown.reshape(-1, 3)}) == 5 - 1  # 256 is 1 again
    assert (maps.coloured(labels[:1]) == shown[:1]).all()
    picture = np.zeros((2, 2, 3), np.uint8)
    assert maps.labelled(picture) is not None
    large = maps.fitted(shown, np.zeros((40, 60, 3), np.uint8), exact=True)
    assert len(np.unique(large.reshape(-1, 3), axis=0)) == 4  # no colours between colours


def test_as_many_maps_as_frames_are_wanted(tmp_path):
    with pytest.raises(DataError, match="it has 2 maps, and more frames"):
        list(maps.beside(moving(3), moving(2), tmp_path))
    with pytest.raises(DataError, match="it has 1 frames, and more maps"):
        list(maps.beside(moving(1), moving(2), tmp_path))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 6)), "wanted are frames"),
        (np.zeros((0, 4, 6)), "is empty"),
        (None, "cannot be loaded|not an array"),
    ],
)
def test_arrays_that_are_no_maps_are_named(tmp_path, array, says):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object) if array is None else array)
    with pytest.raises(DataError, match=says):
        maps.given(tmp_path / "a.npy")
    with pytest.raises(NotFoundError):
        maps.given(tmp_path / "gone.npy")


@needs_onnx
@pytest.mark.parametrize(
    ("shape", "axis", "pixels", "sees", "level"),
    [
        ((1, 3, "h", "w"), 1, "unit", (224, 336), 0.4),
        (("n", 32, 48, 3), 3, "signed", (32, 48), -0.2),
    ],
)
def test_a_model_says_what_it_sees_and_is_shown_just_that(tmp_path, shape, axis, pixels, sees, level):
    file = tmp_path / "depth.onnx"
    file.write_bytes(onnx_models.brightness(shape, axis))
    with MapModel(ModelUse(file, "depth", pixels, side=336), 64, 96) as model:
        assert model.sees == sees
        made = model.map_of(np.full((64, 96, 3), 102, np.uint8))
        assert made.shape == sees
        assert made == pytest.approx(level, abs=1e-4)


@needs_onnx
def test_the_range_of_a_models_depths_is_that_of_frames_all_over_the_clip(tmp_path):
    file = tmp_path / "depth.onnx"
    file.write_bytes(onnx_models.brightness((1, 3, 16, 16)))
    clip = [np.full((16, 16, 3), level, np.uint8) for level in range(0, 200, 2)]
    with MapModel(ModelUse(file, "depth", "unit"), 16, 16) as model:
        found = maps.model_range(model, clip, len(clip))
        assert (found.low, found.high) == pytest.approx((0, 192 / 255), abs=1e-4)
        assert [int(found.of(model.map_of(clip[place]))[0, 0]) for place in (0, 48, 99)] == [0, 127, 255]


@needs_onnx
def test_of_scores_the_highest_is_the_label(tmp_path):
    file = tmp_path / "seg.onnx"
    file.write_bytes(onnx_models.strongest_colour())
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, :16, 0] = frame[:, 16:32, 1] = frame[:, 32:, 2] = 200
    with MapModel(ModelUse(file, "seg", "unit"), 32, 48) as model:
        assert model.map_of(frame)[5, [3, 20, 40]].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("output", "labels"),
    [
        (np.array([[[0, 7], [255, 1]]], np.int64), [[0, 7], [255, 1]]),
        (np.array([[[[0.2, 0.7], [0.5, 0.9]]]], np.float32), [[0, 1], [0, 1]]),
        (np.eye(5, dtype=np.float16)[[[[4, 0, 2]] * 6]], [[4, 0, 2]] * 6),
        (np.array([[0.4, 0.6], [0.6, 0.4]], np.float32), [[0, 1], [1, 0]]),
        (np.zeros((2, 3, 4, 5), np.float32), None),
        (np.array(["a"]), None),
        ([1, 2], None),
    ],
)
def test_what_a_model_gives_is_understood_by_its_shape(output, labels):
    found = map_process._labels(output)
    assert labels == (None if found is None else found.tolist())
    assert map_process._depth(np.array([[1, 2], [3, 4]])) is None  # whole numbers are no depths


def test_weights_in_other_files_are_found_wherever_they_hide():
    for deep in (False, True):
        with pytest.raises(DataError, match="weights in another file"):
            check_self_contained(memoryview(onnx_models.outside("/etc/passwd", deep=deep)))
    for whole in (onnx_models.brightness(), onnx_models.endless(), onnx_models.greedy()):
        check_self_contained(memoryview(whole))
        for cut in range(1, len(whole), 7):
            with contextlib.suppress(DataError):  # or it is a smaller model; never anything else
                check_self_contained(memoryview(whole[:cut]))
    with pytest.raises(DataError, match="no graph"):
        check_self_contained(memoryview(b""))
    with pytest.raises(DataError, match="not an ONNX model"):
        check_self_contained(memoryview(b"no model at all"))


@needs_onnx
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (onnx_models.outside(), "weights in another file"),
        (onnx_models.greedy(), "cannot be used|crashed"),
        (onnx_models.endless(), "more than 1 s"),
        (onnx_models.brightness((4, 3, 16, 16)), "takes 4 pictures at once"),
        (onnx_models.brightness((3, 16, 16), 0), "wanted is one input of four dimensions"),
        (onnx_models.strongest_colour(), "none of that is a depth"),
    ],
    ids=["outside", "greedy", "endless", "batch", "three", "classes"],
)
def test_a_hostile_model_costs_itself_and_is_named(tmp_path, data, says):
    file = tmp_path / "model.onnx"
    file.write_bytes(data)
    with pytest.raises(DataError, match=says):
        MapModel(ModelUse(file, "depth", seconds=1 if "1 s" in says else 60, start_seconds=0), 32, 48)
