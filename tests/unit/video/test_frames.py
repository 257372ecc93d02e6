"""Frames go into files and come out of them."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, moving, stored

from treadle.base.errors import DataError, NotFoundError
from treadle.video.frames import FrameWriter, image_files, probe, rate, read_frames, read_images, resized
from treadle.video.measures import psnr


def test_lossless_frames_come_back_bit_for_bit(tmp_path):
    frames = moving(5)
    file = stored(tmp_path / "a.mp4", frames)
    assert all((a == b).all() for a, b in zip(frames, read_frames(file), strict=True))


@pytest.mark.parametrize(("quality", "least"), [("good", 30), ("high", 33)])
def test_what_is_stored_for_the_eye_is_near(tmp_path, quality, least):
    frames = moving(5)
    file = stored(tmp_path / "a.mp4", frames, quality=quality)
    assert min(psnr(a, b) for a, b in zip(frames, read_frames(file), strict=True)) > least


@pytest.mark.parametrize("quality", ["good", "high"])
def test_the_same_frames_make_the_same_file(tmp_path, quality):
    blocks = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    files = set()
    for _ in range(8):
        with FrameWriter(tmp_path / "video.mp4", Fraction(24), quality=quality) as writer:
            for shift in range(10):
                writer.write(np.roll(blocks, shift, 1))
        files.add((tmp_path / "video.mp4").read_bytes())
    assert len(files) == 1


def test_odd_sizes_are_stored_too(tmp_path):
    frames = [frame[:71, :95] for frame in moving(3)]
    file = stored(tmp_path / "a.mp4", frames, quality="high")
    assert next(read_frames(file)).shape == (71, 95, 3)


def test_a_file_tells_what_it_is_and_how_it_was_made(tmp_path):
    file = stored(tmp_path / "a.mp4", moving(10), Fraction(30000, 1001), made_by={"tool": "x", "ü": [1]})
    facts = probe(file)
    assert (facts.width, facts.height, facts.frames, facts.audio) == (WIDTH, HEIGHT, 10, False)
    assert rate(file) == Fraction(30000, 1001)
    assert facts.seconds == pytest.approx(10 * 1001 / 30000, abs=0.01)
    assert facts.made_by == {"tool": "x", "ü": [1]}


@pytest.mark.parametrize("stored_by_others", [[1], {"sources": 3}, {"sources": ["a"]}, {"options": []}, "text"])
def test_what_others_wrote_into_a_file_is_not_taken_for_ours(tmp_path, stored_by_others):
    file = stored(tmp_path / "a.mp4", moving(1))
    strange = tmp_path / "b.mp4"
    with av.open(str(file)) as source, av.open(str(strange), "w", options={"movflags": "use_metadata_tags"}) as copy:
        copy.metadata["treadle"] = json.dumps(stored_by_others)
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert probe(strange).made_by == {}


def test_the_sound_goes_along(tmp_path):
    speaking = tmp_path / "speaking.mp4"
    with av.open(str(speaking), "w") as container:
        picture, sound = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=16000)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in moving(10):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        tone = (np.sin(np.arange(6400) / 8) * 9000).astype(np.int16)[None]
        heard = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        heard.sample_rate = 16000
        for stream, last in ((sound, heard), (picture, None), (sound, None)):
            container.mux(stream.encode(last))
    file = stored(tmp_path / "a.mp4", moving(10), sound=speaking)
    assert probe(file).audio
    packets = [sum(packet.size for packet in _sound(path)) for path in (speaking, file)]
    assert packets[0] == packets[1] > 0
    assert not probe(stored(tmp_path / "b.mp4", moving(2), sound=stored(tmp_path / "c.mp4", moving(2)))).audio


def _sound(path):
    with av.open(str(path)) as container:
        yield from container.demux(container.streams.audio[0])


def test_a_video_that_fails_in_the_middle_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="Frame 1 is 50x40"), FrameWriter(tmp_path / "a.mp4", Fraction(25)) as writer:
        writer.write(moving(1)[0])
        writer.write(np.zeros((40, 50, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_is_not_written(tmp_path):
    with pytest.raises(DataError, match="no frame"), FrameWriter(tmp_path / "a.mp4", Fraction(25)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    file = stored(tmp_path / "a.mp4", moving(3))
    before = file.read_bytes()
    with pytest.raises(KeyError), FrameWriter(file, Fraction(25)) as writer:
        writer.write(moving(1)[0])
        raise KeyError
    assert file.read_bytes() == before


def test_files_that_are_no_videos_are_named(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(DataError, match=r"text\.mp4 is not a video"):
        probe(tmp_path / "text.mp4")
    with pytest.raises(NotFoundError, match="does not exist"):
        probe(tmp_path / "gone.mp4")


def test_a_truncated_video_is_named(tmp_path):
    file = stored(tmp_path / "a.mp4", moving(40))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"a\.mp4"):
        list(read_frames(file))


def test_pictures_are_read_in_the_order_in_which_people_count(tmp_path):
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((8, 8, 3), number, np.uint8))
    files = image_files(tmp_path)
    assert [path.name for path in files] == ["frame1.png", "frame2.png", "frame10.png"]
    assert [int(frame[0, 0, 0]) for frame in read_images(files)] == [1, 2, 10]


def test_pictures_that_do_not_fit_are_named(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(DataError, match=r"b\.png is 9x8, but the first picture is 8x8"):
        list(read_images(image_files(tmp_path)))
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png is not a picture"):
        list(read_images(image_files(tmp_path)))
    with pytest.raises(NotFoundError, match="No pictures"):
        image_files(empty)


def test_resizing_keeps_colours():
    frame = moving(1)[0]
    assert resized(frame, WIDTH, HEIGHT) is frame
    assert resized(frame, 40, 30).mean() == pytest.approx(frame.mean(), abs=2)
    assert resized(frame, 200, 150).shape == (150, 200, 3)
