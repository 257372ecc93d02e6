"""Reads and writes videos, as the library's helpers do."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from treadle.video.frames import FrameWriter, read_frames


def load_video(path):
    return [Image.fromarray(frame) for frame in read_frames(Path(path))]


def export_to_video(frames, path, fps, quality):
    assert 0 <= quality <= 10
    with FrameWriter(Path(path), Fraction(fps)) as writer:
        for frame in frames:
            writer.write(np.asarray(frame))
