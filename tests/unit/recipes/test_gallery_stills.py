"""Small pictures of results: made once, of what is there now, and removed with the rest of what can be made again."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

from treadle.base.errors import DataError, NotFoundError  # noqa: E402
from treadle.operations.api import Workspace  # noqa: E402
from treadle.recipes.gallery_stills import still  # noqa: E402
from treadle.store.workspace import WorkspaceFolder  # noqa: E402
from treadle.video.frames import FrameWriter  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> WorkspaceFolder:
    return WorkspaceFolder(Workspace.create(tmp_path / "lab").root)


def clip(file: Path, levels: list[int]) -> Path:
    with FrameWriter(file, Fraction(12)) as writer:
        for level in levels:
            writer.write(np.full((90, 1000, 3), level, np.uint8))
    return file


def test_a_still_shows_the_middle_of_a_video_and_is_made_once(lab: WorkspaceFolder, tmp_path: Path) -> None:
    file = clip(tmp_path / "a.mp4", [0] * 10 + [200] * 290)  # a key frame every 250 frames at most
    first = still(lab, file)
    picture = cv2.imread(str(first))
    assert picture.shape == (36, 400, 3)
    made = first.stat().st_mtime_ns
    assert (still(lab, file), first.stat().st_mtime_ns) == (first, made)
    clip(file, [100] * 5)
    second = still(lab, file)
    assert second != first, "the file is another one"
    assert abs(int(cv2.imread(str(second)).mean()) - 100) < 6


def test_what_is_small_stays_so_and_what_cannot_be_read_is_refused(lab: WorkspaceFolder, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dot.png"), np.full((20, 10, 3), 7, np.uint8))
    assert cv2.imread(str(still(lab, tmp_path / "dot.png"))).shape == (20, 10, 3)
    for name in ("broken.png", "broken.mp4", "broken.gif"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(DataError):
            still(lab, tmp_path / name)
    with pytest.raises(NotFoundError, match="not there any more"):
        still(lab, tmp_path / "gone.mp4")


def test_stills_are_removed_when_the_disk_is_cleaned(lab: WorkspaceFolder, tmp_path: Path) -> None:
    made = still(lab, clip(tmp_path / "a.mp4", [50] * 3))
    workspace = Workspace(lab.root)
    assert next(row for row in workspace.system_disk().kinds if row["kind"] == "stills")["files"] == 1
    assert workspace.system_clean("stills").entries == [], "not yet old"
    assert len(workspace.system_clean("stills", days=0).entries) == 1
    assert not made.exists()
    assert still(lab, tmp_path / "a.mp4") == made
